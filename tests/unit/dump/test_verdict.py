"""What must never happen: a whole dump of another crash is taken for ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.dump.identify import inspect_source
from collector.dump.report import Buffer, Cause, DumpFormat, DumpReport, Identity, State
from collector.dump.verdict import Expected, judge, remedy
from tests.unit.dump import windows_generator

CRASHED = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)


def report(state: State = State.COMPLETE, **identity: object) -> DumpReport:
    return DumpReport(DumpFormat.KDUMP, state, "so it is", 10, identity=Identity(**identity))  # type: ignore[arg-type]


def expected(*, since: float = -2, until: float = 300, **more: object) -> Expected:
    """A crash between a claim and a find that are so many seconds from CRASHED."""
    begin, end = (CRASHED + timedelta(seconds=seconds) for seconds in (since, until))
    return Expected(since=begin, until=end, nmi=True, **more)  # type: ignore[arg-type]


NMI = Cause("panic", "NMI: Not continuing", nmi=True)
HUNG_TASK = Cause("panic", "hung_task: blocked tasks")


@pytest.mark.parametrize(("since", "until"), [(660, 900), (-7200, -660)])
def test_a_whole_dump_of_a_crash_before_the_nmi_or_after_it_was_found_is_stale(
    since: int, until: int
) -> None:
    verdict = judge(report(crash_time=CRASHED, cause=NMI), expected(since=since, until=until))
    assert verdict.report.state is State.STALE
    older = "an older crash" if since > 0 else "a crash after it was found"
    assert verdict.report.reason == f"it is whole, but of {older}: 2026-11-21 03:12:44 UTC"
    assert verdict.remedy
    assert verdict.origin == ""


@pytest.mark.parametrize(("since", "until"), [(-3600, 10), (0, 300), (540, 800), (-3600, -540)])
def test_a_clock_that_is_a_little_off_makes_no_dump_stale(since: int, until: int) -> None:
    assert judge(report(crash_time=CRASHED), expected(since=since, until=until)).report.complete


@pytest.mark.parametrize("hours", [-10, 10])
def test_a_host_whose_clock_is_hours_off_is_judged_by_its_own_clock(hours: int) -> None:
    """It wrote the file three minutes after the crash, and both times are its own."""
    away = hours * 3600
    for written, state in (
        (CRASHED + timedelta(minutes=3), State.COMPLETE),
        (CRASHED + timedelta(hours=3), State.STALE),
        (CRASHED - timedelta(hours=3), State.STALE),
    ):
        crash = expected(since=away, until=away + 300, written=written)
        assert judge(report(crash_time=CRASHED), crash).report.state is state


def test_a_dump_that_was_found_days_later_is_not_any_dump_of_these_days() -> None:
    found = expected(since=86400, until=86400 * 4, written=CRASHED + timedelta(days=2))
    assert judge(report(crash_time=CRASHED), found).report.state is State.STALE


def test_a_crash_by_an_nmi_right_after_our_claim_is_ours() -> None:
    verdict = judge(report(crash_time=CRASHED, cause=NMI), expected())
    assert verdict.origin == "it crashed 2 s after the claim of our NMI, by the two clocks; it was an NMI"
    assert verdict.note == ""
    same = judge(report(crash_time=CRASHED), expected(since=0.9)).origin
    assert same.startswith("it crashed within a second of the claim of our NMI")
    assert same.endswith("the dump does not say why")


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(
    ("code", "origin", "note"),
    [
        (0x80, "it was an NMI", ""),
        (0x133, "", "something else at the time: 0x133: DPC_WATCHDOG_VIOLATION"),
        (0x161, "", "something else at the time: 0x161: LIVE_SYSTEM_DUMP"),
    ],
)
def test_a_windows_dump_is_of_our_nmi_by_its_bug_check_and_its_time(
    bits: int, code: int, origin: str, note: str
) -> None:
    dump = windows_generator.full(bits, code=code, crashed=int(CRASHED.timestamp()))
    verdict = judge(inspect_source(Buffer(dump.data)), expected(system="10.0.17763"))
    assert verdict.report.complete
    assert verdict.origin.endswith(origin)
    assert bool(verdict.origin) == bool(origin)
    assert note in verdict.note
    assert bool(verdict.note) == bool(note)


def test_a_crash_of_something_else_right_after_our_claim_is_said_plainly() -> None:
    verdict = judge(report(crash_time=CRASHED, cause=HUNG_TASK), expected())
    assert verdict.report.complete
    assert verdict.origin == ""
    assert "our NMI did not cause this crash" in verdict.note
    assert "something else at the time: panic: hung_task: blocked tasks" in verdict.note


def test_nothing_is_said_of_our_nmi_where_we_sent_none() -> None:
    verdict = judge(report(crash_time=CRASHED, cause=HUNG_TASK), Expected(since=CRASHED, until=CRASHED))
    assert (verdict.origin, verdict.note) == ("", "")


def test_a_dump_that_does_not_say_when_it_crashed_is_whole_and_proves_nothing() -> None:
    verdict = judge(report(cause=NMI), expected())
    assert verdict.report.complete
    assert verdict.origin == ""
    assert "does not say when it crashed" in verdict.note
    assert judge(report(State.EMPTY), expected()).note == ""


def test_a_dump_that_is_not_whole_stays_that() -> None:
    old = report(State.TRUNCATED, crash_time=CRASHED)
    verdict = judge(old, expected(since=86400, until=86700))
    assert verdict.report is old
    assert verdict.origin == ""


@pytest.mark.parametrize("name", ["db01", "DB01", "db01.example.com"])
def test_the_short_name_of_the_host_is_enough(name: str) -> None:
    assert judge(report(hostname="db01.corp.example.com"), Expected(host=name)).note == ""


def test_the_name_of_another_host_is_said_and_is_not_fatal() -> None:
    verdict = judge(report(hostname="db02"), Expected(host="db01"))
    assert "db02" in verdict.note
    assert verdict.report.complete


@pytest.mark.parametrize(
    ("inside", "told", "same"),
    [
        ("6.1.0-9-amd64", "6.1.0-9-amd64", True),
        ("6.1.0-9-amd64", "5.10.0-1-amd64", False),
        ("Windows build 20348", "10.0.20348", True),
        ("Windows build 20348", "10.0.17763", False),
        ("Windows build 20348", "", True),
        (None, "10.0.17763", True),
    ],
)
def test_the_system_in_the_dump_is_held_against_the_one_that_the_host_told(
    inside: str | None, told: str, same: bool
) -> None:
    note = judge(report(kernel_release=inside), Expected(system=told)).note
    assert (note == "") == same
    assert same or told in note


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
