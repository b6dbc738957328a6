"""The header of a Windows kernel dump, 32- and 64-bit: which crash it is, and what the file should hold.

Source: mindumpdef.h of the Windows SDK (DUMP_HEADER32, DUMP_HEADER64, DUMP_TYPE, DUMP_FILE_ATTRIBUTES). The
header is one page on 32-bit and two on 64-bit systems. What Windows did not write holds the text `PAGE`, over
and over. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, IntFlag

from collector.dump import bugchecks
from collector.dump.report import Identity, Source, printable, utc
from collector.errors import DumpError

MAGIC_32, MAGIC_64, MAGIC_UNWRITTEN = b"PAGEDUMP", b"PAGEDU64", b"PAGEPAGE"
PAGE = 4096

FILL_32 = 0x45474150  # `PAGE`
_EPOCH = 11_644_473_600  # seconds from 1601, where a FILETIME starts, to 1970
_TICKS = 10_000_000  # 100 ns each
_LONGEST_UPTIME = 100 * 366 * 86400
_MOST_CPUS = 1 << 14
_MOST_PAGES = 1 << 40  # 4 PiB, what five levels of page tables can hold on x86-64
_MACHINES = {0x014C: "i686", 0x8664: "x86_64", 0xAA64: "aarch64", 0x01C4: "armv7l", 0x0200: "ia64"}
_PRODUCTS = {1: "workstation", 2: "domain controller", 3: "server"}


class DumpType(IntEnum):
    """What the dump was to hold (DUMP_TYPE)."""

    FULL = 1
    SUMMARY = 2
    HEADER = 3
    TRIAGE = 4
    BITMAP_FULL = 5
    BITMAP_KERNEL = 6
    AUTOMATIC = 7


class Attributes(IntFlag):
    """What Windows notes of the dump (DUMP_FILE_ATTRIBUTES), as far as it bears on a verdict."""

    INSUFFICIENT_SPACE = 1 << 2
    LIVE = 1 << 4
    OFFLINE = 1 << 5
    ENCRYPTED = 1 << 8
    DECRYPTED = 1 << 9


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields are; `words` is the form of a pointer-sized field."""

    size: int
    word: str
    machine: int
    bug_check: int
    parameters: int
    runs: int
    runs_end: int
    comment: int
    dump_type: int
    system_time: int
    uptime: int
    product: int
    attributes: int


