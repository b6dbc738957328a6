"""Read the text of kd, cdb and WinDbg, of any age, and the purple screens of ESXi."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from collector.triage import kd_io, kd_locks, kd_lpc, kd_memory, kd_modules, kd_network, kd_stacks, kd_system
from collector.triage.gather import Gathered
from collector.triage.kd_analysis import read_analysis
from collector.triage.kd_handles import read_handles
from collector.triage.kd_process import read_process
from collector.triage.kd_remark import take_remark
from collector.triage.kd_stack import address
from collector.triage.kd_thread import read_thread
from collector.triage.model import Command, DebuggerLog
from collector.triage.openings import HEX, opening
from collector.triage.psod import read_psod
from collector.triage.text import Lines

_THREAD_SWITCH = re.compile(r"~(\d{1,6})s\b")
_PROMPT_THREAD = re.compile(r"\s*\d+:(\d{3,6})(?::\w+)?>")
_IMPLICIT = re.compile(rf"\s*Implicit (thread|process) is now ({HEX})")
_MEMORY_COMMAND = re.compile(r"(?:d[dpq]s|dp[aup]|d[au]|dt?)\b")

_READERS: dict[str, Callable[[Lines, Gathered], None]] = {
    "thread": read_thread,
    "process": read_process,
    "user_thread": kd_stacks.read_user_thread,
    "stacks_row": kd_stacks.read_stacks,
    "unique_stack": kd_stacks.read_unique_stack,
    "stack": kd_stacks.read_shown_stack,
    "resource": kd_locks.read_resource,
    "critical_section": kd_locks.read_critical_section,
    "lpc_message": kd_lpc.read_lpc_message,
    "alpc_message": kd_lpc.read_alpc_message,
    "waiters": kd_locks.pass_waiters,
    "handles": read_handles,
    "irp": kd_io.read_irp,
    "irp_row": kd_io.read_irp_row,
    "device_stack": kd_io.read_device_stack,
    "storage_units": kd_io.read_storage_units,
    "vm": kd_memory.read_vm,
    "pool_tags": kd_memory.read_pool_tags,
    "modules": kd_modules.read_modules,
    "image_header": kd_modules.read_image_header,
    "running": kd_system.read_running,
    "ready": kd_system.read_ready,
    "cpuinfo": kd_system.read_cpuinfo,
    "miniports": kd_network.read_miniports,
    "miniport": kd_network.read_miniport,
    "oid_request": kd_network.read_oid_request,
    "minidriver": kd_network.read_minidriver,
    "analysis": read_analysis,
    "psod": read_psod,
}


def parse(lines: Iterable[str]) -> DebuggerLog:
    """Read a log line by line. Text that nothing is known about is passed over, never an error.

    Memory is bounded whatever the log's size: at most `gather.MOST_THREADS` threads, `gather.MOST_OF_A_KIND`
    of everything else, `kd_stack.MOST_FRAMES` frames of a stack. What is left out is counted.
    """
    with _no_collection():
        return _parse(Lines(lines), Gathered())


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no cycles among the objects of a log: there are none, and it takes a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _parse(cursor: Lines, gathered: Gathered) -> DebuggerLog:
    while (line := cursor.line) is not None:
        before = cursor.number
        found = opening(line)
        kind = (found.lastgroup or "") if found else ""
        if reader := _READERS.get(kind):
            reader(cursor, gathered)
        elif found is not None:
            command = found["command"] or found["marked"] or found["bare"] or ""
            _take_command(command.strip(), line, cursor.number, gathered)
        elif _MEMORY_COMMAND.match(gathered.command):
            kd_memory.read_memory_line(cursor, gathered)
        else:
            _take_other(line, cursor.number, gathered)
        if cursor.number == before:
            cursor.advance()
    return gathered.log(cursor.number)


def _take_command(command: str, line: str, number: int, gathered: Gathered) -> None:
    """Note a command, and what it makes current."""
    gathered.command = command
    if prompt := _PROMPT_THREAD.match(line):
        gathered.thread_index = int(prompt[1])
    if command:
        gathered.add("commands", Command(number, command))
    if switch := _THREAD_SWITCH.match(command):
        gathered.thread_index = int(switch[1])
        gathered.registers_set = False
    elif command.startswith(".cxr"):
        gathered.registers_set = command != ".cxr"
    elif command.startswith(".thread"):
        gathered.registers_set = False


def _take_other(line: str, number: int, gathered: Gathered) -> None:
    """Take a line that belongs to no block."""
    if implicit := _IMPLICIT.match(line):
        if implicit[1] == "thread":
            gathered.thread = address(implicit[2])
        else:
            gathered.process = address(implicit[2])
    elif line:
        take_remark(line, number, gathered)
