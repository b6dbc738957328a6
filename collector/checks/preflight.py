"""Would an NMI at this moment end in a dump? The rules that the run asks before it sends one.

They are the audit's own, under the names that `--accept` knows, and with the age of what they judge.
`CRITICAL` stops the run unless a person accepts that check by name; `UNKNOWN` and `WARNING` are said aloud.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from collector.adapters.answers import HA_RESET, GuestState, PowerState, WatchdogState
from collector.checks import controller, linux_capture, linux_nmi
from collector.checks.rule import is_absent
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict


def power(state: PowerState) -> Verdict:
    """A host without power cannot take an NMI."""
    return tonight("power", controller.power(state), "Power it on instead.")


def guest(state: GuestState) -> Verdict:
    """A virtual machine that waits for a person's answer stands still, and looks as if it hung."""
    if state.question is not None:
        return Verdict(
            "question",
            Level.CRITICAL,
            f"the hypervisor waits for an answer, and the machine stands still until then: {state.question}",
            "Answer it in the hypervisor's console; or go on with --accept question.",
        )
    return Verdict("question", Level.OK, f"the hypervisor waits for nothing; heartbeat {state.heartbeat}")


def watchdog(state: WatchdogState, dump_seconds: float) -> Verdict:
    """A running watchdog timer that nobody feeds resets the host in the middle of its dump.

    Args:
        state: the controller's timer.
        dump_seconds: how long the dump may take, at most.
    """
    stop = controller.STOP_HA if state.action == HA_RESET else "Stop it (`ipmitool mc watchdog off`)."
    return tonight(
        "watchdog", controller.watchdog(state, dump_seconds), f"{stop} Or go on with --accept watchdog."
    )


def kdump_armed(facts: Facts, now: datetime) -> Verdict:
    """Is a capture kernel loaded? From facts read just now, or recorded when the host last answered."""
    if value(facts, "kexec_crash_loaded") is None and not is_absent(facts, "kexec_crash_loaded"):
        return Verdict(
            "kdump-armed",
            Level.UNKNOWN,
            "the host cannot be asked now, and nothing was recorded while it answered",
            "Record it before the next incident: `hang-collector audit HOST` on a healthy host.",
        )
    verdict = linux_capture.armed(facts) or linux_capture.firmware_assisted(facts)
    return tonight(
        "kdump-armed",
        verdict,
        "Look at the screen and the serial console instead, or go on with --accept kdump-armed.",
        age(facts, "kexec_crash_loaded", now),
    )


def nmi_panics(facts: Facts, now: datetime) -> Verdict:
    """Does an NMI of unknown reason become a panic?"""
    known = next((name for name in linux_nmi.UNKNOWN_NMI if value(facts, name) is not None), None)
    if known is None:
        return Verdict("nmi-panics", Level.UNKNOWN, "it is not known whether the host panics on an NMI")
    verdict = linux_nmi.unknown_nmi(facts) or linux_nmi.architecture(facts)
    return tonight(
        "nmi-panics",
        verdict,
        "Only the hpwdt driver would still panic; if it is loaded, go on with --accept nmi-panics.",
        age(facts, known, now),
    )


def tonight(check: str, verdict: Verdict | None, remedy: str, read: str = "") -> Verdict:
    """The audit's verdict with this stage's name and way out, and when it was `read`."""
    assert verdict is not None, "one rule of each pair applies"
    reason = f"{verdict.reason} ({read})" if read else verdict.reason
    return replace(verdict, check=check, reason=reason, remedy="" if verdict.level is Level.OK else remedy)


def age(facts: Facts, name: str, now: datetime) -> str:
    """How long ago a fact was read, and over which channel; nothing where it was never read."""
    if value(facts, name) is None:
        return ""
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
