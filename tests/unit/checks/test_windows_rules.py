"""Each rule of Windows says OK, not OK, and UNKNOWN where its fact is missing."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.checks.audit import RULES, chain, judge, weakest
from collector.checks.catalog import CHECKS
from collector.checks.preflight_windows import would_dump
from collector.checks.windows_memory import dump_estimate, requirement
from collector.facts.windows import NAMES
from collector.model.audit import Link, Severity
from collector.model.host import Platform
from collector.model.verdict import Level
from tests.unit.checks.facts import ABSENT, DENIED, NOW
from tests.unit.checks.windows_facts import (
    BOOT,
    GIB,
    HEALTHY,
    WRITTEN,
    facts,
    page_file,
    record,
    rows,
    volume,
)

OK, WARNING, CRITICAL, UNKNOWN = Level.OK, Level.WARNING, Level.CRITICAL, Level.UNKNOWN
WINDOWS = RULES[Platform.WINDOWS]

OLD = {"os_version": "6.1.7601"}
R2 = {"os_version": "6.3.9600"}
NO_DUMP, COMPLETE, KERNEL, SMALL = ({"crash_dump_enabled": n} for n in "0123")
ACTIVE = {**COMPLETE, "filter_pages": "1"}
LITTLE = {"ram": str(16 * GIB), "ram_installed": ABSENT}
MUCH = {"ram": str(1024 * GIB), "ram_installed": ABSENT}
DEDICATED = {"dedicated_dump_file": "D:\\dump.sys", "dump_file_size": str(48 * 1024)}
CLIENT = {"product_type": "1", "domain_role": "0"}
HPE = {"services": "hpqilo3"}
CLUSTER = {"services": "vmms\nClusSvc"}
MACHINES = rows({"name": "SQL01", "check_heartbeat": 1}, {"name": "SQL02", "check_heartbeat": 0})
OLD_DUMP = rows({"path": "C:\\WINDOWS\\memory.dmp", "bytes": 4 * GIB, "modified": BOOT})
DRILLED = {"proof_whole": "yes", "proof_drill": "yes", "proof_bytes": str(9 * GIB), "proof_seconds": "420"}
"""What our own case tells of an NMI at `NOW`."""
TIMER = {"watchdog_running": "yes", "watchdog_action": "hard reset", "watchdog_initial_s": "120"}

CASES: list[tuple[str, dict[str, str], Level | None]] = [
    ("CT-1", {}, OK),
    ("CT-1", {"nmi_controller": "!nobody to ask"}, CRITICAL),
    ("CT-1", {"nmi_controller": "!ipmi://192.0.2.110: nothing answered"}, UNKNOWN),
    ("CT-2", {}, OK),
    ("CT-2", {"power": "off"}, CRITICAL),
    ("CT-2", {"power": DENIED}, UNKNOWN),
    ("WNMI-1", {}, OK),
    ("WNMI-1", {"os_version": "6.2.9200", "nmi_crash_dump": DENIED}, OK),
    ("WNMI-1", OLD, CRITICAL),
    ("WNMI-1", {**OLD, "nmi_crash_dump": "0"}, CRITICAL),
    ("WNMI-1", {**OLD, "nmi_crash_dump": "1"}, OK),
    ("WNMI-1", {**OLD, "nmi_crash_dump": DENIED}, UNKNOWN),
    ("WNMI-1", {"os_version": DENIED}, UNKNOWN),
    ("WNMI-1", {"os_version": "Windows"}, UNKNOWN),
    ("WNMI-1", {"os_version": "10.x"}, UNKNOWN),
    ("WNMI-1", {"os_version": "6"}, UNKNOWN),
    ("WNMI-2", {}, OK),
    ("WNMI-2", {"keyboard_usb": "1"}, OK),
    ("WNMI-2", {"keyboard_ps2": DENIED, "keyboard_usb": DENIED, "keyboard_hyperv": DENIED}, UNKNOWN),
    ("WCC-1", {}, OK),
    ("WCC-1", KERNEL, OK),
    ("WCC-1", COMPLETE, OK),
    ("WCC-1", ACTIVE, OK),
    ("WCC-1", NO_DUMP, CRITICAL),
    ("WCC-1", SMALL, CRITICAL),
    ("WCC-1", {"crash_dump_enabled": "5"}, UNKNOWN),
    ("WCC-1", {"crash_dump_enabled": DENIED}, UNKNOWN),
    ("WCC-2", {}, OK),
    ("WCC-2", LITTLE, WARNING),
    ("WCC-2", {"ram": str(32 * GIB), "ram_installed": ABSENT}, WARNING),
    ("WCC-2", {**LITTLE, **COMPLETE}, OK),
    ("WCC-2", {**LITTLE, **ACTIVE}, OK),
    ("WCC-2", NO_DUMP, None),
    ("WCC-2", {"crash_dump_enabled": DENIED}, UNKNOWN),
    ("WCC-2", {"ram": DENIED, "ram_installed": DENIED}, UNKNOWN),
    ("WCC-3", {}, None),
    ("WCC-3", ACTIVE, None),
    ("WCC-3", COMPLETE, WARNING),
    ("WCC-3", {**COMPLETE, **LITTLE}, OK),
    ("WCC-3", {**COMPLETE, "ram": str(32 * GIB), "ram_installed": ABSENT}, OK),
    ("WCC-3", {**COMPLETE, "ram": DENIED, "ram_installed": DENIED}, UNKNOWN),
    ("WCC-3", {"crash_dump_enabled": DENIED}, UNKNOWN),
    ("WCC-4", {}, None),
    ("WCC-4", ACTIVE, OK),
    ("WCC-4", {**ACTIVE, **R2}, WARNING),
    ("WCC-4", {"filter_pages": DENIED}, UNKNOWN),
    ("WCC-4", {**ACTIVE, "os_version": DENIED}, UNKNOWN),
    ("WCC-5", {}, OK),
    ("WCC-5", {"dump_encryption": "1", "dump_certificate": "AB12"}, WARNING),
    ("WCC-5", {"dump_encryption": "1", "dump_certificate": DENIED}, WARNING),
    ("WCC-5", {"dump_encryption": DENIED}, UNKNOWN),
    ("WCC-6", {}, OK),
    ("WCC-6", {"guarded_host": "1"}, CRITICAL),
    ("WCC-6", {"guarded_host": DENIED}, UNKNOWN),
    ("WCC-7", {}, OK),
    ("WCC-7", {"auto_reboot": "0"}, WARNING),
    ("WCC-7", {"auto_reboot": DENIED}, UNKNOWN),
    ("WCC-8", {}, OK),
    ("WCC-8", {"overwrite": "0"}, WARNING),
    ("WCC-8", {"overwrite": "0", "dump_files": OLD_DUMP}, CRITICAL),
    ("WCC-8", {"overwrite": "1", "dump_files": OLD_DUMP}, OK),
    ("WCC-8", {"overwrite": "0", "dump_files": DENIED}, UNKNOWN),
    ("WCC-8", {"overwrite": DENIED}, UNKNOWN),
    ("WCC-9", {}, OK),
    ("WCC-9", CLIENT, OK),
    ("WCC-9", {**CLIENT, "domain_role": "1", "volumes": rows(volume("C:\\", 10))}, OK),
    ("WCC-9", {**CLIENT, "volumes": rows(volume("C:\\", 26))}, WARNING),
    ("WCC-9", {**CLIENT, "volumes": rows(volume("C:\\", 26)), "always_keep_memory_dump": "1"}, OK),
    ("WCC-9", {**CLIENT, "volumes": DENIED}, UNKNOWN),
    ("WCC-9", {"product_type": DENIED}, UNKNOWN),
    ("WCC-10", {}, OK),
    ("WCC-10", {"dump_filters": ABSENT}, OK),
    ("WCC-10", {"dump_filters": "dumpfve.sys\nacmefltr.sys"}, WARNING),
    ("WCC-10", {"dump_filters": ABSENT, "bitlocker": rows({"drive": "C:", "protection": 1})}, WARNING),
    ("WCC-10", {"dump_filters": ABSENT, "bitlocker": rows({"drive": "D:", "protection": 1})}, OK),
    ("WCC-10", {"dump_filters": ABSENT, "bitlocker": DENIED}, UNKNOWN),
    ("WCC-10", {"dump_filters": DENIED}, UNKNOWN),
    ("WPF-1", {}, OK),
    ("WPF-1", {"page_files": page_file(41, "d:\\pagefile.sys")}, WARNING),
    ("WPF-1", {"page_files": ABSENT}, CRITICAL),
    ("WPF-1", {"page_files": page_file(1, temporary=1)}, CRITICAL),
    ("WPF-1", {"page_files": ABSENT, **DEDICATED}, OK),
    ("WPF-1", {"page_files": ABSENT, "dedicated_dump_file": DENIED}, UNKNOWN),
    ("WPF-1", {"page_files": DENIED}, UNKNOWN),
    ("WPF-1", {"system_drive": DENIED}, UNKNOWN),
    ("WPF-1", NO_DUMP, None),
    ("WPF-2", {}, OK),
    ("WPF-2", {"page_files": page_file(39)}, WARNING),
    ("WPF-2", {"page_files": page_file(17)}, WARNING),
    ("WPF-2", {"page_files": page_file(16)}, WARNING),
    ("WPF-2", {"page_files": page_file(15)}, CRITICAL),
    ("WPF-2", {"ram": str(768 * GIB), "ram_installed": ABSENT, "page_files": page_file(127)}, WARNING),
    ("WPF-2", {"ram": str(767 * GIB), "ram_installed": ABSENT, "page_files": page_file(64)}, OK),
    ("WPF-2", {"ram": str(128 * GIB), "ram_installed": ABSENT, "page_files": page_file(40)}, OK),
    ("WPF-2", {"page_files": page_file(15), "ignore_page_file_size": "1"}, WARNING),
    ("WPF-2", {"page_files": page_file(15) + "\n" + page_file(99, "D:\\pagefile.sys")}, CRITICAL),
    ("WPF-2", {"page_files": page_file(99, "D:\\pagefile.sys")}, OK),
    ("WPF-2", {**LITTLE, "page_files": page_file(6)}, WARNING),
    ("WPF-2", {**LITTLE, "page_files": page_file(16.2)}, OK),
    ("WPF-2", {**LITTLE, "page_files": page_file(5)}, CRITICAL),
    ("WPF-2", {**COMPLETE, "page_files": page_file(64.3)}, OK),
    ("WPF-2", {**COMPLETE, "page_files": page_file(64.2)}, WARNING),
    ("WPF-2", {**COMPLETE, "page_files": page_file(64)}, CRITICAL),
    ("WPF-2", {**ACTIVE, "page_files": page_file(64.2)}, WARNING),
    ("WPF-2", {**ACTIVE, "page_files": page_file(41), **CLUSTER}, OK),
    ("WPF-2", {**SMALL, "page_files": page_file(1)}, OK),
    ("WPF-2", {**MUCH, "page_files": page_file(127)}, WARNING),
    ("WPF-2", {**MUCH, "page_files": page_file(128)}, OK),
    ("WPF-2", {"page_files": ABSENT}, None),
    ("WPF-2", DEDICATED, None),
    ("WPF-2", {"page_files": DENIED}, UNKNOWN),
    ("WPF-2", {"ram": DENIED, "ram_installed": DENIED}, UNKNOWN),
    ("WPF-3", {}, OK),
    ("WPF-3", {"paging_files": "C:\\pagefile.sys 0 0"}, OK),
    ("WPF-3", {"paging_files": f"C:\\pagefile.sys {41 * 1024} 50000"}, OK),
    ("WPF-3", {"paging_files": "c:\\PageFile.sys 65000 65000"}, WARNING),
    ("WPF-3", {"paging_files": "C:\\pagefile.sys\nD:\\pagefile.sys 0 0"}, WARNING),
    ("WPF-3", {"paging_files": DENIED}, UNKNOWN),
    ("WDD-1", {}, None),
    ("WDD-1", DEDICATED, OK),
    ("WDD-1", {**DEDICATED, "dump_file_size": str(20 * 1024)}, WARNING),
    ("WDD-1", {**DEDICATED, "dump_file_size": str(4 * 1024)}, CRITICAL),
    ("WDD-1", {**DEDICATED, "dedicated_dump_file": "E:\\dump.sys"}, CRITICAL),
    ("WDD-1", {**DEDICATED, "dedicated_dump_file": "X:\\dump.sys"}, CRITICAL),
    ("WDD-1", {**DEDICATED, "dedicated_dump_file": "C:\\ClusterStorage\\Volume1\\dump.sys"}, CRITICAL),
    ("WDD-1", {**DEDICATED, "dump_file_size": ABSENT}, OK),
    (
        "WDD-1",
        {
            **DEDICATED,
            "dump_file_size": "0",
            "dump_files": rows({"path": "D:\\DUMP.SYS", "bytes": 8 * GIB, "modified": BOOT}),
        },
        CRITICAL,
    ),
    ("WDD-1", {**DEDICATED, "volumes": DENIED}, UNKNOWN),
    ("WDD-1", {**DEDICATED, "ram": DENIED, "ram_installed": DENIED}, UNKNOWN),
    (
        "WDD-1",
        {**DEDICATED, "dump_file_size": ABSENT, "volumes": rows({"path": "D:\\", "kind": 3})},
        UNKNOWN,
    ),
    ("WDD-1", {"dedicated_dump_file": DENIED}, UNKNOWN),
    ("WTG-1", {}, OK),
    ("WTG-1", {"dump_file": "\\\\nas.example.com\\dumps\\MEMORY.DMP"}, CRITICAL),
    ("WTG-1", {"dump_file": "E:\\MEMORY.DMP"}, CRITICAL),
    ("WTG-1", {"dump_file": "Q:\\MEMORY.DMP"}, CRITICAL),
    ("WTG-1", {"volumes": DENIED}, UNKNOWN),
    ("WTG-1", {"dump_file": ABSENT}, UNKNOWN),
    ("WTG-2", {}, OK),
    ("WTG-2", {"volumes": rows(volume("C:\\", 24))}, WARNING),
    ("WTG-2", {"volumes": rows(volume("C:\\", 20))}, CRITICAL),
    ("WTG-2", {"volumes": rows(volume("C:\\", 24)), "dump_files": OLD_DUMP}, OK),
    ("WTG-2", {"volumes": rows(volume("C:\\", 24)), "dump_files": OLD_DUMP, "overwrite": "0"}, WARNING),
    ("WTG-2", {**COMPLETE, "volumes": rows(volume("C:\\", 65))}, OK),
    ("WTG-2", {"dump_file": "E:\\x.dmp", "volumes": rows(volume("C:\\", 65))}, None),
    ("WTG-2", NO_DUMP, None),
    ("WTG-2", {"volumes": DENIED}, UNKNOWN),
    ("WTG-2", {"ram": DENIED, "ram_installed": DENIED}, UNKNOWN),
    ("WTG-3", {}, OK),
    ("WTG-3", {"storage_drivers": "vioscsi", "dump_events": ABSENT}, WARNING),
    ("WTG-3", {"storage_drivers": "vioscsi"}, OK),
    ("WTG-3", {"storage_drivers": "vioscsi", "dump_events": ABSENT, **DRILLED}, OK),
    ("WTG-3", {"boot_disks": rows({"bus": 9}), "dump_events": ABSENT}, WARNING),
    ("WTG-3", {"boot_disks": DENIED}, UNKNOWN),
    ("WTG-3", {"boot_disks": ABSENT}, OK),
    ("WTG-3", {"storage_drivers": DENIED}, UNKNOWN),
    ("WPR-1", {}, OK),
    ("WPR-1", {"dump_events": ABSENT}, WARNING),
    ("WPR-1", {"dump_events": ABSENT, "bug_checks": record(1001, 9, "0x80", "C:\\MEMORY.DMP")}, OK),
    ("WPR-1", {"dump_events": ABSENT, "bug_checks": record(1001, 9, "0x80", "")}, WARNING),
    ("WPR-1", {"dump_events": f"{WRITTEN}\n{record(161, -10)}"}, WARNING),
    ("WPR-1", {"dump_events": f"{WRITTEN}\n{record(161, -9000)}"}, OK),
    ("WPR-1", {"dump_events": DENIED}, UNKNOWN),
    ("WPR-1", {**DRILLED, "dump_events": DENIED}, OK),
    ("WPR-1", {**DRILLED, "dump_events": record(161, 15)}, OK),
    ("WPR-1", {**DRILLED, "proof_whole": "no", "dump_events": WRITTEN}, WARNING),
    ("WPR-1", {**DRILLED, "dump_events": record(161, 9_000_000)}, WARNING),
    ("WPR-2", {}, OK),
    ("WPR-2", {"dump_events": record(46, 15)}, CRITICAL),
    ("WPR-2", {"dump_events": record(49, -15)}, CRITICAL),
    ("WPR-2", {"dump_events": record(46, -500)}, OK),
    ("WPR-2", {"dump_events": record(161, 15)}, OK),
    ("WPR-2", {"dump_events": DENIED}, UNKNOWN),
    ("WPR-2", {"boot_time": DENIED}, UNKNOWN),
    ("WPR-3", {}, OK),
    ("WPR-3", {"restarts": record(41, 1, "0"), "bug_checks": record(1001, 9, "0x80")}, OK),
    ("WPR-3", {"restarts": DENIED}, UNKNOWN),
    ("WSV-1", {"services": ABSENT}, OK),
    ("WSV-1", {"services": "VMTools"}, OK),
    ("WSV-1", {**HPE, **MUCH}, WARNING),
    ("WSV-1", {**HPE, **COMPLETE}, WARNING),
    ("WSV-1", {**HPE, **LITTLE}, OK),
    ("WSV-1", {**HPE, "crash_dump_enabled": DENIED}, UNKNOWN),
    ("WSV-1", {"services": DENIED}, UNKNOWN),
    ("WSV-2", {}, None),
    ("WSV-2", {"services": "vmms", "cluster_vms": MACHINES}, None),
    ("WSV-2", {"services": "ClusSvc", "cluster_vms": MACHINES}, None),
    ("WSV-2", {**CLUSTER, "cluster_vms": MACHINES}, WARNING),
    ("WSV-2", {**CLUSTER, "cluster_vms": rows({"name": "SQL02", "check_heartbeat": 0})}, OK),
    ("WSV-2", {**CLUSTER, "cluster_vms": DENIED}, UNKNOWN),
    ("WSV-2", {"services": DENIED}, UNKNOWN),
    ("WSV-3", {}, OK),
    ("WSV-3", {"services": "vmicheartbeat"}, OK),
    ("WSV-3", {"services": DENIED}, UNKNOWN),
    ("WSV-4", {}, OK),
    ("WSV-4", CLUSTER, OK),
    ("WSV-4", {"services": DENIED}, UNKNOWN),
    ("WD-1", {}, OK),
    ("WD-1", TIMER, CRITICAL),
    ("WD-1", {**TIMER, **LITTLE}, OK),
    ("WD-1", {"watchdog_action": DENIED}, UNKNOWN),
    ("CH-1", {}, OK),
    ("CH-1", {"channel": "!nobody to ask"}, WARNING),
    ("CH-1", {"channel": "!winrm://192.0.2.51: nothing answered"}, UNKNOWN),
    ("WCH-1", {}, OK),
    ("WCH-1", {"administrator": "0"}, WARNING),
    ("WCH-1", {"administrator": DENIED}, UNKNOWN),
]


@pytest.mark.parametrize(("check", "changes", "level"), CASES)
def test_rule(check: str, changes: dict[str, str], level: Level | None) -> None:
    verdict = WINDOWS[check](facts(changes))
    assert (verdict.level if verdict else None) is level
    assert verdict is None or verdict.check == check


def test_every_rule_of_windows_is_tested_for_ok_not_ok_and_unknown() -> None:
    shared = RULES[Platform.LINUX]
    for check in (name for name, rule in WINDOWS.items() if shared.get(name) is not rule):
        levels = {level for name, _, level in CASES if name == check}
        assert {OK, UNKNOWN} <= levels, check
        assert levels & {WARNING, CRITICAL} or CHECKS[check].severity is Severity.INFO, check


def test_a_healthy_host_is_ok_in_every_link() -> None:
    links = chain(judge(Platform.WINDOWS, facts()))
    assert {link.link: link.reason for link in links if link.level is not OK} == {}


def test_a_host_that_said_nothing_is_never_ok() -> None:
    for verdict in judge(Platform.WINDOWS, {}):
        assert verdict.level is UNKNOWN, verdict
    denied = facts(dict.fromkeys(HEALTHY, DENIED), dict.fromkeys(NAMES, DENIED))
    assert {verdict.level for verdict in judge(Platform.WINDOWS, denied)} == {UNKNOWN}


def test_the_weakest_link_names_what_would_stop_the_dump() -> None:
    link = weakest(chain(judge(Platform.WINDOWS, facts({"page_files": page_file(4)}))))
    assert (link.level, link.link) == (CRITICAL, Link.FITS)
    assert "4.0 GiB" in link.reason
    assert "40.0 GiB" in link.reason
    assert "(WPF-2)" in link.reason


def test_a_kernel_that_is_too_old_for_active_dumps_writes_complete_ones() -> None:
    need = requirement(facts(ACTIVE, R2))
    assert need is not None
    assert need == requirement(facts(COMPLETE))
    assert need.loose > 64 * GIB
    advice = WINDOWS["WCC-3"](facts(ACTIVE, R2))
    assert advice is not None
    assert "a kernel dump" in advice.reason


def test_memory_that_the_firmware_keeps_for_itself_counts() -> None:
    need = requirement(facts(COMPLETE, {"ram": str(60 * GIB)}))
    assert need is not None
    assert need.strict == 64 * GIB + 300 * 1024**2


@pytest.mark.parametrize(
    ("changes", "gib", "minutes", "how"),
    [
        ({}, 64 / 3, 3.6, "a third of memory for an automatic dump"),
        ({**COMPLETE, **MUCH}, 1024, 174.8, "all of memory for a complete dump"),
        ({**ACTIVE, **MUCH, **CLUSTER}, 40, 6.8, "a third of memory for an active dump"),
        ({**ACTIVE, **MUCH}, 1024, 174.8, "all of memory at most for an active dump"),
    ],
)
def test_the_estimate_says_how_it_was_made(
    changes: dict[str, str], gib: float, minutes: float, how: str
) -> None:
    found = dump_estimate(facts(changes))
    assert found is not None
    assert found.bytes / GIB == pytest.approx(gib, rel=0.01)
    assert found.seconds / 60 == pytest.approx(minutes, rel=0.02)
    assert how in found.how
    assert "100 MiB/s" in found.how
    assert dump_estimate(facts({"ram": DENIED, "ram_installed": DENIED})) is None
    assert dump_estimate(facts(NO_DUMP)) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "no keyboard"),
        ({"keyboard_usb": "1", "keyboard_hyperv": "1"}, "on a USB or the Hyper-V keyboard"),
        ({"keyboard_ps2": "0", "keyboard_usb": "1"}, "on a USB keyboard"),
        ({"keyboard_usb_keys": "6"}, "the keys of Dump1Keys"),
        ({"keyboard_ps2": "1", "keyboard_ps2_keys": "6"}, "only one of them may be"),
    ],
)
def test_the_keys_that_crash_the_host_are_named(changes: dict[str, str], said: str) -> None:
    told = WINDOWS["WNMI-2"](facts(changes))
    assert told is not None
    assert said in told.reason


def test_a_row_that_makes_no_sense_is_left_out_and_the_others_count() -> None:
    broken = "\n".join(("{", "[1]", '{"id": "46"}', '{"id": "x", "time": "1"}', record(46, 15)))
    told = WINDOWS["WPR-2"](facts({"dump_events": broken}))
    assert told is not None
    assert told.level is CRITICAL


def test_the_last_crash_is_told_with_its_code_and_its_time() -> None:
    told = WINDOWS["WPR-3"](
        facts(
            {
                "restarts": record(41, 60, "128", "0x4f4454"),
                "bug_checks": record(1001, 9, "0x00000080 (0x4f4454, …)"),
            }
        )
    )
    assert told is not None
    assert "bug check was 0x00000080 on 2026-10-31 23:40 UTC" in told.reason
    assert "after bug check 0x80" in told.reason


def test_the_remedies_of_windows_alone_are_powershell() -> None:
    for check in (CHECKS[id] for id in WINDOWS if id not in RULES[Platform.LINUX]):
        assert check.language == "powershell"
        for line in (line for lines in check.commands.values() for line in lines):
            assert re.match(r"\$\w+ \S|[A-Z][a-z]+-[A-Z]\w+|if \(", line), line
            assert not re.search(r"\b(reg|wmic|shutdown)\b", line), line


def test_preflight_stops_the_nmi_where_no_dump_would_come_of_it() -> None:
    stopped = {
        name: {v.check for v in would_dump(facts(changes), NOW) if v.level is CRITICAL}
        for name, changes in {
            "healthy": {},
            "no dump": NO_DUMP,
            "small page file": {"page_files": page_file(4)},
            "no page file": {"page_files": ABSENT},
            "old": OLD,
            "guarded": {"guarded_host": "1"},
            "full": {"volumes": rows(volume("C:\\", 1))},
            "kept": {"overwrite": "0", "dump_files": OLD_DUMP},
            "complaint": {"dump_events": record(46, 15)},
            "dedicated": {**DEDICATED, "dump_file_size": "512"},
        }.items()
    }
    assert stopped == {
        "healthy": set(),
        "no dump": {"dump-configured"},
        "small page file": {"page-file-size"},
        "no page file": {"page-file"},
        "old": {"nmi-crashes"},
        "guarded": {"dump-allowed"},
        "full": {"dump-space"},
        "kept": {"dump-kept"},
        "complaint": {"dump-prepared"},
        "dedicated": {"dedicated-dump-file"},
    }


def test_preflight_tells_the_age_of_its_facts_and_the_way_out() -> None:
    [verdict] = [
        v for v in would_dump(facts(NO_DUMP), NOW + timedelta(days=2)) if v.check == "dump-configured"
    ]
    assert "read over winrm 2 d 0 h ago" in verdict.reason
    assert "--accept dump-configured" in verdict.remedy


def test_preflight_of_a_host_of_which_nothing_is_known_is_one_unknown() -> None:
    [verdict] = would_dump({}, NOW)
    assert verdict.level is UNKNOWN
    assert "hang-collector audit" in verdict.remedy


def test_preflight_of_the_few_facts_of_a_run_is_unknown_where_they_do_not_tell() -> None:
    unasked = dict.fromkeys(("volumes", "dump_events", "dump_files"), "!not asked")
    levels = {v.check: v.level for v in would_dump(facts(unasked), NOW)}
    assert {name for name, level in levels.items() if level is UNKNOWN} == {
        "dump-prepared",
        "dump-place",
        "dump-space",
    }
    assert levels["page-file-size"] is OK


TEXT = st.sampled_from(
    ["", "0", "1", "nan", "-5", "{}", "[]", '{"path": "C:\\\\"}', '{"id": "9"}', "\x1b[2J", "9" * 5000]
) | st.text(max_size=60)


@given(st.dictionaries(st.sampled_from(sorted(NAMES)), TEXT, max_size=12))
def test_no_answer_of_a_host_breaks_the_audit(changes: dict[str, str]) -> None:
    given_facts = facts({name: text or ABSENT for name, text in changes.items()})
    assert weakest(chain(judge(Platform.WINDOWS, given_facts))).reason
    would_dump(given_facts, NOW)
    dump_estimate(given_facts)
