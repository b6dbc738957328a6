from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from collector.adapters.answers import LogRoom, PowerState, WatchdogState
from collector.adapters.limits import Deadline
from collector.errors import UnsupportedError
from collector.facts.controller import NAMES, gather
from collector.model.fact import value


class Board:
    """A controller that can answer everything."""

    ahead: timedelta | None = timedelta(seconds=3600)

    def power_state(self, deadline: Deadline) -> PowerState:
        return PowerState.ON

    def offers_nmi(self, deadline: Deadline) -> bool:
        return False

    def privilege(self, deadline: Deadline) -> str:
        return "operator"

    def nmi_reactions(self, deadline: Deadline) -> Sequence[str]:
        return ["reset", "another NMI"]

    def watchdog(self, deadline: Deadline) -> WatchdogState:
        return WatchdogState(running=True, action="hard reset", initial_s=60.0, present_s=12.0)

    def event_log_room(self, deadline: Deadline) -> LogRoom:
        return LogRoom(records=999, free=16, overflow=True)

    def clock(self, deadline: Deadline) -> datetime | None:
        return None if self.ahead is None else datetime.now(UTC) + self.ahead

    def power_restore(self, deadline: Deadline) -> str:
        return "as it was"


class Blind(Board):
    def watchdog(self, deadline: Deadline) -> WatchdogState:
        raise UnsupportedError("the BMC has no watchdog timer", hint="")


class Roomy(Board):
    ahead = None

    def nmi_reactions(self, deadline: Deadline) -> Sequence[str]:
        return ()

    def event_log_room(self, deadline: Deadline) -> LogRoom:
        return LogRoom(records=1, free=None, overflow=False)


def told(board: object) -> dict[str, str | None]:
    facts = gather(board, "ipmi://192.0.2.110", Deadline.after(1))
    assert set(facts) == set(NAMES)
    return {name: value(facts, name) for name in NAMES}


def test_a_controller_tells_all_that_an_audit_asks() -> None:
    answers = told(Board())
    assert abs(int(answers.pop("clock_ahead_s") or "") - 3600) <= 1
    assert answers == {
        "power": "on",
        "nmi_offered": "no",
        "privilege": "operator",
        "nmi_reactions": "reset, another NMI",
        "watchdog_running": "yes",
        "watchdog_action": "hard reset",
        "watchdog_initial_s": "60.0",
        "log_free_bytes": "16",
        "log_overflow": "yes",
        "power_restore": "as it was",
    }


@pytest.mark.parametrize(
    ("name", "answer"),
    [("nmi_reactions", "none"), ("log_free_bytes", "unlimited"), ("clock_ahead_s", "not set")],
)
def test_nothing_to_tell_is_an_answer_too(name: str, answer: str) -> None:
    assert told(Roomy())[name] == answer


def test_what_it_refuses_is_missing_with_its_own_words() -> None:
    facts = gather(Blind(), "ipmi://192.0.2.110", Deadline.after(1))
    assert value(facts, "power") == "on"
    assert facts["watchdog_action"].missing == "the BMC has no watchdog timer"


def test_what_its_adapter_is_not_able_to_is_missing() -> None:
    facts = gather(object(), "x", Deadline.after(1))
    assert {fact.missing for fact in facts.values()} == {"the controller does not tell"}
