"""User minidumps and offline dumps, made field by field at the offsets of Microsoft's headers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

WRITTEN = 1795230764  # 2026-11-21 03:12:44 UTC
STARTED = WRITTEN - 3600
THREADS, MODULES, MEMORY, EXCEPTION, SYSTEM, MEMORY_64, COMMENT, MISC = 3, 4, 5, 6, 7, 9, 10, 15
VALID, INSUFFICIENT = 1, 2


def system_info() -> bytes:
    return struct.pack("<HHHBBIIIIIHH24x", 9, 6, 0x5504, 16, 3, 10, 0, 20348, 2, 0, 0, 0)


def misc_info() -> bytes:
    return struct.pack("<IIIIII", 24, 3, 4242, STARTED, 0, 0)


def exception(code: int = 0xC0000005) -> bytes:
    return struct.pack("<IIIIQQII", 7, 0, code, 0, 0, 0x7FF6_0000_1000, 0, 0) + bytes(15 * 8 + 8)


def user_dump(
    *,
    padding: int = 0,
    full_memory: Sequence[int] = (),
    more: Mapping[int, bytes] | None = None,
) -> bytes:
    """A dump with a thread, its stack and its registers, memory, and what else is asked for."""
    streams = {SYSTEM: system_info(), MISC: misc_info(), EXCEPTION: exception(), **(more or {})}
    names = (THREADS, MEMORY, *((MEMORY_64,) if full_memory else ()), *streams)
    at = 32 + 12 * len(names)
    stack, registers = bytes(200), bytes(1232)
    lists = {THREADS: 4 + padding + 48, MEMORY: 4 + padding + 16, MEMORY_64: 16 + 16 * len(full_memory)}
    places = {}
    for kind in names:
        places[kind] = at
        at += lists.get(kind, len(streams.get(kind, b"")))
    data_at = at
    body = {
        THREADS: struct.pack("<I", 1)
        + bytes(padding)
        + struct.pack("<IIIIQQIIII", 7, 0, 0, 0, 0, 0x10000, 200, data_at, 1232, data_at + 200),
        MEMORY: struct.pack("<I", 1) + bytes(padding) + struct.pack("<QII", 0x10000, 200, data_at),
        **streams,
    }
    end = data_at + len(stack) + len(registers)
    ranges = [struct.pack("<QQ", 0x100000 * (n + 1), size) for n, size in enumerate(full_memory)]
    body[MEMORY_64] = struct.pack("<QQ", len(ranges), end) + b"".join(ranges)
    directory = b"".join(struct.pack("<III", kind, len(body[kind]), places[kind]) for kind in names)
    flags = 2 if full_memory else 0
    header = struct.pack("<4sHHIIIIQ", b"MDMP", 42899, 0, len(names), 32, 0, WRITTEN, flags)
    return (
        header
        + directory
        + b"".join(body[kind] for kind in names)
        + stack
        + registers
        + bytes(sum(full_memory))
    )


def offline(
    *,
    flags: int = VALID,
    section_flags: Sequence[int] = (VALID, VALID, VALID, VALID),
    required: int = 0,
) -> bytes:
    """An offline dump of two ranges of memory, the processors and the system."""
    kinds = (
        (5, 0, struct.pack("<4s8sI", b"ACME", b"X1", 0), b"system"),
        (2, 640, struct.pack("<HII6x", 12, 8, 80), b"cpus"),
        (1, 4096, struct.pack("<Q8x", 0), b"DDR0"),
        (1, 8192, struct.pack("<Q8x", 1 << 32), b"DDR1"),
    )
    at = 56 + 64 * len(kinds)
    table, data = b"", b""
    for (kind, size, facts, name), flag in zip(kinds, section_flags, strict=True):
        there = size if flag & VALID else 0
        table += struct.pack("<IHHIQQ16s20s", flag, 1, 0, kind, at + len(data), size, facts, name)
        data += bytes(there)
    size = at + len(data)
    header = struct.pack("<8sHHIQQIQQI", b"Raw_Dmp!", 1, 0, flags, 0, 0, 0, size, required, len(kinds))
    return header + table + data
