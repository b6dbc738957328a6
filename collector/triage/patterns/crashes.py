"""How Windows ended: its bug checks."""

from __future__ import annotations

from collections.abc import Iterator

from collector.triage.model import Analysis, Stack
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect

_CODES = "https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-code-reference2"
_DPC = "https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x133-dpc-watchdog-violation"
_MADE = frozenset({0x80, 0xE2, 0x161, 0x1C8})
"""Bug checks that somebody, or an NMI, brought about: they blame nobody."""

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
