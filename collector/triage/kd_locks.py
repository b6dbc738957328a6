"""Locks: executive resources (`!locks` of a kernel), critical sections (`!cs`, `!locks` of a process).

Source: Microsoft, "!locks (!kdext*.locks)", "!locks (!ntsdexts.locks)", "!cs".
"""

from __future__ import annotations

import re
from typing import Any

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.kd_thread import read_thread
from collector.triage.model import CriticalSection, Resource
from collector.triage.openings import HEX, NUMBER, opening
from collector.triage.text import Lines

MOST_THREADS_OF_A_LOCK = 10_000

_RESOURCE = re.compile(
    rf"\s*Resource @ (?:(?P<symbol>\S+) \()?(?:0x)?(?P<address>{NUMBER})\)?\s*(?P<held>.*)"
)
_SHARED = re.compile(r"Shared (\d{1,9}) owning threads")
_COUNTS = {
    "Contention Count": "contention_count",
    "NumberOfSharedWaiters": "shared_waiter_count",
    "NumberOfExclusiveWaiters": "exclusive_waiter_count",
}
_COUNT = re.compile(r"\s*(Contention Count|NumberOfSharedWaiters|NumberOfExclusiveWaiters)\s*=\s*(\d{1,12})")
_OWNER = re.compile(rf"({HEX})-(\d+)(?:<\*>)?")
_THREAD = re.compile(rf"\b({HEX})\b")

_FIELD = re.compile(r"\s*(\w[\w ]*?)\s+=\s+(?:0x)?([0-9a-fA-F][0-9a-fA-F`]{0,16}\b)?\s*(.*)")
_OLD_FIELD = re.compile(
    r"\s*(WaiterWoken|LockCount|RecursionCount|OwningThread|EntryCount|ContentionCount)\s+(\w+)"
)
_OLD_HEADER = re.compile(r"\s*CritSec (\S+) at (?:0x)?([0-9a-fA-F][0-9a-fA-F`]{0,16})")
_SYMBOL = re.compile(r"\(([^)+]+)")
_OWNING_THREAD = re.compile(rf"\.thread ({HEX})")
_RULER = re.compile(r"\s*-{10,}\s*$")
_SECTION_FIELDS = frozenset(
    {
        "DebugInfo",
        "Critical section",
        "LockCount",
        "WaiterWoken",
        "OwningThread",
        "RecursionCount",
        "LockSemaphore",
        "SpinCount",
        "ContentionCount",
        "EntryCount",
    }
)


def read_resource(lines: Lines, gathered: Gathered) -> None:
    """Read one executive resource, with the threads that own it and wait for it."""
    header = _RESOURCE.match(lines.line or "")
    number = lines.number
    lines.advance()
    if header is None:
        return
    shared = _SHARED.search(header["held"])
    fields: dict[str, Any] = {
        "line": number,
        "address": address(header["address"]),
        "symbol": header["symbol"] or "",
        "exclusive": "Exclusively owned" in header["held"],
    }
    threads: dict[str, list[int]] = {"owners": [], "shared_waiters": [], "exclusive_waiters": []}
    holding = "owners"
    while (line := lines.line) is not None:
        following = opening(line)
        if (
            following is not None and following["thread"] is not None
        ):  # `!locks -v` shows each where it is named
            read_thread(lines, gathered)
            continue
        if following is not None and following["waiters"] is None:
            break
        if count := _COUNT.match(line):
            fields[_COUNTS[count[1]]] = int(count[2])
        elif "Threads Waiting On" in line:
            holding = "exclusive_waiters" if "Exclusive" in line else "shared_waiters"
        elif len(threads[holding]) < MOST_THREADS_OF_A_LOCK:
            form = _OWNER if holding == "owners" else _THREAD
            threads[holding].extend(address(found[1]) for found in form.finditer(line))
        lines.advance()
    fields |= {name: tuple(found) for name, found in threads.items()}
    fields["owner_count"] = int(shared[1]) if shared else len(fields["owners"])
    gathered.add("resources", Resource(**fields))


def pass_waiters(lines: Lines, _: Gathered) -> None:
    """Pass over a list of waiters whose resource is not in the log."""
    lines.advance()


def read_critical_section(lines: Lines, gathered: Gathered) -> None:
    """Read one critical section; its DebugInfo line stands above its address, below it, or is missing."""
    fields: dict[str, Any] = {
        "line": lines.number,
        "process": gathered.process,
        "process_id": gathered.user_process_id if gathered.process is None else None,
    }
    while (line := lines.line) is not None and not (_begins_next(line, fields) or _RULER.match(line)):
        if not _take_section(line, lines.number, fields) and opening(line):
            break
        lines.advance()
    if lines.line is not None and _RULER.match(lines.line):
        lines.advance()
    if "address" in fields:
        gathered.add("critical_sections", CriticalSection(**fields))


def _begins_next(line: str, fields: dict[str, Any]) -> bool:
    if "address" not in fields:
        return False
    if line.lstrip().startswith(("Critical section ", "CritSec ")):
        return True
    return line.lstrip().startswith("DebugInfo ") and ("debug_info" in fields or "waiters" in fields)


def _take_section(line: str, number: int, fields: dict[str, Any]) -> bool:
    if old := _OLD_HEADER.match(line):
        symbol = old[1].partition("+")[0]
        fields |= {"line": number, "address": address(old[2]), "symbol": symbol, "locked": True}
        return True
    if line.strip() in {"LOCKED", "*** Locked"}:
        fields["locked"] = True
        return True
    found = _FIELD.match(line)
    if found is None or found[1] not in _SECTION_FIELDS:
        old_field = _OLD_FIELD.match(line)
        if old_field is None:
            return False
        _take_value(old_field[1], old_field[2], "", fields, base=10)
        return True
    if found[1] == "Critical section" and found[2]:
        symbol_in = _SYMBOL.match(found[3])
        fields |= {"line": number, "address": address(found[2]), "symbol": symbol_in[1] if symbol_in else ""}
    else:
        _take_value(found[1], found[2] or "", found[3], fields, base=16)
    return True


def _take_value(name: str, value: str, rest: str, fields: dict[str, Any], *, base: int) -> None:
    """Take a field. `!locks` of a process counts in decimal, `!cs` in hexadecimal."""
    if owning := _OWNING_THREAD.search(rest):
        fields["owner"] = address(owning[1])
        return
    try:
        number = int(value.replace("`", ""), 16 if name == "OwningThread" else base)
    except ValueError:
        return
    if name == "OwningThread":
        fields["owner_id"] = number
    elif name == "LockCount":
        fields["waiters"] = number
    elif name == "RecursionCount":
        fields["recursion_count"] = number
    elif name == "ContentionCount":
        fields["contention_count"] = number
    elif name == "DebugInfo":
        fields["debug_info"] = number
