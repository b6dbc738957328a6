"""What a controller says of the host it watches: power, and the timer that would reset it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from collector.adapters.base import Power, Watchdog
from collector.adapters.limits import Deadline
from collector.errors import AdapterError
from collector.model.fact import Fact, Facts

NAMES = ("power", "watchdog_running", "watchdog_action", "watchdog_initial_s")
"""The facts that a whole answer holds, each with its value or its reason."""


def gather(controller: object, source: str, deadline: Deadline) -> Facts:
    """Ask a controller that is logged in for all that its adapter is able to; `source` names it.

    What it cannot tell, or does not answer, is missing with that reason. Only reads.
    """
    answers: dict[str, str | None] = {}
    reasons: dict[str, str] = {}
    if isinstance(controller, Power):
        _ask(lambda: {"power": str(controller.power_state(deadline))}, ("power",), answers, reasons)
    if isinstance(controller, Watchdog):
        _ask(lambda: _timer(controller, deadline), NAMES[1:], answers, reasons)
    now = datetime.now(UTC)
    return {
        name: Fact(name, answers[name], source, now)
        if answers.get(name)
        else Fact(name, None, source, now, reasons.get(name, "the controller does not tell"))
        for name in NAMES
    }


def _timer(controller: Watchdog, deadline: Deadline) -> Mapping[str, str | None]:
    state = controller.watchdog(deadline)
    return {
        "watchdog_running": "yes" if state.running else "no",
        "watchdog_action": state.action,
        "watchdog_initial_s": None if state.initial_s is None else f"{state.initial_s:.1f}",
    }


def _ask(
    question: Callable[[], Mapping[str, str | None]],
    names: tuple[str, ...],
    answers: dict[str, str | None],
    reasons: dict[str, str],
) -> None:
    try:
        answers.update(question())
    except AdapterError as error:
        reasons.update(dict.fromkeys(names, error.message))
