"""Would an NMI at this moment end in a dump of this ESXi host, and what else does it take down?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from collector.adapters.answers import Connection, HostState
from collector.checks import esxi
from collector.checks.preflight import age, tonight
from collector.model.fact import Facts, number
from collector.model.verdict import Level, Verdict

_RULES: dict[str, tuple[str, Callable[[Facts], Verdict | None]]] = {
    "coredump-place": ("coredump_file", esxi.place_for_dump),
    "coredump-allowed": ("minimal_panic", esxi.may_dump),
    "dump-slot": ("dump_slot", esxi.slot_is_free),
    "nmi-panics": ("nmi_lint", esxi.nmi_panics),
    "purple-screen-stays": ("blue_screen_timeout", esxi.stays_purple),
}


def would_dump(facts: Facts, now: datetime) -> list[Verdict]:
    """The audit's own verdicts under the names that `--accept` knows, and how many machines go down too.

    Args:
        facts: read just now, or recorded while the host still answered.
        now: what their age is told from.
    """
    verdicts = [
        tonight(name, rule(facts), f"If you know better, go on with --accept {name}.", age(facts, fact, now))
        for name, (fact, rule) in _RULES.items()
    ]
    count = number(facts, "machines")
    known = "an unknown number of" if count is None else f"{count:.0f}"
    level = Level.OK if count == 0 else Level.WARNING
    return [*verdicts, Verdict("machines", level, f"{known} virtual machines on it go down without warning")]


def seen_by_vcenter(state: HostState) -> list[Verdict]:
    """What the vCenter knows that matters now: whether it hears the host, and who goes down with it."""
    where = "; it is in maintenance mode" if state.maintenance else ""
    if state.connection is Connection.DISCONNECTED:
        heard = Verdict(
            "vcenter",
            Level.WARNING,
            f"somebody disconnected the host from the vCenter: what that knows of it is old{where}",
            "Ask who is working on it.",
        )
    else:
        heard = Verdict("vcenter", Level.OK, f"the vCenter says {state.connection}{where}")
    if state.running == 0:
        return [heard, Verdict("machines", Level.OK, "the vCenter knows no machine that runs on it")]
    return [
        heard,
        Verdict(
            "machines",
            Level.WARNING,
            f"{state.running} virtual machines run on it, as the vCenter knows it: all of them go down "
            "without warning, and come back elsewhere only where vSphere HA restarts them",
            "Tell those whose machines they are; move away what the vCenter still can.",
        ),
    ]
