"""The bug checks that a hang can end in: what Windows says of itself when it stops.

Source: Microsoft Learn, "Bug check code reference"; KB2750146 for 0x80. Codes that say nothing of a hang keep
their number alone: the debugger explains them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.dump.report import Cause

NMI = 0x80
NMI_ARGUMENT = 0x4F4454
"""First parameter of an NMI that no hardware error explains: a button, a BMC or a hypervisor sent it."""

_FROM_LIVE_KERNEL = 0x1000_0000
"""Windows sets this bit for some callers (0x1000007E is 0x7E)."""


@dataclass(frozen=True, slots=True)
class BugCheck:
    """One bug check: its name, its meaning for a hang, and what values of its first parameter add."""

    name: str
    meaning: str
    first_parameter: dict[int, str] = field(default_factory=dict)


BUG_CHECKS = {
    0x00: BugCheck("NO_BUG_CHECK", "the system did not stop: a live dump, or one that a debugger wrote"),
    0x77: BugCheck("KERNEL_STACK_INPAGE_ERROR", "a kernel stack could not be read back from the page file"),
    0x7A: BugCheck("KERNEL_DATA_INPAGE_ERROR", "kernel data could not be read back from the page file"),
    0x7F: BugCheck(
        "UNEXPECTED_KERNEL_MODE_TRAP",
        "the processor trapped in the kernel",
        {0x0: "divide error", 0x6: "invalid opcode", 0x8: "double fault, often a kernel stack that ran over"},
    ),
    NMI: BugCheck(
        "NMI_HARDWARE_FAILURE",
        "a non-maskable interrupt",
        {NMI_ARGUMENT: "from the button, the BMC or the hypervisor, or from failing hardware"},
    ),
    0x9C: BugCheck("MACHINE_CHECK_EXCEPTION", "the processor reported a hardware error"),
    0x9E: BugCheck("USER_MODE_HEALTH_MONITOR", "a process failed its health check: a cluster node that hung"),
    0x9F: BugCheck(
        "DRIVER_POWER_STATE_FAILURE",
        "a driver did not finish a change of power state",
        {0x3: "a device holds a request for too long", 0x4: "waiting for Plug and Play took too long"},
    ),
    0xE2: BugCheck("MANUALLY_INITIATED_CRASH", "somebody asked for it: the keyboard, or a debugger"),
    0xEA: BugCheck("THREAD_STUCK_IN_DEVICE_DRIVER", "a driver's thread spins on its device"),
    0xEF: BugCheck("CRITICAL_PROCESS_DIED", "a process that Windows cannot do without ended"),
    0xF4: BugCheck(
        "CRITICAL_OBJECT_TERMINATION",
        "a process or thread that Windows cannot do without ended",
        {0x3: "a process", 0x6: "a thread"},
    ),
    0x101: BugCheck("CLOCK_WATCHDOG_TIMEOUT", "a processor no longer answers its clock interrupt"),
    0x124: BugCheck(
        "WHEA_UNCORRECTABLE_ERROR", "the hardware reported a fatal error", {0x0: "a machine check"}
    ),
    0x133: BugCheck(
        "DPC_WATCHDOG_VIOLATION",
        "a processor was kept from its threads for too long",
        {0x0: "by one DPC", 0x1: "by all its DPCs and interrupts together"},
    ),
    0x161: BugCheck("LIVE_SYSTEM_DUMP", "the system ran on: a live dump, or QEMU's dump-guest-memory"),
    0x1C8: BugCheck("MANUALLY_INITIATED_POWER_BUTTON_HOLD", "somebody held the power button"),
    0x1CA: BugCheck("SYNTHETIC_WATCHDOG_TIMEOUT", "no processor moved for too long, said the hypervisor"),
    0xDEAD_DEAD: BugCheck("MANUALLY_INITIATED_CRASH1", "somebody asked for it, by a program"),
}


def explain(code: int, parameters: Sequence[int]) -> Cause:
    """Return the bug check with what it means; the meaning of an unknown code is where to look it up."""
    plain = code if code in BUG_CHECKS else code & ~_FROM_LIVE_KERNEL
    known = BUG_CHECKS.get(plain)
    if known is None:
        return Cause(f"{plain:#x}", "a bug check that does not speak of a hang: see Microsoft's reference")
    detail = known.first_parameter.get(parameters[0]) if parameters else None
    return Cause(
        f"{plain:#x}", f"{known.name}: {known.meaning}" + (f" ({detail})" if detail else ""), nmi=plain == NMI
    )
