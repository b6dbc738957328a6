"""Threads as `!thread`, `!process` and `!ready` show them: a header, fields in any order, a stack.

Source: Microsoft, "!thread" and "!process"; the fields of older and newer debuggers by example.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from collector.triage.duration import duration
from collector.triage.gather import Gathered
from collector.triage.kd_remark import take_remark
from collector.triage.kd_stack import StackBuilder, address, is_stack_header
from collector.triage.model import LpcWait, Thread, WaitKind, WaitObject
from collector.triage.openings import HEX, NUMBER, opening
from collector.triage.text import Lines

MOST_WAIT_OBJECTS = 64  # MAXIMUM_WAIT_OBJECTS of the kernel
MOST_IRPS = 64

_HEADER = re.compile(
    rf"\s*THREAD (?P<address>{HEX})\s+Cid:? (?P<pid>[0-9a-fA-F]{{1,8}})\.(?P<tid>[0-9a-fA-F]{{1,8}})"
    rf"(?:\s+Peb: \S+)?(?:\s+Teb: (?P<teb>{NUMBER}))?(?:\s+Win32Thread: \S+)?\s*(?P<state>[A-Za-z_?]+)?:?"
    r"(?: \((?P<reason>\w+)\))?(?: (?P<mode>UserMode|KernelMode))?"
)
_PROCESSOR = re.compile(r" on processor (\d{1,5})")
_WAIT_OBJECT = re.compile(rf"\s*({HEX})\s+(?!{HEX}\b)([A-Za-z].*)$")
_OWNER = re.compile(rf"owning thread ({HEX})")
_IRP = re.compile(rf"\s*({HEX}): \(")
_LPC_WAIT = re.compile(rf"Waiting for reply to (A?LPC) Message\s*(?:Id)?:? ?({NUMBER})", re.IGNORECASE)
_PORT_OWNER = re.compile(rf"owned by process ({HEX})")
_LPC_SERVING = re.compile(
    rf"LPC Server thread working on message Id ({NUMBER})|(?:working on|processing) ALPC message ({NUMBER})",
    re.IGNORECASE,
)
_OWNING = re.compile(rf"Owning Process\s+({HEX})(?:\s+Image:\s+(\S.*))?")
_ATTACHED = re.compile(rf"Attached Process\s+({HEX})")
_WAIT_START = re.compile(
    r"(?:Wait Start TickCount|WaitTime \(ticks\))\s+(\d+)(?:\s+(?:Elapsed )?Ticks:\s+(\d+))?"
    r"(?:\s+\(([\d:.]+)\))?"
)
_PRIORITY = re.compile(r"Priority (\d+)")
_SUSPEND = re.compile(r"(?:SuspendCount|FreezeCount)\s+(\d+)")

_KINDS = {
    "notificationevent": WaitKind.EVENT,
    "synchronizationevent": WaitKind.EVENT,
    "event": WaitKind.EVENT,
    "mutant": WaitKind.MUTANT,
    "semaphore": WaitKind.SEMAPHORE,
    "notificationtimer": WaitKind.TIMER,
    "synchronizationtimer": WaitKind.TIMER,
    "processobject": WaitKind.PROCESS,
    "thread": WaitKind.THREAD,
    "threadobject": WaitKind.THREAD,
    "gate": WaitKind.GATE,
    "queueobject": WaitKind.QUEUE,
}

Fields = dict[str, Any]


def read_thread(lines: Lines, gathered: Gathered) -> None:
    """Read a THREAD block, from its header to the end of its stack."""
    fields = _header(lines, gathered)
    if fields is None:
        lines.advance()
        return
    if not gathered.has_room_for(fields["address"]):
        _pass_over(lines)
        return
    builder = StackBuilder(gathered.frames)
    in_stack = False
    line = lines.advance()
    while line is not None:
        if in_stack and (line := builder.take_all(lines)) is None:
            break
        text = line.lstrip()
        if reader := _FIELD_READERS.get(text.partition(" ")[0]):
            reader(text, lines.number, fields, gathered)
        elif is_stack_header(line):
            in_stack = True
        elif text and not (not in_stack and _take_address(line, lines.number, fields, gathered)):
            if opening(line):
                break
            in_stack = builder.take(line, lines.number)  # the column names may be missing
            take_remark(line, lines.number, gathered)
        line = lines.advance()
    stack = builder.build()
    if stack is not None:
        fields["stack"] = stack
    gathered.add_thread(Thread(**fields))


def _pass_over(lines: Lines) -> None:
    """Go behind a thread that is only counted: to the next empty line before another block."""
    while lines.line is not None:
        lines.to_blank()
        while lines.line == "":
            lines.advance()
        following = opening(lines.line or "")
        if following is not None and following["stack"] is None:
            return


def _header(lines: Lines, gathered: Gathered) -> Fields | None:
    match = _HEADER.match(lines.line or "")
    if match is None:
        return None
    where, process_id, thread_id, teb, state, reason, mode = match.groups()
    cpu = None if mode else _PROCESSOR.search(match.string, match.end())
    return {
        "line": lines.number,
        "address": address(where),
        "process_id": int(process_id, 16),
        "thread_id": int(thread_id, 16),
        "teb": address(teb) if teb else None,
        "state": gathered.shared((state or "").upper()),
        "wait_reason": gathered.shared(reason or ""),
        "wait_mode": gathered.shared(mode or ""),
        "processor": int(cpu[1]) if cpu else None,
    }


def _take_address(line: str, number: int, fields: Fields, gathered: Gathered) -> bool:
    """Take a line that begins with an address: an object waited for, or an IRP."""
    if irp := _IRP.match(line):
        irps = fields.get("irps", ())
        fields.setdefault("irps_line", number)
        if len(irps) < MOST_IRPS:
            fields["irps"] = (*irps, address(irp[1]))
        return True
    found = _WAIT_OBJECT.match(line)
    if found is None or "process" in fields:
        return False
    waits = fields.get("wait_objects", ())
    if len(waits) < MOST_WAIT_OBJECTS:
        fields["wait_objects"] = (*waits, _wait_object(number, found[1], found[2], gathered))
    return True


def _wait_object(number: int, where: str, text: str, gathered: Gathered) -> WaitObject:
    kind, owner = _kind_and_owner(text)
    return WaitObject(number, address(where), kind, gathered.shared(text), owner)


@lru_cache(maxsize=1024)
def _kind_and_owner(text: str) -> tuple[WaitKind, int | None]:
    """What "Mutant - owning thread 866d63e8" says; thousands of threads wait for what is called the same."""
    owner = _OWNER.search(text)
    kind = _KINDS.get(text.split(None, 1)[0].lower(), WaitKind.OTHER)
    return kind, address(owner[1]) if owner else None


def _take_waiting(line: str, number: int, fields: Fields, _: Gathered) -> None:
    if match := _LPC_WAIT.match(line):
        owner = _PORT_OWNER.search(line)
        fields["lpc_wait"] = LpcWait(
            number, address(match[2]), match[1].upper() == "ALPC", address(owner[1]) if owner else None
        )


def _take_serving(line: str, number: int, fields: Fields, _: Gathered) -> None:
    if match := _LPC_SERVING.search(line):
        fields["lpc_serving"] = address(match[1] or match[2])
        fields["lpc_serving_line"] = number


def _take_owning(line: str, _: int, fields: Fields, gathered: Gathered) -> None:
    if match := _OWNING.match(line):
        fields["process"] = address(match[1])
        fields["image"] = gathered.shared((match[2] or "").strip())


def _take_attached(line: str, _: int, fields: Fields, __: Gathered) -> None:
    if match := _ATTACHED.match(line):
        fields["attached_process"] = address(match[1])


def _take_wait(line: str, number: int, fields: Fields, _: Gathered) -> None:
    match = _WAIT_START.match(line)
    if match is None:
        return
    fields["wait_start_ticks"] = int(match[1][:18])
    if match[2]:
        fields["ticks"], fields["ticks_line"] = int(match[2][:18]), number
    if match[3]:
        fields["wait_seconds"] = duration(match[3])


def _take_time(line: str, _: int, fields: Fields, __: Gathered) -> None:
    columns = line.split()
    if len(columns) > 1:
        fields["user_seconds" if columns[0] == "UserTime" else "kernel_seconds"] = duration(columns[1])


def _take_switches(line: str, _: int, fields: Fields, __: Gathered) -> None:
    columns = line.split()
    if len(columns) > 3 and columns[3].isdecimal():  # noqa: PLR2004 - "Context Switch Count 8376"
        fields["context_switches"] = int(columns[3][:18])


def _take_start(line: str, _: int, fields: Fields, gathered: Gathered) -> None:
    if line.startswith("Win32") or "start_address" not in fields:
        symbol = line.partition(" Address ")[2].partition(" (0x")[0]
        fields["start_address"] = gathered.shared(symbol.strip())


def _take_priority(line: str, _: int, fields: Fields, __: Gathered) -> None:
    if match := _PRIORITY.match(line):
        fields["priority"] = int(match[1][:3])


def _take_kernel(line: str, _: int, fields: Fields, __: Gathered) -> None:
    if "stack not resident" in line:
        fields["stack_resident"] = False


def _take_impersonation(line: str, _: int, fields: Fields, __: Gathered) -> None:
    fields["impersonating"] = not line.startswith("Not")


def _take_suspend(line: str, _: int, fields: Fields, __: Gathered) -> None:
    if match := _SUSPEND.match(line):
        fields["suspend_count"] = int(match[1][:9])


def _pass(_: str, __: int, ___: Fields, ____: Gathered) -> None:
    """Pass over a line that no rule asks for."""


_FIELD_READERS: dict[str, Callable[[str, int, Fields, Gathered], None]] = {
    "Waiting": _take_waiting,
    "LPC": _take_serving,
    "ALPC": _take_serving,
    "Working": _take_serving,
    "Owning": _take_owning,
    "Attached": _take_attached,
    "Wait": _take_wait,
    "WaitTime": _take_wait,
    "UserTime": _take_time,
    "KernelTime": _take_time,
    "Context": _take_switches,
    "Win32": _take_start,
    "Start": _take_start,
    "Priority": _take_priority,
    "Kernel": _take_kernel,
    "Impersonation": _take_impersonation,
    "Not": _take_impersonation,
    "SuspendCount": _take_suspend,
    "FreezeCount": _take_suspend,
    "DeviceMap": _pass,
    "Stack": _pass,
    "Base": _pass,
    "Current": _pass,
    "IRP": _pass,
}
