"""ELF vmcores: /proc/vmcore copied as it is, `makedumpfile -E`, and QEMU's dump-guest-memory.

Source: System V ABI, chapters 4 and 5 (ELF header, program headers, notes); makedumpfile.h for
DUMP_ELF_INCOMPLETE; Linux include/linux/elfcore.h for PN_XNUM.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.dump import vmcoreinfo
from collector.dump.report import OUT_OF_SPACE, DumpFormat, DumpReport, Identity, Source, State
from collector.errors import DumpError

MAGIC = b"\x7fELF"

_CLASS_64, ORDERS, _ET_CORE = 2, {1: "<", 2: ">"}, 4
_HEADER = "16sHHIQQQIHHHHHH"
HEADER_BYTES = 64
PROGRAM_HEADER = "IIQQQQQQ"  # type, flags, offset, vaddr, paddr, filesz, memsz, align
PROGRAM_HEADER_BYTES = 56
_SECTION_HEADER = "IIQQQQIIQQ"
_SECTION_HEADER_BYTES, _SH_INFO = 64, 7
_PT_LOAD, _PT_NOTE = 1, 4
_NT_PRSTATUS = 1
_MACHINES = {21: "ppc64", 22: "s390x", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64"}
PN_XNUM = 0xFFFF
_DUMP_ELF_INCOMPLETE = 0x1
_NOTE = "III"  # bytes in the name, bytes in the description, type

_MOST_PROGRAM_HEADERS = 1 << 18
_LARGEST_MEMORY = 1 << 52  # what five levels of page tables can hold on x86-64
_MOST_NOTE_BYTES = 1 << 24  # 400 bytes for each CPU, and VMCOREINFO


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of memory: where it lies in the file, where it was, and how many bytes of it are in the file."""

    offset: int
    virtual: int
    physical: int
    size: int


@dataclass(frozen=True, slots=True)
class Core:
    """What the headers say: which crash it is, whether it is marked incomplete, where its segments lie."""

    identity: Identity
    fault: str
    end: int
    loads: tuple[Segment, ...]
    info: Mapping[str, str]


def inspect(source: Source) -> DumpReport:
    """Say whether every segment of memory ends within the file.

    Raises:
        DumpError: the headers contradict the format, or it is no core of a 64-bit machine.
    """
    core, size = read_core(source), source.size
    if core is None:
        return DumpReport(
            DumpFormat.ELF, State.TRUNCATED, "it ends inside its headers", size, missing="headers"
        )
    if core.fault:
        verdict = State.INCOMPLETE, core.fault, "segments of memory"
    elif size < core.end:
        verdict = State.TRUNCATED, f"it ends {core.end - size} bytes early", "the last segments of memory"
    else:
        verdict = State.COMPLETE, "every segment of memory is there", ""
    state, reason, missing = verdict
    return DumpReport(DumpFormat.ELF, state, reason, size, core.end, missing, core.identity)


def read_core(source: Source) -> Core | None:
    """Return what the headers say; None when the source ends before them.

    Raises:
        DumpError: the headers contradict the format, or it is no core of a 64-bit machine.
    """
    raw = source.read(0, HEADER_BYTES)
    if len(raw) < HEADER_BYTES:
        return None
    order = ORDERS.get(raw[5], "")
    if raw[4] != _CLASS_64 or not order:
        raise _damaged(f"class {raw[4]}, byte order {raw[5]}; only 64-bit cores are read")
    _, kind, machine, _, _, phoff, shoff, flags, _, phentsize, phnum, _, _, _ = struct.unpack(
        order + _HEADER, raw
    )
    if kind != _ET_CORE:
        raise _damaged(f"ELF type {kind}, a vmcore has {_ET_CORE}")
    if phnum == PN_XNUM:
        section = source.read(shoff, _SECTION_HEADER_BYTES)
        if len(section) < _SECTION_HEADER_BYTES:
            return None
        phnum = struct.unpack(order + _SECTION_HEADER, section)[_SH_INFO]
    if phentsize != PROGRAM_HEADER_BYTES or not 0 < phnum <= _MOST_PROGRAM_HEADERS:
        raise _damaged(f"{phnum} program headers of {phentsize} bytes")
    table = source.read(phoff, phnum * PROGRAM_HEADER_BYTES)
    if len(table) < phnum * PROGRAM_HEADER_BYTES:
        return None

    return _core(source, order, machine, flags, table)


def _core(source: Source, order: str, machine: int, flags: int, table: bytes) -> Core:
    """Make sense of the program headers, and of the notes that they lead to."""
    loads, notes, memory = [], [], []
    for kind, _, offset, virtual, physical, size, in_memory, _ in struct.iter_unpack(
        order + PROGRAM_HEADER, table
    ):
        if kind == _PT_LOAD:
            loads.append(Segment(offset, virtual, physical, size))
            memory.append((physical, physical + in_memory))
        elif kind == _PT_NOTE:
            notes.append((offset, size))
    if not loads:
        raise _damaged("no segment of memory")
    text, cpus = _read_notes(source, order, notes)
    info = vmcoreinfo.parse(text)
    identity = Identity(
        crash_time=vmcoreinfo.crash_time(info),
        kernel_release=vmcoreinfo.release(info),
        architecture=_MACHINES.get(machine),
        cpus=cpus or None,
        memory=_size(memory),
        details={"elf_machine": machine, "segments": len(loads), **vmcoreinfo.details(info)},
    )
    fault = OUT_OF_SPACE if flags & _DUMP_ELF_INCOMPLETE else ""
    end = max(segment.offset + segment.size for segment in loads)
    return Core(identity, fault, end, tuple(loads), info)


def _size(ranges: Sequence[tuple[int, int]]) -> int | None:
    """Return how much memory the ranges hold together; the kernel's own is in two of them."""
    total = end = 0
    for start, stop in sorted(ranges):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total if 0 < total < _LARGEST_MEMORY else None


def _read_notes(source: Source, order: str, segments: list[tuple[int, int]]) -> tuple[bytes, int]:
    """Return the text of the VMCOREINFO note, empty when there is none, and how many CPUs have a status."""
    text, cpus, budget = b"", 0, _MOST_NOTE_BYTES
    for offset, size in segments:
        raw = source.read(offset, min(size, budget))
        budget -= len(raw)
        for name, kind, description in _notes(raw, order):
            if name == b"VMCOREINFO":
                text = text or description
            cpus += (name, kind) == (b"CORE", _NT_PRSTATUS)
    return text, cpus


def _notes(raw: bytes, order: str) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield the name, the type and the description of each note; both texts are padded to four bytes."""
    at, head = 0, struct.calcsize(order + _NOTE)
    while at + head <= len(raw):
        name_size, size, kind = struct.unpack_from(order + _NOTE, raw, at)
        name_at = at + head
        text_at = name_at + (name_size + 3) // 4 * 4
        at = text_at + (size + 3) // 4 * 4
        yield raw[name_at : name_at + name_size].rstrip(b"\0"), kind, raw[text_at : text_at + size]


def _damaged(what: str) -> DumpError:
    return DumpError(f"this is no ELF vmcore: {what}", hint="Name the vmcore of a 64-bit kernel.")
