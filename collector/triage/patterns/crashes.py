"""How the system ended: bug checks of Windows, purple screens of ESXi."""

from __future__ import annotations

import re
from collections.abc import Iterator

from collector.triage.model import Analysis, Psod, Stack
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect

_CODES = "https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-code-reference2"
_DPC = "https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x133-dpc-watchdog-violation"
_SPIN = "https://knowledge.broadcom.com/external/article?legacyId=1020105"
_PURPLE = "https://knowledge.broadcom.com/external/article?legacyId=1004250"
_MADE = frozenset({0x80, 0xE2, 0x161, 0x1C8})
"""Bug checks that somebody, or an NMI, brought about: they blame nobody."""

_FRAME_MODULE = re.compile(r"@\(?([\w.-]+)\)?#")
_DPC_WATCHDOG = 0x133
_UNEXPECTED_TRAP = 0x7F
_DOUBLE_FAULT = 8


def _code(analysis: Analysis) -> int:
    return (analysis.code or 0) & 0x0FFF_FFFF


def _blamed(view: View, analysis: Analysis) -> Suspect | None:
    """The first foreign module on the crashing stack, else the one that the debugger names."""
    stack = analysis.stack or Stack()
    for place, frame in enumerate(stack.frames):
        if view.modules.is_foreign(frame.module):
            line = stack.lines[place] if place < len(stack.lines) else analysis.line
            return _driver(view, frame.module, line)
    for key in ("IMAGE_NAME", "MODULE_NAME"):
        name = analysis.fields.get(key, "").strip()
        if name and "unknown" not in name.lower() and view.modules.is_foreign(name):
            return _driver(view, name, analysis.field_lines.get(key, analysis.line))
    return None


def _driver(view: View, module: str, line: int) -> Suspect:
    vendor = view.modules.vendor(module)
    return Suspect("driver", module=module, vendor=vendor.name if vendor else "", line=line)


@pattern(
    "bugcheck",
    title="Bug check",
    meaning="Windows stopped itself.",
    remedy="Look the code up, and give the crashing stack to the owner of its first foreign module.",
    source=_CODES,
)
def bugcheck(view: View) -> Iterator[Finding]:
    """The code of `!analyze` or `.bugcheck`."""
    analysis = view.log.analysis
    if analysis is not None and analysis.code:
        arguments = ", ".join(f"{value:x}" for value in analysis.args)
        words = f"bug check {_code(analysis):#x} {analysis.name}".rstrip() + (
            f" ({arguments})" if arguments else ""
        )
        suspect = None if _code(analysis) in _MADE else _blamed(view, analysis)
        figures = {"bugcheck": f"{_code(analysis):#x}"}
        yield from seen(
            "bugcheck", words, [analysis.line, suspect.line if suspect else None], suspect=suspect, **figures
        )


def _dpc(view: View, name: str, argument: int, words: str) -> Iterator[Finding]:
    analysis = view.log.analysis
    if analysis is not None and _code(analysis) == _DPC_WATCHDOG and analysis.args[:1] == (argument,):
        yield from seen(name, words, [analysis.line], suspect=_blamed(view, analysis))


@pattern(
    "dpc_watchdog_single",
    title="DPC watchdog: one routine",
    meaning="One deferred procedure call ran longer than the watchdog allows.",
    remedy="The stack shows the routine: its driver is to blame, or its device does not answer.",
    source=_DPC,
)
def dpc_single(view: View) -> Iterator[Finding]:
    """Bug check 0x133 with 0 as its first argument."""
    yield from _dpc(view, "dpc_watchdog_single", 0, "a single DPC ran too long")


@pattern(
    "dpc_watchdog_cumulative",
    title="DPC watchdog: all together",
    meaning="The processor spent too long at DISPATCH_LEVEL or above, in many routines together.",
    remedy="The stack shows only the last one. Record who used the time with a trace of DPCs and interrupts.",
    source=_DPC,
)
def dpc_cumulative(view: View) -> Iterator[Finding]:
    """Bug check 0x133 with 1 as its first argument."""
    yield from _dpc(view, "dpc_watchdog_cumulative", 1, "the processor spent too long in DPCs and interrupts")


