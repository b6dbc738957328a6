from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.checks.audit import RULES, chain, judge, weakest, worst
from collector.checks.catalog import CHECKS
from collector.checks.kdump_config import Kind, config
from collector.checks.linux_memory import estimate
from collector.checks.linux_target import dump_estimate
from collector.facts.linux_script import NAMES
from collector.model.audit import Link, Severity
from collector.model.host import Platform
from collector.model.verdict import Level
from tests.unit.checks.facts import ABSENT, DEBIAN, DENIED, SUSE, facts

OFF = {"unknown_nmi_panic": "0", "panic_on_unrecovered_nmi": "0"}
TEXT = st.sampled_from(
    ["", "0", "1", "nan", "-", "=", ":", "\x1b[2J", "a b c d e f g", "9" * 5000]
) | st.text(max_size=80)


def decide(**changes: str) -> tuple[Level, Link, str]:
    link = weakest(chain(judge(Platform.LINUX, facts(changes))))
    return link.level, link.link, link.reason


def test_every_rule_has_its_page_in_the_catalog_and_every_page_its_rule() -> None:
    assert {check for rules in RULES.values() for check in rules} == set(CHECKS)
    for check in CHECKS.values():
        assert all((check.title, check.why, check.remedy, check.source))


def test_a_healthy_host_is_ok_in_every_link() -> None:
    assert {link.level for link in chain(judge(Platform.LINUX, facts()))} == {Level.OK}


def test_the_weakest_link_decides_and_names_its_check() -> None:
    assert decide(**OFF)[:2] == (Level.CRITICAL, Link.CRASH)
    assert "(NMI-1)" in decide(**OFF)[2]
    assert decide(kexec_crash_loaded="0", panic_on_io_nmi="0")[:2] == (Level.CRITICAL, Link.CAPTURE)


def test_of_two_links_that_are_as_weak_the_first_is_named() -> None:
    assert decide(**OFF, kexec_crash_loaded="0")[1] is Link.CRASH


def test_what_nobody_could_read_outweighs_a_warning_but_not_a_fault() -> None:
    assert decide(kexec_crash_loaded=DENIED, panic_on_io_nmi="0")[:2] == (Level.UNKNOWN, Link.CAPTURE)
    assert decide(kexec_crash_loaded=DENIED, **OFF)[0] is Level.CRITICAL


def test_what_could_break_nothing_does_not_decide_when_it_is_unknown() -> None:
    level, *_ = decide(sysrq=DENIED, nmi_settings=DENIED)
    assert level is Level.OK
    assert any(v.level is Level.UNKNOWN for v in judge(Platform.LINUX, facts({"sysrq": DENIED})))


def test_a_check_that_informs_never_warns() -> None:
    for change in ({}, {"sysrq": "0"}, {"panic": "30"}, {"hardlockup_panic": "0"}):
        for verdict in judge(Platform.LINUX, facts(change)):
            assert verdict.severity is not Severity.INFO or verdict.level in (Level.OK, Level.UNKNOWN)


def test_a_host_that_said_nothing_is_unknown_in_every_link() -> None:
    links = chain(judge(Platform.LINUX, {}))
    assert {link.level for link in links} == {Level.UNKNOWN}
    assert {link.level for link in chain(judge(Platform.WINDOWS, {}))} == {Level.UNKNOWN}


@pytest.mark.parametrize(("family", "command"), [({}, "grubby"), (DEBIAN, "update-grub"), (SUSE, "zypper")])
def test_the_commands_are_those_of_the_hosts_distribution(family: dict[str, str], command: str) -> None:
    bare = {"kexec_crash_loaded": "0", "kexec_crash_size": "0", "cmdline": "ro"}
    verdicts = {v.id: v for v in judge(Platform.LINUX, facts(family, bare))}
    assert any(command in line for line in verdicts["KD-1"].commands)


def test_what_is_well_has_nothing_to_mend() -> None:
    for verdict in judge(Platform.LINUX, facts()):
        assert not verdict.remedy
        assert not verdict.commands


