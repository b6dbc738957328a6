"""What happened in code: exceptions that nobody saw, hooks, and modules that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from collector.triage.machine import NoticeKind
from collector.triage.model import Stack
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect, unknown_module

_EXCEPTIONS = {
    0xC0000005: "access violation",
    0xC000001D: "illegal instruction",
    0xC0000094: "division by zero",
    0xC00000FD: "stack overflow",
    0xC0000374: "heap corruption",
    0xC0000409: "stack buffer overrun",
    0xC0000006: "in-page error",
    0x80000003: "breakpoint",
    0xE06D7363: "C++ exception",
}
"""NTSTATUS values of exceptions ([MS-ERREF] section 2.3.1), and Visual C++'s own."""

_DISPATCHERS = (
    "KiUserExceptionDispatch",
    "RtlDispatchException",
    "UnhandledExceptionFilter",
    "RtlRaiseException",
)
_TEXT = re.compile(r"exception code (?:0[xX])?([0-9a-f]{8})", re.IGNORECASE)
_EXCEPTION = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-cxr--display-context-record-"
_STACK = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/k--kb--kc--kd--kp--kp--kv--display-stack-backtrace-"


@pattern(
    "hidden_exception",
    title="Hidden exception",
    meaning="An exception was raised and handled, or shown to nobody: the thread went on or handles it.",
    remedy="Set the context with `.cxr` and look at the stack of the exception itself.",
    source=_EXCEPTION,
)
def hidden_exception(view: View) -> Iterator[Finding]:
    """An exception's code and its dispatcher on a raw stack, one on a stack, or a text with a code."""
    words_with_code = [word for word in view.log.raw_words if word.value in _EXCEPTIONS]
    dispatchers = [word for word in view.log.raw_words if any(name in word.symbol for name in _DISPATCHERS)]
    told = [(one.line, match) for one in view.log.texts if (match := _TEXT.search(one.text))]
    shown = [line for thread in view.chained if thread.stack for line in _dispatching(thread.stack)]
    codes = [word.value for word in words_with_code] if dispatchers else []
    codes += [int(match[1], 16) for _, match in told]
    lines = [line for line, _ in told] + shown
    if words_with_code and dispatchers:
        lines += [word.line for word in (*words_with_code, *dispatchers)]
    if codes:
        name = _EXCEPTIONS.get(codes[0], "exception")
        yield from seen("hidden_exception", f"{name} ({codes[0]:x})", lines, exception=f"{codes[0]:x}")
    else:
        yield from seen("hidden_exception", "a thread of the chain handles an exception", lines)


def _dispatching(stack: Stack) -> Iterator[int]:
    for frame, line in zip(stack.frames, stack.lines, strict=False):
        if frame.function.startswith(_DISPATCHERS):
            yield line


@pattern(
    "execution_residue",
    title="Execution residue",
    meaning="The raw stack still holds what ran before: return addresses that no stack trace shows.",
    remedy="Read it as history, not as a stack: check each with `ub` before you believe it.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/dds--dps--dqs--display-words-and-symbols-",
)
def execution_residue(view: View) -> Iterator[Finding]:
    """A raw stack with traces of an exception or of a foreign module, or a stack made from one."""
    telling = [
        word.line
        for word in view.log.raw_words
        if word.symbol
        and (
            any(name in word.symbol for name in _DISPATCHERS)
            or view.modules.is_foreign(word.symbol.split("!")[0])
        )
    ]
    rebuilt = [one.line for one in view.log.context_stacks if "=" in one.command]
    yield from seen("execution_residue", "a raw stack shows what ran before", [*telling, *rebuilt])


@pattern(
    "incorrect_stack_trace",
    title="Incorrect stack trace",
    meaning="The debugger lost its way on a stack: frames below that place may be wrong.",
    remedy="Load the module's symbols, or rebuild the stack with `k L=` from a saved frame pointer.",
    source=_STACK,
)
def incorrect_stack(view: View) -> Iterator[Finding]:
    """An address in no module, followed by frames that may be wrong, on a stack of a chain."""
    stacks = [thread.stack for thread in view.chained if thread.stack]
    stacks += [one.stack for one in view.log.context_stacks]
    lines = [line for stack in stacks if (line := _lost(stack))]
    yield from seen("incorrect_stack_trace", "the debugger lost its way on a stack", lines)


def _lost(stack: Stack) -> int | None:
    place = stack.doubtful_from
    if place is None or place >= len(stack.frames) or stack.frames[place].module:
        return None
    return stack.lines[place] if place < len(stack.lines) else None


@pattern(
    "unknown_component",
    title="Unknown component",
    meaning="Code runs in a module that the debugger does not know, perhaps one that was unloaded.",
    remedy="Find its header with `!dh`, and its name from the PDB that it was built with.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-dh",
)
def unknown_component(view: View) -> Iterator[Finding]:
    """A frame in no known module on a chain or under an exception; `!dh` may name the module."""
    module = unknown_module(view.log)
    stacks = [thread.stack for thread in view.chained if thread.stack]
    stacks += [one.stack for one in view.log.context_stacks]
    lines = [line for stack in stacks if (line := _lost(stack))]
    if not lines and module is None:
        return
    suspect = Suspect("module", module=module.name, line=module.line) if module else None
    words = "code runs in a module that the debugger does not know"
    if module is not None:
        words += f"; the file at {module.start or 0:x} was built as {module.pdb or module.name}"
    yield from seen("unknown_component", words, [*lines, module.line if module else None], suspect=suspect)


@pattern(
    "hooked_functions",
    title="Hooked functions",
    meaning="Code of the system was changed in memory: a hook of some product, or damage.",
    remedy="Find the hook's target with `u`, and whose module it leads to.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-chkimg",
)
def hooked(view: View) -> Iterator[Finding]:
    """Errors that `!chkimg` found."""
    changed = [one.line for one in view.log.notices if one.kind is NoticeKind.CODE_CHANGED]
    yield from seen("hooked_functions", "code was changed in memory", changed)
