from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.adapters.answers import GuestState, PowerState, WatchdogState
from collector.checks.preflight import guest, kdump_armed, nmi_panics, power, watchdog
from collector.model.fact import Fact, Facts
from collector.model.verdict import Level

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)


def facts(age: timedelta = timedelta(0), **values: str | None) -> Facts:
    return {
        name: Fact(name, value, "ssh", NOW - age, "" if value else "denied") for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (PowerState.ON, Level.OK),
        (PowerState.OFF, Level.CRITICAL),
        (PowerState.UNKNOWN, Level.UNKNOWN),
    ],
)
def test_power(state: PowerState, level: Level) -> None:
    assert power(state).level is level


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (WatchdogState(running=False, action="hard reset", initial_s=60, present_s=20), Level.OK),
        (WatchdogState(running=True, action="none", initial_s=60, present_s=20), Level.OK),
        (WatchdogState(running=True, action="hard reset", initial_s=60, present_s=20), Level.CRITICAL),
        (WatchdogState(running=True, action="hard reset", initial_s=6000, present_s=5000), Level.OK),
        (WatchdogState(running=True, action="hard reset", initial_s=None, present_s=None), Level.CRITICAL),
        (WatchdogState(running=True, action="power cycle", initial_s=600, present_s=None), Level.CRITICAL),
    ],
)
def test_a_watchdog_that_fires_during_the_dump_is_critical(state: WatchdogState, level: Level) -> None:
    assert watchdog(state, dump_seconds=3600).level is level


@pytest.mark.parametrize(("question", "level"), [(None, Level.OK), ("Disk is full. Retry?", Level.CRITICAL)])
def test_a_machine_that_waits_for_a_person_gets_no_nmi(question: str | None, level: Level) -> None:
    state = GuestState(PowerState.ON, "red", "running", NOW, question, "connected", "esx01")
    verdict = guest(state)
    assert verdict.level is level
    assert (question or "red") in verdict.reason


def test_a_fact_that_is_missing_is_unknown_never_ok() -> None:
    assert kdump_armed({}, NOW).level is Level.UNKNOWN
    assert kdump_armed(facts(kexec_crash_loaded=None), NOW).level is Level.UNKNOWN
    assert nmi_panics({}, NOW).level is Level.UNKNOWN


def test_no_capture_kernel_is_critical_and_the_age_of_the_fact_is_said() -> None:
    verdict = kdump_armed(facts(timedelta(days=3, hours=2), kexec_crash_loaded="0"), NOW)
    assert verdict.level is Level.CRITICAL
    assert "3 d 2 h ago" in verdict.reason
    assert kdump_armed(facts(kexec_crash_loaded="1"), NOW).level is Level.OK


@pytest.mark.parametrize(
    ("unknown", "unrecovered", "level"),
    [
        ("1", "0", Level.OK),
        ("0", "1", Level.OK),
        (None, "1", Level.OK),
        ("0", "0", Level.CRITICAL),
        ("0", None, Level.CRITICAL),
        (None, None, Level.UNKNOWN),
    ],
)
def test_either_setting_turns_an_nmi_into_a_panic(
    unknown: str | None, unrecovered: str | None, level: Level
) -> None:
    given = facts(unknown_nmi_panic=unknown, panic_on_unrecovered_nmi=unrecovered)
    assert nmi_panics(given, NOW).level is level
