from __future__ import annotations

from collector.adapters.base import PowerState, WatchdogState
from collector.adapters.limits import Deadline
from collector.errors import UnsupportedError
from collector.facts.controller import NAMES, gather
from collector.model.fact import value


class Board:
    def power_state(self, deadline: Deadline) -> PowerState:
        return PowerState.ON

    def watchdog(self, deadline: Deadline) -> WatchdogState:
        return WatchdogState(running=True, action="hard reset", initial_s=60.0, present_s=12.0)


class Blind(Board):
    def watchdog(self, deadline: Deadline) -> WatchdogState:
        raise UnsupportedError("the BMC has no watchdog timer", hint="")


def test_a_controller_tells_power_and_timer() -> None:
    facts = gather(Board(), "ipmi://192.0.2.110", Deadline.after(1))
    assert {name: value(facts, name) for name in NAMES} == {
        "power": "on",
        "watchdog_running": "yes",
        "watchdog_action": "hard reset",
        "watchdog_initial_s": "60.0",
    }


def test_what_it_refuses_is_missing_with_its_own_words() -> None:
    facts = gather(Blind(), "ipmi://192.0.2.110", Deadline.after(1))
    assert value(facts, "power") == "on"
    assert facts["watchdog_action"].missing == "the BMC has no watchdog timer"


def test_what_its_adapter_is_not_able_to_is_missing() -> None:
    facts = gather(object(), "x", Deadline.after(1))
    assert {fact.missing for fact in facts.values()} == {"the controller does not tell"}
