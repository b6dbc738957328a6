"""The lab's dump with the defects that QEMU 7.2 puts into its own."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from collector.lab import vmcore
from tests.unit.dump.dumps import PAGE, poke

CRASHED = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
LOG = [(0.0, "Linux version 4.18.0"), (86.25, "Kernel panic - not syncing: NMI: Not continuing")]


def whole() -> bytes:
    """The dump as it should be."""
    return vmcore.kdump("db01", CRASHED, LOG, filler_pages=16)


def as_qemu_writes_kdump() -> bytes:
    """Of `uname` the machine alone, no time, and a `phys_base` that VMCOREINFO does not say."""
    dump = whole()
    for number in (0, 1, 2, 3):
        dump = poke(dump, 0xC + 65 * number, "65s", b"")
    return poke(poke(dump, 0x198, "<q", 0), PAGE, "<Q", 0xFFFFFFFACD9899F8)


def as_qemu_writes_elf() -> bytes:
    """The same memory as an ELF core whose section header lies before its program headers."""
    memory = dict(vmcore._memory(vmcore._utsname("db01", vmcore.RELEASE), LOG, 16))
    data = b"".join(page for _, page in sorted(memory.items()))
    base = min(memory) * PAGE
    prstatus = struct.pack("<III8s", 5, 336, 1, b"CORE") + bytes(336)
    notes = prstatus + vmcore._vmcoreinfo_note(vmcore.RELEASE, int(CRASHED.timestamp()))
    start = 192 + 2 * 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 192, 64, 0, 64, 56, 2, 64, 2, 1)
    sections = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, start + len(notes) + len(data), 11, 0, 0, 0, 0).ljust(
        128, b"\0"
    )
    table = struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(notes), len(notes), 0)
    virtual = vmcore._KERNEL_MAP + base
    table += struct.pack("<IIQQQQQQ", 1, 0, start + len(notes), virtual, base, len(data), len(data), 0)
    return header + sections + table + notes + data + b"\0.shstrtab\0"
