"""What must never happen: a whole dump of another crash is taken for ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.dump.report import DumpFormat, DumpReport, Identity, State
from collector.dump.verdict import judge, remedy

CRASHED = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)


def report(state: State = State.COMPLETE, **identity: object) -> DumpReport:
    return DumpReport(DumpFormat.KDUMP, state, "so it is", 10, identity=Identity(**identity))  # type: ignore[arg-type]


def test_a_whole_dump_that_is_older_than_the_nmi_is_stale() -> None:
    verdict = judge(report(crash_time=CRASHED), since=CRASHED + timedelta(minutes=11))
    assert verdict.report.state is State.STALE
    assert "older crash: 2026-11-21 03:12:44 UTC" in verdict.report.reason
    assert verdict.remedy


@pytest.mark.parametrize("behind", [-3600, 0, 540])
def test_a_clock_that_is_a_little_behind_makes_no_dump_stale(behind: int) -> None:
    assert judge(report(crash_time=CRASHED), since=CRASHED + timedelta(seconds=behind)).report.complete


def test_a_dump_that_does_not_say_when_it_crashed_is_believed() -> None:
    assert judge(report(), since=CRASHED).report.complete


def test_a_dump_that_is_not_whole_stays_that() -> None:
    old = report(State.TRUNCATED, crash_time=CRASHED)
    assert judge(old, since=CRASHED + timedelta(days=1)).report is old


@pytest.mark.parametrize("name", ["db01", "DB01", "db01.example.com"])
def test_the_short_name_of_the_host_is_enough(name: str) -> None:
    assert judge(report(hostname="db01.corp.example.com"), host=name).note == ""


def test_the_name_of_another_host_is_said_and_is_not_fatal() -> None:
    verdict = judge(report(hostname="db02"), host="db01")
    assert "db02" in verdict.note
    assert verdict.report.complete


@pytest.mark.parametrize("state", State)
def test_every_state_but_complete_says_what_to_do(state: State) -> None:
    for kind in DumpFormat:
        assert bool(remedy(kind, state)) == (state is not State.COMPLETE)


def test_what_to_do_fits_the_system_that_crashed() -> None:
    assert "page file" in remedy(DumpFormat.WINDOWS, State.TRUNCATED)
    assert ".vmem" in remedy(DumpFormat.VMWARE, State.INCOMPLETE)
    assert "vmkdump_extract" in remedy(DumpFormat.ESXI, State.UNKNOWN)
    for kind in (DumpFormat.WINDOWS, DumpFormat.VMWARE):
        assert "kexec" not in remedy(kind, State.INCOMPLETE)
