"""Many threads, a line or a stack each: `!stacks`, `~`, `~*k`, `!us`; and the stack that `k` shows.

Source: Microsoft, "!stacks", "~ (Thread Status)", "k (Display Stack Backtrace)".
"""

from __future__ import annotations

import re

from collector.triage.gather import Gathered
from collector.triage.kd_stack import StackBuilder, address, is_filler, is_stack_header, read_stack
from collector.triage.model import SetContextStack, Thread
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

_ROW = re.compile(
    rf"\s*([0-9a-f]{{1,8}})\.([0-9a-f]{{4,8}})\s+({HEX})"
    r"\s+([0-9a-f]{1,8})\s+([A-Z][A-Za-z_]+)\s*(.*)"
)
_PROCESS = re.compile(rf"\s*\[({HEX}) ([^\]]+)\]")
_USER_THREAD = re.compile(
    r"\s*[.#]?\s*(\d{1,6})\s+Id: ([0-9a-f]{1,8})\.([0-9a-f]{1,8})"
    r"(?: Suspend: (\d{1,9}))?(?: Teb: ([0-9a-f][0-9a-f`]{0,16}))?"
)
_UNIQUE = re.compile(r"\s*\d+ threads? \[stats\]:(.*)")
_ADDRESS = re.compile(rf"\b{HEX}\b")
_INDEX = re.compile(r"(?<!\w)\d{1,6}(?!\w)", re.ASCII)
_THREAD_COMMAND = re.compile(rf"!thread (?:0x)?({HEX})")
_NUMBERED_COMMAND = re.compile(r"~(\d{1,6})\s*k")
_NO_TICKS = 1 << 31
"""Ticks from here on are a difference that wrapped: they say nothing."""

_SYSTEM_PROCESS_ID = 4  # since Windows XP


def read_stacks(lines: Lines, gathered: Gathered) -> None:
    """Read rows of `!stacks`: process.thread, address, ticks (hexadecimal), state, where it is blocked."""
    process: int | None = None
    image = ""
    while (line := lines.line) is not None:
        row = _ROW.match(line)
        if row is not None:
            _read_row(row, process, image, lines, gathered)
            continue
        if owner := _PROCESS.match(line):
            process, image = address(owner[1]), gathered.shared(owner[2].strip())
        elif not (is_filler(line) or line.lstrip().startswith("Proc.Thread")):
            return
        lines.advance()


def _read_row(row: re.Match[str], process: int | None, image: str, lines: Lines, gathered: Gathered) -> None:
    number = lines.number
    builder = StackBuilder(gathered.frames)
    builder.take_bare(row[6], number)
    while (line := lines.advance()) is not None and _ROW.match(line) is None:
        if not builder.take_bare(line, lines.number):
            break
    process_id, ticks = int(row[1], 16), int(row[4], 16)
    if not image and process_id == _SYSTEM_PROCESS_ID:
        image = "System"
    gathered.add_thread(
        Thread(
            line=number,
            address=address(row[3]),
            process_id=process_id,
            thread_id=int(row[2], 16),
            state=gathered.shared(row[5]),
            ticks=ticks if ticks < _NO_TICKS else None,
            ticks_line=number if ticks < _NO_TICKS else None,
            process=process,
            image=image,
            stack=builder.build(),
        )
    )


def read_user_thread(lines: Lines, gathered: Gathered) -> None:
    """Read a row of `~`, and the stack below it where there is one (`~*k`)."""
    row = _USER_THREAD.match(lines.line or "")
    number = lines.number
    below = lines.advance()
    while below is not None and (not below or below.lstrip().startswith(("Start:", "Priority:"))):
        below = lines.advance()
    if row is None:
        return
    gathered.user_process_id = int(row[2], 16)
    stack = read_stack(lines, gathered.frames) if below is not None and is_stack_header(below) else None
    gathered.add_thread(
        Thread(
            line=number,
            index=int(row[1]),
            process_id=int(row[2], 16),
            thread_id=int(row[3], 16),
            teb=address(row[5]) if row[5] else None,
            suspend_count=int(row[4]) if row[4] else None,
            stack=stack,
        )
    )


def read_unique_stack(lines: Lines, gathered: Gathered) -> None:
    """Read one group of `!us`: the threads, and the stack they have in common."""
    group = _UNIQUE.match(lines.line or "")
    number = lines.number
    builder = StackBuilder(gathered.frames)
    while (line := lines.advance()) is not None:
        if not builder.take_bare(line, lines.number) and (line or opening(line)):
            break
    stack = builder.build()
    named = group[1] if group else ""
    for where in _ADDRESS.findall(named):
        gathered.add_thread(Thread(line=number, address=address(where), stack=stack))
    for index in _INDEX.findall(named):  # in a user dump the threads are numbered as by `~`
        process_id = gathered.user_process_id
        gathered.add_thread(Thread(line=number, index=int(index), process_id=process_id, stack=stack))


def read_shown_stack(lines: Lines, gathered: Gathered) -> None:
    """Read the stack that `k` shows: the current thread's own, or that of a set context."""
    number = lines.number
    stack = read_stack(lines, gathered.frames)
    if stack is None:
        return
    command = gathered.command
    named = _THREAD_COMMAND.match(command)
    thread = address(named[1]) if named else gathered.thread
    set_context = command.startswith("k") and (gathered.registers_set or "=" in command)
    by_number = _NUMBERED_COMMAND.match(command)
    index = int(by_number[1]) if by_number else gathered.thread_index
    if not set_context and thread is not None:
        gathered.add_thread(Thread(line=number, address=thread, stack=stack))
    elif not set_context and index is not None:
        gathered.add_thread(Thread(line=number, index=index, stack=stack))
    else:
        gathered.add("context_stacks", SetContextStack(number, command, thread, stack))