_LAYOUTS = {
    MAGIC_32: _Layout(
        size=PAGE, word="I", machine=0x20, bug_check=0x28, parameters=0x2C, runs=0x64, runs_end=0x320,
        comment=0x820, dump_type=0xF88, system_time=0xFC0, uptime=0xFB8,
        product=0xF94, attributes=0x8A0,
    ),
    MAGIC_64: _Layout(
        size=2 * PAGE, word="Q", machine=0x30, bug_check=0x38, parameters=0x40, runs=0x88, runs_end=0x348,
        comment=0xFB0, dump_type=0xF98, system_time=0xFA8, uptime=0x1030,
        product=0x1040, attributes=0x1050,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """Pages that lie side by side in physical memory."""

    base: int
    pages: int


@dataclass(frozen=True, slots=True)
class Header:
    """The header, checked.

    Args:
        size: bytes of the header.
        dump_type: as the file says it; it need not be one of `DumpType`.
        attributes: none when Windows did not write the field.
        runs: where the machine had memory; empty when the file does not say.
        identity: which crash it is.
    """

    size: int
    dump_type: int
    attributes: Attributes
    runs: tuple[Run, ...]
    identity: Identity

    @property
    def unwritten(self) -> bool:
        """True when Windows reserved the file, and never came to write it."""
        return self.dump_type == FILL_32


def read_header(source: Source) -> Header | None:
    """Return the header; None when the source ends before its end.

    Raises:
        DumpError: it is no such header, or it contradicts itself.
    """
    magic = source.read(0, 8)
    if magic == MAGIC_UNWRITTEN:
        return Header(PAGE, FILL_32, Attributes(0), (), Identity())
    layout = _LAYOUTS.get(magic)
    if layout is None:
        raise damaged(f"it starts with {magic!a}")
    raw = source.read(0, layout.size)
    if len(raw) < layout.size:
        return None

    dump_type, attributes = _u32(raw, layout.dump_type), _u32(raw, layout.attributes)
    code, parameters = (
        _u32(raw, layout.bug_check),
        struct.unpack_from(f"<4{layout.word}", raw, layout.parameters),
    )
    machine, cpus = struct.unpack_from("<II", raw, layout.machine)
    runs = _runs(raw, layout, strict=dump_type == DumpType.FULL)
    identity = Identity(
        crash_time=_filetime(_u64(raw, layout.system_time)),
        kernel_release=_build(_u32(raw, 0xC)),
        architecture=_MACHINES.get(machine),
        cpus=cpus if 0 < cpus <= _MOST_CPUS else None,
        memory=sum(run.pages for run in runs) * PAGE or None,
        uptime=_uptime(_u64(raw, layout.uptime)),
        cause=None if code == FILL_32 else bugchecks.explain(code, parameters),
        details={
            "dump_type": _type_name(dump_type),
            "parameters": ", ".join(f"{value:#x}" for value in parameters),
            **_texts(raw, layout),
        },
    )
    known = 0 if attributes == FILL_32 else attributes
    return Header(layout.size, dump_type, Attributes(known), runs, identity)


def damaged(what: str) -> DumpError:
    """Return the error for a figure that no Windows can have written."""
    return DumpError(
        f"the Windows dump is damaged: {what}",
        hint="Fetch the dump again and compare its checksum with the host's copy.",
    )


def _runs(raw: bytes, layout: _Layout, *, strict: bool) -> tuple[Run, ...]:
    """Return the runs of physical memory; none when Windows did not write them.

    Raises:
        DumpError: there are more than fit, or their pages are not as many as they are said to be. A dump that
            is not made of them (not `strict`) is read without them.
    """
    word = struct.calcsize(layout.word)
    at = layout.runs + 2 * word
    count, room = _u32(raw, layout.runs), (layout.runs_end - at) // (2 * word)
    if count in {0, FILL_32}:
        return ()
    total: int = struct.unpack_from("<" + layout.word, raw, layout.runs + word)[0]
    figures = struct.unpack_from(f"<{2 * min(count, room)}{layout.word}", raw, at)
    runs = tuple(Run(base, pages) for base, pages in zip(figures[::2], figures[1::2], strict=True))
    pages = sum(run.pages for run in runs)
    if count <= room and pages == total <= _MOST_PAGES:
        return runs
    if strict:
        fault = f"{count} runs of memory, and room for {room}" if count > room else f"it counts {total} pages"
        raise damaged(f"{fault}; its runs of memory hold {pages}")
    return ()


def _texts(raw: bytes, layout: _Layout) -> dict[str, str]:
    """Return the further fields that people want to read, where Windows wrote them."""
    texts: dict[str, str] = {}
    if product := _PRODUCTS.get(_u32(raw, layout.product)):
        texts["product"] = product
    comment = raw[layout.comment : layout.comment + 128]
    if not comment.startswith((b"PAGE", b"\0")):
        texts["comment"] = printable(comment)
    return texts


def _type_name(value: int) -> str:
    return next((kind.name.lower() for kind in DumpType if kind == value), f"type {value}").replace("_", " ")


def _build(value: int) -> str | None:
    return None if value == FILL_32 else f"Windows build {value}"


def _filetime(value: int) -> datetime | None:
    return utc(value // _TICKS - _EPOCH)


def _uptime(value: int) -> float | None:
    seconds = value / _TICKS
    return seconds if 0 < seconds < _LONGEST_UPTIME else None


def _u32(raw: bytes, offset: int) -> int:
    return int.from_bytes(raw[offset : offset + 4], "little")


def _u64(raw: bytes, offset: int) -> int:
    return int.from_bytes(raw[offset : offset + 8], "little")