@pattern(
    "stack_overflow_kernel",
    title="Kernel stack overflow",
    meaning="A thread used up its kernel stack: a double fault.",
    remedy="Look at how many filters stand in the stack, and at what repeats in it.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x7f--unexpected-kernel-mode-trap",
)
def stack_overflow(view: View) -> Iterator[Finding]:
    """Bug check 0x7F with 8, the double fault, as its first argument."""
    analysis = view.log.analysis
    if analysis is not None and _code(analysis) == _UNEXPECTED_TRAP and analysis.args[:1] == (_DOUBLE_FAULT,):
        yield from seen("stack_overflow_kernel", "a double fault", [analysis.line])


@pattern(
    "psod",
    title="Purple screen of ESXi",
    meaning="The hypervisor stopped itself.",
    remedy="Look the message up, with the build, in VMware's knowledge base.",
    source=_PURPLE,
)
def psod(view: View) -> Iterator[Finding]:
    """A purple screen."""
    screen = view.log.psod
    if screen is not None:
        figures: dict[str, int | float | str] = {"build": screen.build} if screen.build else {}
        if screen.uptime_seconds is not None:
            figures["vmk_uptime_s"] = screen.uptime_seconds
        if screen.world is not None:
            figures |= {"world_id": screen.world.world_id, "active_cpu": screen.world.cpu}
        if screen.cr2 is not None:
            figures["cr2"] = f"{screen.cr2:#x}"
        suspect = None if _spins(screen) else _module_of(view, screen)
        yield from seen(
            "psod", screen.message or "a purple screen", [screen.line], suspect=suspect, **figures
        )


def _module_of(view: View, screen: Psod) -> Suspect | None:
    """The module of the first frame that is not the vmkernel's: `function@(module)#<None>+0x1f0`."""
    stack = screen.stack or Stack()
    for frame, line in zip(stack.frames, stack.lines, strict=False):
        named = _FRAME_MODULE.search(frame.function)
        if named is not None and not named[1].startswith(("vmk", "com.vmware")):
            return _driver(view, named[1], line)
    return None


def _spins(screen: Psod) -> bool:
    return "spin count exceeded" in screen.message.lower()


@pattern(
    "spin_count_exceeded",
    title="Spin count exceeded",
    meaning="A processor waited too long for a spinlock: its owner never let it go.",
    remedy="Find the owner in the other processors' stacks and in the dump; update ESXi and its drivers.",
    source=_SPIN,
)
def spin_count(view: View) -> Iterator[Finding]:
    """The message of the purple screen."""
    screen = view.log.psod
    if screen is not None and _spins(screen):
        lock = screen.lock or _lock(screen)
        suspect = Suspect("unknown_lock_owner", lock=lock, line=screen.line)
        yield from seen(
            "spin_count_exceeded",
            f"the spinlock {lock} was held too long",
            [screen.line],
            suspect=suspect,
            lock=lock,
        )


def _lock(screen: Psod) -> str:
    match = re.search(r"\(([^)]+)\)", screen.message)
    return match[1] if match else "unknown"


@pattern(
    "stack_is_waiter_not_owner",
    title="The stack shown is the waiter's",
    meaning="The purple screen shows who waited for the lock. Who held it is not on the screen.",
    remedy="Do not blame the functions on this stack; look for the owner in the dump.",
    source=_SPIN,
)
def waiter_not_owner(view: View) -> Iterator[Finding]:
    """A spin count message over a stack that waits for a lock."""
    screen = view.log.psod
    if screen is not None and _spins(screen):
        words = "the stack on the screen belongs to a thread that waited for the lock, not to its owner"
        lines = [*(screen.stack.lines[:2] if screen.stack else ()), screen.line]
        yield from seen("stack_is_waiter_not_owner", words, lines)