@given(st.dictionaries(st.sampled_from(sorted(NAMES)), TEXT, max_size=12))
def test_no_answer_of_a_host_breaks_the_audit(changes: dict[str, str]) -> None:
    given_facts = facts({name: text or ABSENT for name, text in changes.items()})
    assert weakest(chain(judge(Platform.LINUX, given_facts))).reason
    estimate(given_facts)


def test_the_worst_host_decides() -> None:
    assert worst([Level.OK, Level.UNKNOWN, Level.WARNING]) is Level.WARNING
    assert worst([Level.OK, Level.UNKNOWN]) is Level.UNKNOWN
    assert worst([]) is Level.OK


def test_a_dump_without_user_pages_is_the_kernels_memory() -> None:
    ram = 16_000_000 * 1024 + 268435456
    small, large = estimate(facts()), estimate(facts(), level=0)
    assert small is not None
    assert large is not None
    assert small.bytes == ram // 64 + 500_000 * 1024
    assert large.bytes == small.bytes + (4_000_000 + 6_000_000 + 3_000_000) * 1024
    assert large.seconds > small.seconds > 60
    assert "meminfo" in small.how
    assert estimate(facts({"meminfo": ABSENT})) is None


def test_a_dump_that_was_measured_here_says_how_long_the_next_one_takes() -> None:
    model = dump_estimate(facts())
    measured = dump_estimate(facts({"proof_seconds": "212", "proof_bytes": "1288490189"}))
    assert model is not None
    assert measured is not None
    assert (measured.bytes, measured.seconds) == (model.bytes, 212.0)
    assert "212 s measured from the NMI to a whole dump of 1.2 GiB on 2026-11-21" in measured.how
    timer = {"watchdog_running": "yes", "watchdog_action": "hard reset", "watchdog_initial_s": "200"}
    without = {v.id: v.level for v in judge(Platform.LINUX, facts(timer))}
    slow = {v.id: v.level for v in judge(Platform.LINUX, facts(timer, {"proof_seconds": "212"}))}
    assert (without["WD-1"], slow["WD-1"]) == (Level.OK, Level.CRITICAL)


@pytest.mark.parametrize(
    ("changes", "kind", "path", "device", "level"),
    [
        ({"kdump_conf": "path /a\npath /b # the last one wins"}, Kind.LOCAL, "/b", "", 31),
        ({"kdump_conf": "xfs /dev/sdb1\npath /x"}, Kind.LOCAL, "/x", "/dev/sdb1", 31),
        ({"kdump_conf": "ssh kdump@192.0.2.9\npath /x"}, Kind.SSH, "/x", "kdump@192.0.2.9", 31),
        (
            {"kdump_conf": "raw /dev/sdc\ncore_collector makedumpfile -d 1,31"},
            Kind.RAW,
            "/var/crash",
            "/dev/sdc",
            31,
        ),
        ({"kdump_conf": "core_collector /bin/cp"}, Kind.LOCAL, "/var/crash", "", None),
        (
            {**DEBIAN, "kdump_tools": "NFS=nas:/d\nMAKEDUMP_ARGS='-c -d 17'"},
            Kind.NFS,
            "/var/crash",
            "nas:/d",
            17,
        ),
        ({**DEBIAN, "kdump_tools": "#SSH=x\nKDUMP_COREDIR=/d"}, Kind.LOCAL, "/d", "", 31),
        ({**SUSE, "kdump_sysconfig": "KDUMP_SAVEDIR=file:///d"}, Kind.LOCAL, "/d", "", 31),
        ({**SUSE, "kdump_sysconfig": "KDUMP_SAVEDIR=nfs://nas/d"}, Kind.NFS, "nas/d", "nas/d", 31),
        ({**SUSE, "kdump_sysconfig": 'KDUMP_DUMPLEVEL="0"'}, Kind.LOCAL, "/var/crash", "", 0),
    ],
)
def test_the_target_is_read_by_each_distributions_grammar(
    changes: dict[str, str], kind: Kind, path: str, device: str, level: int | None
) -> None:
    found = config(facts(changes))
    assert found is not None
    assert (found.target.kind, found.target.path, found.target.device, found.target.level) == (
        kind, path, device, level,
    )  # fmt: skip
