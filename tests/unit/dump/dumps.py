"""Small dumps made by hand, field by field at the offsets of the format's documents."""

from __future__ import annotations

import struct
from pathlib import Path

PAGE = 4096
CRASHED = 1795230764  # 2026-11-21 03:12:44 UTC
INFO = b"OSRELEASE=6.1.0-9-amd64\nBUILD-ID=0011aa\nPAGESIZE=4096\nCRASHTIME=1795230764\n"

STATUS, BLOCK_SIZE, SUB_HEADER_BLOCKS, BITMAP_BLOCKS, MAX_MAPNR = 0x1A8, 0x1AC, 0x1B0, 0x1B4, 0x1B8
SPLIT, INFO_OFFSET, MAX_MAPNR_64 = PAGE + 0xC, PAGE + 0x20, PAGE + 0x60
DESCRIPTORS = 4 * PAGE


def poke(dump: bytes, offset: int, form: str, *values: object) -> bytes:
    """Return the dump with values written over the bytes at `offset`."""
    changed = bytearray(dump)
    struct.pack_into(form, changed, offset, *values)
    return bytes(changed)


def kdump(order: str = "<", pages: int = 3) -> bytes:
    """A kdump-compressed dump of `pages` pages: header, sub header, two bitmap blocks, descriptors, pages."""
    front = bytearray(DESCRIPTORS)
    struct.pack_into(order + "8si", front, 0, b"KDUMP   ", 6)
    names = (b"Linux", b"db01", b"6.1.0-9-amd64", b"#1 SMP", b"x86_64", b"(none)")
    for number, name in enumerate(names):
        struct.pack_into("65s", front, 0xC + 65 * number, name)
    struct.pack_into(order + "qq", front, 0x198, CRASHED, 0)
    struct.pack_into(order + "IiiiI", front, STATUS, 1, PAGE, 1, 2, 100)
    struct.pack_into(order + "ii", front, PAGE + 8, 31, 0)
    struct.pack_into(order + "QQ", front, INFO_OFFSET, PAGE + 0x200, len(INFO))
    struct.pack_into(order + "Q", front, MAX_MAPNR_64, 100)
    front[PAGE + 0x200 : PAGE + 0x200 + len(INFO)] = INFO
    for pfn in range(pages):
        front[3 * PAGE + pfn] = 1
    data = DESCRIPTORS + 24 * pages
    descriptors = b"".join(struct.pack(order + "qIIQ", data + 50 * n, 50, 1, 0) for n in range(pages))
    return bytes(front) + descriptors + bytes(50 * pages)


def flattened(dump: bytes, *, record: int = 1000) -> bytes:
    """The dump as a flattened stream, its records in reverse order: each says where its bytes belong."""
    offsets = reversed(range(0, len(dump), record))
    records = [struct.pack(">qq", at, len(dump[at : at + record])) + dump[at : at + record] for at in offsets]
    header = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    return header + b"".join(records) + b"\xff" * 16


def elf(order: str = "<", *, flags: int = 0, kind: int = 4) -> bytes:
    """An ELF core with a PRSTATUS and a VMCOREINFO note and two segments of memory."""
    notes = _note(order, b"CORE\0", bytes(336)) + _note(order, b"VMCOREINFO\0", INFO)
    data = 64 + 3 * 56
    loads = data + len(notes)
    ident = b"\x7fELF" + bytes((2, 1 if order == "<" else 2, 1))
    header = struct.pack(order + "16sHHIQQQIHHHHHH", ident, kind, 62, 1, 0, 64, 0, flags, 64, 56, 3, 0, 0, 0)
    table = b"".join(
        struct.pack(order + "IIQQQQQQ", segment, 0, offset, 0, 0, size, size, 0)
        for segment, offset, size in ((4, data, len(notes)), (1, loads, 300), (1, loads + 300, 200))
    )
    return header + table + notes + bytes(500)


def _note(order: str, name: bytes, text: bytes) -> bytes:
    padded = (part + bytes(-len(part) % 4) for part in (name, text))
    return struct.pack(order + "III", len(name), len(text), 0) + b"".join(padded)


def sparse_kdump(path: Path, *, pages: int, bytes_per_page: int, cut: int = 0) -> int:
    """Write a kdump file that claims `pages` pages, most of it holes, and return how long a whole one is.

    Only the first and the last 50,000 descriptors are in it. `cut` is how many bytes its end lacks.
    """
    bitmap_blocks = 2 * -(-pages // (8 * PAGE))
    start = (2 + bitmap_blocks) * PAGE
    data = start + 24 * pages
    front = bytearray(kdump(pages=0)[: 2 * PAGE])
    struct.pack_into("<ii", front, SUB_HEADER_BLOCKS, 1, bitmap_blocks)
    struct.pack_into("<Q", front, MAX_MAPNR_64, pages)

    def descriptors(numbers: range) -> bytes:
        return b"".join(
            struct.pack("<qIIQ", data + number * bytes_per_page, bytes_per_page, 1, 0) for number in numbers
        )

    with path.open("wb") as file:
        file.write(front)
        file.seek(start)
        file.write(descriptors(range(50_000)))
        file.seek(start + 24 * (pages - 50_000))
        file.write(descriptors(range(pages - 50_000, pages)))
        file.truncate(data + pages * bytes_per_page - cut)
    return data + pages * bytes_per_page
