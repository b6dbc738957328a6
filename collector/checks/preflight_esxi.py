"""Would an NMI at this moment end in a dump of this ESXi host, and what else does it take down?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from collector.checks import esxi
from collector.checks.preflight import age, tonight
from collector.model.fact import Facts, number
from collector.model.verdict import Level, Verdict

_RULES: dict[str, tuple[str, Callable[[Facts], Verdict | None]]] = {
    "coredump-place": ("coredump_file", esxi.place_for_dump),
    "coredump-allowed": ("minimal_panic", esxi.may_dump),
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
