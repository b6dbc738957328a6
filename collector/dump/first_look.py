"""What a crashed Linux kernel says for itself: its log, and in it the lines that tell what happened.

Source of the texts: Linux kernel/panic.c, arch/x86/kernel/nmi.c, kernel/watchdog.c, kernel/hung_task.c,
kernel/rcu/tree_stall.h, drivers/tty/sysrq.c, drivers/watchdog/hpwdt.c, mm/oom_kill.c.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from collector.dump import printk
from collector.dump.memory import Kernel, kernel
from collector.dump.printk import Record
from collector.dump.report import Cause, DumpFormat, Source, printable
from collector.errors import DumpError

FORMATS = frozenset({DumpFormat.KDUMP, DumpFormat.FLATTENED, DumpFormat.ELF})
"""The formats in which there is a Linux kernel to ask."""

_MOST_TELLING = 40
_NAME_BYTES = 65
_NODE_NAME = _NAME_BYTES  # the second name of struct new_utsname, include/uapi/linux/utsname.h

_TELLING = re.compile(
    r"Kernel panic - not syncing|NMI received for unknown reason|NMI: (PCI system|IOCK) error"
    r"|hard LOCKUP|soft lockup|blocked for more than \d+ seconds|rcu.* (detected|self-detected) stall"
    r"|^(BUG|Oops|general protection fault)\b|Hardware Error|Out of memory: Killed|sysrq: Trigger a crash"
)
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
_NMIS = (
    ("NMI", "an NMI arrived, and the kernel is set to panic on one"),
    ("An NMI occurred", "an NMI arrived, and the server's watchdog driver panics on one"),
)
_MEANINGS = (
    *_NMIS,
    ("sysrq triggered crash", "somebody asked for it with SysRq c"),
    ("hung_task", "a task was blocked for too long, and the kernel is set to panic then"),
    ("softlockup", "a CPU was busy in the kernel for too long, and the kernel is set to panic then"),
    ("Hard LOCKUP", "a CPU took no interrupts for too long, and the kernel is set to panic then"),
    ("Watchdog detected hard LOCKUP", "a CPU took no interrupts for too long"),
    ("RCU Stall", "a CPU did not schedule for too long, and the kernel is set to panic then"),
    ("Fatal exception", "the kernel itself faulted: see the BUG or Oops before it"),
    ("Attempted to kill init", "process 1 died"),
    ("Out of memory", "no memory was left, and the kernel is set to panic then"),
    ("Fatal hardware error", "the hardware reported an error that it could not correct"),
    ("Fatal machine check", "the processor reported an error that it could not correct"),
)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What the log says.

    Args:
        log: every record that was read, oldest first.
        whole: False when that took too long, or too much memory, and older records were left out.
        telling: the lines that say what happened, the last of them when there are many.
        command_line: the kernel's own, when the log still has it.
        cause: why it panicked; None when it did not.
        uptime: seconds from boot to the last record.
        hostname: as `uname -n` said it; None where the kernel does not say where it kept it.
    """

    log: Sequence[Record]
    whole: bool
    telling: Sequence[str]
    command_line: str | None
    cause: Cause | None
    uptime: float | None
    hostname: str | None


def look(source: Source, seconds: float = printk.LONGEST_READ) -> FirstLook:
    """Read the kernel's log out of a dump, without debug symbols, for so many seconds at most.

    Raises:
        DumpError: the dump does not hold it, or not where its kernel says.
    """
    memory = kernel(source)
    read = printk.read(memory, seconds)
    log = read.records
    commands = (r.text.removeprefix("Command line: ") for r in log if r.text.startswith("Command line: "))
    return FirstLook(
        log=log,
        whole=read.whole,
        telling=[str(record) for record in log if _TELLING.search(record.text)][-_MOST_TELLING:],
        command_line=next(commands, None),
        cause=_cause(log),
        uptime=log[-1].nanoseconds / 1e9 if log else None,
        hostname=_hostname(memory),
    )


def _hostname(memory: Kernel) -> str | None:
    """Return the name of the host out of `struct uts_namespace`, which not every dump has the page of."""
    try:
        name = memory.symbol("init_uts_ns") + memory.offset("uts_namespace.name") + _NODE_NAME
        return printable(memory.read(name, _NAME_BYTES)) or None
    except DumpError:
        return None


def _cause(log: Sequence[Record]) -> Cause | None:
    """The first panic: what comes after it came of it."""
    panic = next((match for record in log if (match := _PANIC.search(record.text))), None)
    if panic is None:
        return None
    text = panic[1]
    meaning = next((meaning for start, meaning in _MEANINGS if text.startswith(start)), "")
    nmi = text.startswith(tuple(start for start, _ in _NMIS))
    return Cause("panic", f"{text} ({meaning})" if meaning else text, nmi)
