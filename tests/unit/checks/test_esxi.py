"""Each rule of an ESXi host says OK, not OK, and UNKNOWN where its fact is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.adapters.answers import Connection, HostState, PowerState
from collector.checks.audit import RULES, chain, judge
from collector.checks.catalog import CHECKS
from collector.checks.preflight_esxi import seen_by_vcenter, would_dump
from collector.facts import linux
from collector.facts.esxi import NAMES
from collector.model.audit import Severity
from collector.model.fact import Fact, Facts
from collector.model.host import Platform
from collector.model.verdict import Level
from tests.unit.checks.facts import facts as everywhere
from tests.unit.facts.esxi_answers import answer, kernel, option

OK, WARNING, CRITICAL, UNKNOWN = Level.OK, Level.WARNING, Level.CRITICAL, Level.UNKNOWN
NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
EMPTY = "   Active:\n   Configured:"
FAILED = "!the command failed"
NETDUMP = (
    "   Enabled: true\n   Host VNic: vmk0\n   Network Server IP: 192.0.2.5\n   Network Server Port: 6500"
)


def facts(changes: dict[str, str]) -> Facts:
    return {**everywhere(), **linux.parse(answer(**changes), "ssh", NOW, NAMES)}


CASES: list[tuple[str, dict[str, str], Level | None]] = [
    ("ENMI-1", {}, OK),
    ("ENMI-1", {"nmi_lint": option("/x", 2)}, OK),
    ("ENMI-1", {"nmi_lint": option("/x", 1)}, WARNING),
    ("ENMI-1", {"nmi_lint": option("/x", 3)}, CRITICAL),
    ("ENMI-1", {"nmi_lint": option("/x", 4)}, CRITICAL),
    ("ENMI-1", {"nmi_lint": option("/x", 9)}, UNKNOWN),
    ("ENMI-1", {"nmi_lint": FAILED}, UNKNOWN),
    ("ENMI-2", {}, OK),
    ("ENMI-2", {"nmi_action": kernel(3)}, CRITICAL),
    ("ENMI-2", {"nmi_action": FAILED}, UNKNOWN),
    ("ECD-1", {}, OK),
    ("ECD-1", {"coredump_file": EMPTY, "coredump_partition": "   Active: mpx.vmhba32:C0:T0:L0:9"}, OK),
    ("ECD-1", {"coredump_file": EMPTY}, CRITICAL),
    ("ECD-1", {"coredump_file": EMPTY, "coredump_network": NETDUMP}, WARNING),
    ("ECD-1", {"coredump_file": FAILED}, UNKNOWN),
    ("ECD-2", {}, OK),
    ("ECD-2", {"minimal_panic": option("/x", 1)}, CRITICAL),
    ("ECD-2", {"minimal_panic": FAILED}, UNKNOWN),
    ("ECD-3", {}, OK),
    ("ECD-3", {"suppress_coredump_warning": option("/x", 1)}, WARNING),
    ("ECD-3", {"suppress_coredump_warning": FAILED}, UNKNOWN),
    ("ETG-1", {}, OK),
    ("ETG-1", {"core_folder": "/var/core"}, WARNING),
    ("ETG-1", {"core_folder": FAILED}, UNKNOWN),
    ("ETG-2", {}, OK),
    ("ETG-2", {"core_folder": "/vmfs/volumes/5f3c-12/core"}, WARNING),
    ("ETG-2", {"core_folder": "/vmfs/volumes/gone/core"}, UNKNOWN),
    ("ETG-2", {"core_folder": "/var/core"}, None),
    ("ETG-2", {"filesystems": FAILED}, UNKNOWN),
    ("ETG-3", {}, OK),
    ("ETG-3", {"dump_slot": "file /vmfs/volumes/5f3c-1/vmkdump/4C4C.dumpfile"}, WARNING),
    ("ETG-3", {"dump_slot": FAILED}, UNKNOWN),
    ("ESV-1", {}, OK),
    ("ESV-1", {"blue_screen_timeout": option("/x", 120)}, WARNING),
    ("ESV-1", {"blue_screen_timeout": option("/x", 7200)}, OK),
    ("ESV-1", {"blue_screen_timeout": FAILED}, UNKNOWN),
    ("ESV-2", {}, OK),
    ("ESV-2", {"machines": FAILED}, UNKNOWN),
    ("EPR-1", {}, OK),
    ("EPR-1", {"cores": "!none"}, OK),
    ("EPR-1", {"cores": FAILED}, UNKNOWN),
]


@pytest.mark.parametrize(("check", "changes", "level"), CASES)
def test_rule(check: str, changes: dict[str, str], level: Level | None) -> None:
    verdict = RULES[Platform.ESXI][check](facts(changes))
    assert (verdict.level if verdict else None) is level


def test_every_rule_of_esxi_is_tested_for_ok_not_ok_and_unknown() -> None:
    for check in RULES[Platform.ESXI]:
        if not check.startswith("E"):
            continue
        levels = {level for name, _, level in CASES if name == check}
        assert {OK, UNKNOWN} <= levels
        assert levels & {WARNING, CRITICAL} or CHECKS[check].severity is Severity.INFO


def test_a_healthy_host_is_ok_in_every_link() -> None:
    links = chain(judge(Platform.ESXI, facts({})))
    assert {link.link: link.reason for link in links if link.level is not OK} == {}


def test_preflight_stops_where_no_dump_would_be_written_and_says_who_else_goes_down() -> None:
    verdicts = {v.check: v for v in would_dump(facts({"minimal_panic": option("/x", 1)}), NOW)}
    assert verdicts["coredump-allowed"].level is CRITICAL
    assert "--accept coredump-allowed" in verdicts["coredump-allowed"].remedy
    assert "12 virtual machines" in verdicts["machines"].reason
    later = would_dump(facts({}), NOW + timedelta(hours=5))
    assert "read over ssh 5 h 0 min ago" in later[0].reason


def test_preflight_of_a_host_of_which_nothing_is_known_is_unknown_never_ok() -> None:
    assert {v.level for v in would_dump({}, NOW)} == {UNKNOWN, WARNING}


def state(running: int, connection: Connection = Connection.NOT_RESPONDING, **more: bool) -> HostState:
    return HostState(
        PowerState.UNKNOWN, connection, "none", more.get("maintenance", False), None, running + 2, running
    )


def test_preflight_says_how_many_machines_the_vcenter_sees_go_down() -> None:
    verdicts = {v.check: v for v in seen_by_vcenter(state(40))}
    assert verdicts["machines"].level is WARNING
    assert "40 virtual machines" in verdicts["machines"].reason
    assert verdicts["vcenter"].reason == "the vCenter says notResponding"


def test_the_audit_takes_the_vcenters_count_where_the_host_does_not_tell() -> None:
    seen = {
        name: Fact(name, text, "vsphere", NOW)
        for name, text in (
            ("vcenter_machines", "7"),
            ("vcenter_maintenance", "yes"),
            ("vcenter_connection", "notResponding"),
        )
    }
    told = RULES[Platform.ESXI]["ESV-2"]({**facts({"machines": FAILED}), **seen})
    assert told is not None
    assert told.reason.startswith("7 virtual machines run on it as its vCenter knows it")
    assert told.reason.endswith("; it is in maintenance mode; the vCenter says notResponding")
    own = RULES[Platform.ESXI]["ESV-2"]({**facts({}), **seen})
    assert own is not None
    assert own.reason.startswith("12 virtual machines run on it and")


def test_an_empty_host_in_maintenance_takes_nobody_down() -> None:
    heard, machines = seen_by_vcenter(state(0, maintenance=True))
    assert (heard.level, machines.level) == (OK, OK)
    assert "maintenance mode" in heard.reason


def test_a_vcenter_that_was_told_to_disconnect_knows_only_what_was() -> None:
    heard, _ = seen_by_vcenter(state(3, Connection.DISCONNECTED))
    assert heard.level is WARNING
    assert "is old" in heard.reason
