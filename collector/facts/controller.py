"""What a controller says of itself and of the host it watches: power, NMI, timer, event log, clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.adapters.base import (
    Clock,
    EventLogRoom,
    HostView,
    NmiOffer,
    NmiReaction,
    Power,
    PowerRestore,
    Privilege,
    Watchdog,
)
from collector.adapters.limits import Deadline
from collector.errors import AdapterError
from collector.model.fact import Fact, Facts

Values = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class _Question:
    """The capability that answers, the facts that it gives, and how to ask."""

    capability: type[object]
    names: tuple[str, ...]
    ask: Callable[[object, Deadline], Values]


def gather(controller: object, source: str, deadline: Deadline) -> Facts:
    """Ask a controller that is logged in for all that its adapter is able to; `source` names it.

    What it cannot tell, or does not answer, is missing with that reason. Only reads.
    """
    answers: dict[str, str | None] = {}
    reasons: dict[str, str] = {}
    for question in _QUESTIONS:
        if isinstance(controller, question.capability):
            try:
                answers.update(question.ask(controller, deadline))
            except AdapterError as error:
                reasons.update(dict.fromkeys(question.names, error.message))
    now = datetime.now(UTC)
    return {
        name: Fact(name, answers[name], source, now)
        if answers.get(name)
        else Fact(name, None, source, now, reasons.get(name, "the controller does not tell"))
        for name in NAMES
    }


def seen_by_vcenter(vcenter: HostView, source: str, deadline: Deadline) -> Facts:
    """What a vCenter says of one of its ESXi hosts. Only reads. Raises: AdapterError."""
    seen, now = vcenter.host_state(deadline), datetime.now(UTC)
    values = {
        "vcenter_connection": str(seen.connection),
        "vcenter_maintenance": _yes_or_no(seen.maintenance),
        "vcenter_machines": str(seen.running),
    }
    return {name: Fact(name, text, source, now) for name, text in values.items()}


def _power(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, Power)
    return {"power": str(controller.power_state(deadline))}


def _offer(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, NmiOffer)
    return {"nmi_offered": _yes_or_no(controller.offers_nmi(deadline))}


def _privilege(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, Privilege)
    return {"privilege": controller.privilege(deadline)}


def _reactions(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, NmiReaction)
    return {"nmi_reactions": ", ".join(controller.nmi_reactions(deadline)) or "none"}


def _timer(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, Watchdog)
    state = controller.watchdog(deadline)
    return {
        "watchdog_running": _yes_or_no(state.running),
        "watchdog_action": state.action,
        "watchdog_initial_s": None if state.initial_s is None else f"{state.initial_s:.1f}",
    }


def _room(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, EventLogRoom)
    room = controller.event_log_room(deadline)
    return {
        "log_free_bytes": "unlimited" if room.free is None else str(room.free),
        "log_overflow": _yes_or_no(room.overflow),
    }


def _clock(controller: object, deadline: Deadline) -> Values:
    """Seconds by which the controller's clock is ahead of ours, or `not set`."""
    assert isinstance(controller, Clock)
    asked, told, heard = datetime.now(UTC), controller.clock(deadline), datetime.now(UTC)
    if told is None:
        return {"clock_ahead_s": "not set"}
    return {"clock_ahead_s": str(round((told - asked - (heard - asked) / 2).total_seconds()))}


def _restore(controller: object, deadline: Deadline) -> Values:
    assert isinstance(controller, PowerRestore)
    return {"power_restore": controller.power_restore(deadline)}


def _yes_or_no(answer: bool) -> str:
    return "yes" if answer else "no"


_QUESTIONS = (
    _Question(Power, ("power",), _power),
    _Question(NmiOffer, ("nmi_offered",), _offer),
    _Question(Privilege, ("privilege",), _privilege),
    _Question(NmiReaction, ("nmi_reactions",), _reactions),
    _Question(Watchdog, ("watchdog_running", "watchdog_action", "watchdog_initial_s"), _timer),
    _Question(EventLogRoom, ("log_free_bytes", "log_overflow"), _room),
    _Question(Clock, ("clock_ahead_s",), _clock),
    _Question(PowerRestore, ("power_restore",), _restore),
)

NAMES = tuple(name for question in _QUESTIONS for name in question.names)
"""The facts that a whole answer holds, each with its value or its reason."""
