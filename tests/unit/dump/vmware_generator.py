"""VMware checkpoints, made tag by tag as the crash utility's header describes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

PAGE = 4096
REGIONS = ((0, 0, 0xC0000), (0xC0000, 0x100000, 0x40000))  # page in the .vmem, physical page, pages: 4 GiB
VMEM_BYTES = 0x100000 * PAGE


def value(name: str, number: int, *indices: int, size: int = 4) -> bytes:
    head = len(name) << 8 | len(indices) << 6 | size
    return (
        struct.pack("<H", head)
        + name.encode()
        + b"".join(index.to_bytes(4, "little") for index in indices)
        + number.to_bytes(size, "little")
    )


def block(name: str, data: bytes, *, padding: int = 0, in_memory: int | None = None) -> bytes:
    head = struct.pack("<H", len(name) << 8 | 0x3F) + name.encode()
    sizes = struct.pack("<QQH", len(data), len(data) if in_memory is None else in_memory, padding)
    return head + sizes + bytes(padding) + data


def memory_group(regions: Sequence[tuple[int, int, int]] = REGIONS, inside: bytes = b"") -> bytes:
    tags = value("align_mask", 0xFFF) + value("regionsCount", len(regions))
    for number, (page, physical, pages) in enumerate(regions):
        tags += value("regionPageNum", page, number) + value("regionPPN", physical, number)
        tags += value("regionSize", pages, number)
    return tags + (block("Memory", inside, padding=37) if inside else b"") + b"\0\0"


def cpu_group(cpus: int = 4) -> bytes:
    tags = value("cpu:numVCPUs", cpus)
    for number in range(cpus):
        tags += value("rip", 0xFFFF_8000_0000_0000 + number, number, size=8)
    return tags + block("gpregs", bytes(128)) + b"\0\0"


def checkpoint(
    magic: bytes = b"\xd2\xbe\xd2\xbe", groups: Mapping[str, bytes] | None = None
) -> tuple[bytes, list[int]]:
    """The file, and the byte at which each of its groups ends."""
    bodies = groups or {
        "Snapshot": block("cfgFile", b"x" * 100) + b"\0\0",
        "cpu": cpu_group(),
        "memory": memory_group(),
    }
    at = 12 + 80 * len(bodies)
    table, ends = b"", []
    for name, body in bodies.items():
        table += struct.pack("<64sQQ", name.encode(), at, len(body))
        at += len(body)
        ends.append(at)
    return magic + struct.pack("<II", 8, len(bodies)) + table + b"".join(bodies.values()), ends
