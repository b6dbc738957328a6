"""Would an NMI at this moment end in a dump? Pure rules that the run asks before it sends one.

`CRITICAL` stops the run unless a person accepts that check by name; `UNKNOWN` and `WARNING` are said aloud.
"""

from __future__ import annotations

from datetime import datetime

from collector.adapters.base import PowerState, WatchdogState
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict


def power(state: PowerState) -> Verdict:
    """A host without power cannot take an NMI."""
    if state is PowerState.ON:
        return Verdict("power", Level.OK, "the controller says the host is on")
    if state is PowerState.OFF:
        return Verdict(
            "power", Level.CRITICAL, "the host is powered off: an NMI does nothing", "Power it on instead."
        )
    return Verdict("power", Level.UNKNOWN, "the controller does not say whether the host is on")


def watchdog(state: WatchdogState, dump_seconds: float) -> Verdict:
    """A running watchdog timer that nobody feeds resets the host in the middle of its dump.

    Args:
        state: the controller's timer (IPMI 2.0 section 27, Get Watchdog Timer).
        dump_seconds: how long the dump may take, at most.
    """
    if not state.running or state.action == "none":
        return Verdict("watchdog", Level.OK, "no watchdog timer of the controller would reset the host")
    left = state.present_s if state.present_s is not None else state.initial_s
    when = f"in {left:.0f} s" if left is not None else "soon"
    if left is not None and left > dump_seconds:
        return Verdict("watchdog", Level.OK, f"the watchdog's {state.action} comes only {when}")
    return Verdict(
        "watchdog",
        Level.CRITICAL,
        f"the controller's watchdog timer is running and will do a {state.action} {when}, "
        "before the dump is written",
        "Stop it (`ipmitool mc watchdog off`), or go on with --accept watchdog.",
    )


def kdump_armed(facts: Facts, now: datetime) -> Verdict:
    """Is a capture kernel loaded? From facts read just now, or recorded when the host last answered."""
    loaded = value(facts, "kexec_crash_loaded")
    if loaded is None:
        return Verdict(
            "kdump-armed",
            Level.UNKNOWN,
            "the host cannot be asked now, and nothing was recorded while it answered",
            "Record it before the next incident: `hang-collector probe HOST` on a healthy host.",
        )
    since = _age(facts, "kexec_crash_loaded", now)
    if loaded.strip() == "1":
        return Verdict("kdump-armed", Level.OK, f"a capture kernel is loaded ({since})")
    return Verdict(
        "kdump-armed",
        Level.CRITICAL,
        f"no capture kernel is loaded ({since}): the NMI would reboot the host and leave no dump",
        "Look at the screen and the serial console instead, or go on with --accept kdump-armed.",
    )


def nmi_panics(facts: Facts, now: datetime) -> Verdict:
    """Does an NMI of unknown reason become a panic (Linux arch/x86/kernel/nmi.c, unknown_nmi_error)?"""
    names = ("unknown_nmi_panic", "panic_on_unrecovered_nmi")
    values = {name: value(facts, name) for name in names}
    if all(v is None for v in values.values()):
        return Verdict("nmi-panics", Level.UNKNOWN, "it is not known whether the host panics on an NMI")
    known = next(name for name, v in values.items() if v is not None)
    since = _age(facts, known, now)
    if "1" in values.values():
        return Verdict("nmi-panics", Level.OK, f"an NMI becomes a panic ({since})")
    return Verdict(
        "nmi-panics",
        Level.CRITICAL,
        f"kernel.unknown_nmi_panic and kernel.panic_on_unrecovered_nmi are 0 ({since}): "
        "the kernel would ignore the NMI",
        "Only the hpwdt driver would still panic; if it is loaded, go on with --accept nmi-panics.",
    )


def _age(facts: Facts, name: str, now: datetime) -> str:
    fact = facts[name]
    seconds = int((now - fact.time).total_seconds())
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        age = f"{days} d {hours} h"
    elif hours:
        age = f"{hours} h {minutes} min"
    else:
        age = f"{minutes} min {seconds % 60} s"
    return f"read over {fact.source} {age} ago"
