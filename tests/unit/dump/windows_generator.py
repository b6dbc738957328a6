"""Windows kernel dumps of every type, made field by field at the offsets of the format, 32- and 64-bit.

Each comes with its parts in order: a name, and the byte at which the part ends. What Windows does not write
is filled with `PAGE`, as on a real disk.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
CRASHED = 1795230764  # 2026-11-21 03:12:44 UTC
UPTIME = 86_400 * 3 + 5
RUNS = ((1, 3), (0x100, 4), (0x100000, 2))  # first page, pages: nine pages, with holes

FULL, SUMMARY, HEADER, TRIAGE, BITMAP_FULL, BITMAP_KERNEL, AUTOMATIC = range(1, 8)
INSUFFICIENT, LIVE, ENCRYPTED, DECRYPTED = 1 << 2, 1 << 4, 1 << 8, 1 << 9
PAGE_FILL = 0x45474150


@dataclass(frozen=True)
class Offsets:
    """Where the header of one width keeps its fields."""

    word: str
    size: int
    machine: int
    bug_check: int
    parameters: int
    runs: int
    comment: int
    dump_type: int
    required_space: int
    system_time: int
    uptime: int
    product: int
    attributes: int


OFFSETS = {
    32: Offsets("I", PAGE, 0x20, 0x28, 0x2C, 0x64, 0x820, 0xF88, 0xFA0, 0xFC0, 0xFB8, 0xF94, 0x8A0),
    64: Offsets("Q", 2 * PAGE, 0x30, 0x38, 0x40, 0x88, 0xFB0, 0xF98, 0xFA0, 0xFA8, 0x1030, 0x1040, 0x1050),
}


@dataclass(frozen=True)
class Dump:
    """The bytes of a dump, and where each of its parts ends."""

    data: bytes
    parts: tuple[tuple[str, int], ...]

    @property
    def memory_end(self) -> int:
        return dict(self.parts)["memory"]


def header(
    dump_type: int,
    bits: int = 64,
    *,
    code: int = 0x80,
    parameters: Sequence[int] = (0x4F4454, 0, 0, 0),
    attributes: int = PAGE_FILL,
    runs: Sequence[tuple[int, int]] = RUNS,
    crashed: int = CRASHED,
) -> bytes:
    at = OFFSETS[bits]
    raw = bytearray(b"PAGE" * (at.size // 4))
    raw[:8] = b"PAGEDU64" if bits == 64 else b"PAGEDUMP"
    put = struct.pack_into
    put("<II", raw, 8, 15, 17763)
    put("<II", raw, at.machine, 0x8664 if bits == 64 else 0x14C, 48)
    put("<I", raw, at.bug_check, code)
    put(f"<4{at.word}", raw, at.parameters, *parameters)
    word = struct.calcsize(at.word)
    put("<" + at.word, raw, at.runs, len(runs))
    put("<" + at.word, raw, at.runs + word, sum(pages for _, pages in runs))
    for number, run in enumerate(runs):
        put(f"<2{at.word}", raw, at.runs + 2 * word * (number + 1), *run)
    if bits == 64:
        raw[0x348:0xF00] = bytes(0xF00 - 0x348)
    put("<I", raw, at.dump_type, dump_type)
    put("<Q", raw, at.required_space, 123 * PAGE)
    put("<Q", raw, at.system_time, (crashed + 11_644_473_600) * 10_000_000)
    put("<Q", raw, at.uptime, UPTIME * 10_000_000)
    put("<I", raw, at.product, 3)
    put("<I", raw, at.attributes, attributes)
    return bytes(raw)


def pages(count: int) -> bytes:
    return b"".join(struct.pack("<Q", number) * (PAGE // 8) for number in range(count))


def full(bits: int = 64, **fields: object) -> Dump:
    head = header(FULL, bits, **fields)  # type: ignore[arg-type]
    data = head + pages(9)
    return Dump(data, (("header", len(head)), ("memory", len(data))))


def bitmap(dump_type: int = BITMAP_KERNEL, bits: int = 64, *, marked: int = 5, **fields: object) -> Dump:
    """A dump of every third of the first pages, in the layout of Windows 8 and later."""
    head = header(dump_type, bits, **fields)  # type: ignore[arg-type]
    size, field = 3 * marked + 6, sum(1 << 3 * n for n in range(marked))
    raw = field.to_bytes((size + 7) // 8, "little")
    end = len(head) + 0x38 + len(raw)
    first_page = -(-end // PAGE) * PAGE
    signature = b"FDMPDUMP" if dump_type == BITMAP_FULL else b"SDMPDUMP"
    front = signature + b"PAGE" * 6 + struct.pack("<QQQ", first_page, marked, size) + raw
    data = (head + front).ljust(first_page, b"\0") + pages(marked)
    parts = (("header", len(head)), ("bitmap header", len(head) + 0x38), ("bitmap", end))
    return Dump(data, (*parts, ("memory", len(data))))


def summary(bits: int = 64, *, marked: int = 5, **fields: object) -> Dump:
    """The same in the older layout."""
    head = header(SUMMARY, bits, **fields)  # type: ignore[arg-type]
    size, field = 3 * marked + 6, sum(1 << 3 * n for n in range(marked))
    raw = field.to_bytes((size + 31) // 32 * 4, "little")
    front = struct.pack("<8sIIII", b"SDMPDUMP", 1, len(head) + PAGE, size, marked)
    front += struct.pack("<IQ" if bits == 64 else "<II", size, 0).ljust(16 if bits == 64 else 8, b"\0") + raw
    data = (head + front).ljust(len(head) + PAGE, b"\0") + pages(marked)
    parts = (("header", len(head)), ("bitmap", len(head) + len(front)))
    return Dump(data, (*parts, ("memory", len(data))))


def triage(bits: int = 64, *, body: int = 3000, valid: bytes = b"TRGD", **fields: object) -> Dump:
    head = header(TRIAGE, bits, **fields)  # type: ignore[arg-type]
    size = len(head) + 0x60 + body + 4
    table = struct.pack("<IIIII", 0, size, size - 4, 0x348, 0xF00).ljust(0x60, b"\0")
    data = head + table + bytes(body) + valid
    return Dump(data, (("header", len(head)), ("table", len(head) + 0x60), ("memory", len(data))))


def with_blobs(dump: Dump, sizes: Sequence[int] = (40, 0, 700)) -> Dump:
    """The dump with the secondary data that drivers added."""
    data, parts = dump.data + struct.pack("<8sII", b"DumpBlob", 16, 17763), list(dump.parts)
    parts.append(("blob header", len(data)))
    for number, size in enumerate(sizes):
        data += struct.pack("<I16sIII", 32, bytes([number % 256]) * 16, size, 4, 4) + bytes(4 + size + 4)
        parts.append((f"blob {number}", len(data)))
    return Dump(data, tuple(parts))


def write_sparse_full(path: Path, memory: int) -> int:
    """Write a full dump of `memory` bytes that takes a few kilobytes of disk; return its size."""
    head = header(FULL, runs=((1, 0x9F), (0x100, memory // PAGE - 0x9F)))
    with path.open("wb") as file:
        file.write(head)
        return file.truncate(len(head) + memory)


def write_sparse_bitmap(path: Path, memory: int) -> int:
    """Write a bitmap dump of `memory` bytes, all zeros; its bitmap takes memory / 32768 bytes of disk."""
    head, count = header(BITMAP_FULL), memory // PAGE
    first_page = -(-(len(head) + 0x38 + count // 8) // PAGE) * PAGE
    with path.open("wb") as file:
        file.write(head + b"FDMPDUMP" + b"PAGE" * 6 + struct.pack("<QQQ", first_page, count, count))
        file.write(b"\xff" * (count // 8))
        return file.truncate(first_page + memory)
