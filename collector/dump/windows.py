"""Windows kernel dumps, 32- and 64-bit: MEMORY.DMP in all its types, and the small dumps in Minidump.

Source: mindumpdef.h of the Windows SDK for the header; the layouts behind it as kdmp-parser, volatility and
Ghidra read them. Full dumps hold the runs of the header one after the other; bitmap dumps hold one bit for
each page, and then the pages that are marked; triage dumps hold a table of offsets, and a signature at their
end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from collector.dump.report import CHUNK, DumpFormat, DumpReport, Source, State
from collector.dump.windows_blobs import read_blobs
from collector.dump.windows_header import (
    MAGIC_32,
    MAGIC_64,
    MAGIC_UNWRITTEN,
    PAGE,
    Attributes,
    DumpType,
    Header,
    Run,
    damaged,
    read_header,
)

MAGICS = (MAGIC_64, MAGIC_32, MAGIC_UNWRITTEN)

_BITMAP_TYPES = {DumpType.SUMMARY, DumpType.BITMAP_FULL, DumpType.BITMAP_KERNEL, DumpType.AUTOMATIC}
_BITMAP = struct.Struct("<4s4s24xQQQ")
"""Signature, ValidDump, and at 0x20 the offset of the first page, pages in the dump, bits in the bitmap."""

_SUMMARY = struct.Struct("<4s4s4xIII")
"""The same in older summary dumps: offset of the first page, bits in the bitmap, pages in the dump."""

_SUMMARY_BITMAP = {PAGE: 0x20, 2 * PAGE: 0x28}  # after an RTL_BITMAP, whose pointer is 4 or 8 bytes
_BITMAP_SIGNATURES = {(b"SDMP", b"DUMP"), (b"FDMP", b"DUMP")}
_MOST_BITS = 1 << 36  # 256 TiB of memory

_TRIAGE = struct.Struct("<III")  # ServicePackBuild, SizeOfDump, ValidOffset
_TRIAGE_VALID = b"TRGD"
_MOST_TRIAGE_BYTES = 1 << 28

_PAGE_FILE = "the page file, or the dedicated dump file, was too small, says Windows"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found of the bytes: the verdict, why, where they should end, and what is not there."""

    state: State
    reason: str
    end: int | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class _Bitmap:
    """The bitmap: where it is, how many pages it speaks of, and how many of them are in the dump."""

    offset: int
    bits: int
    pages: int
    first_page: int

    @property
    def end(self) -> int:
        """Byte offset of the first byte after the bits."""
        return self.offset + (self.bits + 7) // 8


def inspect(source: Source) -> DumpReport:
    """Say whether everything that the header promises is in the file.

    Raises:
        DumpError: the header contradicts the format, or itself.
    """
    report = glance(source)
    fault = _bitmap_fault(source) if report.complete else ""
    return replace(report, state=State.UNKNOWN, reason=fault) if fault else report


def glance(source: Source) -> DumpReport:
    """Say the same without counting the bits of a bitmap, which has 1 MiB for each 32 GiB of memory.

    Raises:
        DumpError: the header contradicts the format, or itself.
    """
    header = read_header(source)
    if header is None:
        return DumpReport(
            DumpFormat.WINDOWS, State.TRUNCATED, "it ends inside its header", source.size, missing="header"
        )
    verdict = _judge(source, header)
    return DumpReport(
        DumpFormat.WINDOWS,
        verdict.state,
        verdict.reason,
        source.size,
        verdict.end,
        verdict.missing,
        header.identity,
    )


def _judge(source: Source, header: Header) -> _Verdict:
    """Return the verdict on the memory first, then on what follows it."""
    if header.unwritten:
        reason = "its header was never filled in: Windows did not come to write the dump"
        return _Verdict(State.INCOMPLETE, reason, missing="everything")
    if header.attributes & Attributes.ENCRYPTED and not header.attributes & Attributes.DECRYPTED:
        reason = "Windows encrypted it: only the holder of the private key can open it (KernelDumpDecrypt)"
        return _Verdict(State.ENCRYPTED, reason)

    verdict = _memory(source, header)
    short = bool(header.attributes & Attributes.INSUFFICIENT_SPACE)
    if verdict.state is State.TRUNCATED and short:
        return replace(verdict, reason=f"{verdict.reason}: {_PAGE_FILE}")
    if verdict.state is not State.COMPLETE:
        return verdict
    if short:
        return replace(verdict, state=State.INCOMPLETE, reason=_PAGE_FILE, missing="pages")
    return _with_secondary_data(source, verdict)


def _memory(source: Source, header: Header) -> _Verdict:
    """Return the verdict on the part that the type of the dump promises."""
    match header.dump_type:
        case DumpType.FULL:
            return _full(source, header)
        case kind if kind in _BITMAP_TYPES:
            return _bitmap(source, header)
        case DumpType.TRIAGE:
            return _triage(source, header)
        case DumpType.HEADER:
            return _Verdict(State.INCOMPLETE, "it holds its header alone", header.size, "all memory")
        case other:
            return _Verdict(State.UNKNOWN, f"dumps of type {other} are not read here")


def _full(source: Source, header: Header) -> _Verdict:
    """Judge a full dump: the pages of all runs follow the header."""
    if not header.runs:
        raise damaged("a full dump that does not say where the memory was")
    pages = sum(run.pages for run in header.runs)
    end = header.size + pages * PAGE
    if source.size >= end:
        return _Verdict(State.COMPLETE, f"all {pages} pages are there", end)
    present = (source.size - header.size) // PAGE
    missing = f"memory from physical address {_address(header.runs, present):#x} on"
    return _Verdict(State.TRUNCATED, _short(present, pages), end, missing)


def _address(runs: tuple[Run, ...], page: int) -> int:
    """Return the physical address of a page that is known by its place in the dump."""
    for run in runs:
        if page < run.pages:
            return (run.base + page) * PAGE
        page -= run.pages
    return (runs[-1].base + runs[-1].pages) * PAGE


def _bitmap(source: Source, header: Header) -> _Verdict:
    """Judge a dump of the pages that its bitmap marks."""
    bitmap = _read_bitmap(source, header)
    if bitmap is None:
        return _Verdict(State.TRUNCATED, "it ends before its page bitmap", missing="page bitmap and pages")
    end = bitmap.first_page + bitmap.pages * PAGE
    if source.size < bitmap.end:
        return _Verdict(State.TRUNCATED, "it ends inside its page bitmap", end, "page bitmap and pages")
    if source.size < end:
        present = max(0, source.size - bitmap.first_page) // PAGE
        return _Verdict(State.TRUNCATED, _short(present, bitmap.pages), end, "the last pages of its bitmap")
    if not bitmap.pages:
        return _Verdict(State.INCOMPLETE, "there is no page in it", end, "all memory")
    return _Verdict(State.COMPLETE, f"all {bitmap.pages} pages are there", end)


def _bitmap_fault(source: Source) -> str:
    """Return why the bitmap of a dump that seems whole cannot be right; empty when there is nothing."""
    header = read_header(source)
    bitmap = _read_bitmap(source, header) if header and header.dump_type in _BITMAP_TYPES else None
    if bitmap is None or (marked := _count_bits(source, bitmap)) == bitmap.pages:
        return ""
    return f"its bitmap marks {marked} pages, and it counts {bitmap.pages}"


def _read_bitmap(source: Source, header: Header) -> _Bitmap | None:
    """Return the bitmap's header, of today's layout or of the one before; None when the file ends.

    Raises:
        DumpError: it has neither, or its figures cannot be.
    """
    raw = source.read(header.size, _BITMAP.size)
    if len(raw) < _BITMAP.size:
        return None
    signature, valid, first_page, pages, bits = _BITMAP.unpack(raw)
    if (signature, valid) not in _BITMAP_SIGNATURES:
        raise damaged(f"its page bitmap starts with {raw[:8]!a}")
    bitmap = _Bitmap(header.size + _BITMAP.size, bits, pages, first_page)
    if header.dump_type == DumpType.SUMMARY:
        _, _, old_first, old_bits, old_pages = _SUMMARY.unpack_from(raw)
        old = _Bitmap(header.size + _SUMMARY_BITMAP[header.size], old_bits, old_pages, old_first)
        if _possible(old) and old.first_page % PAGE == 0:
            return old
    if not _possible(bitmap):
        raise damaged(f"a bitmap of {bits} bits with {pages} pages that start at byte {first_page}")
    return bitmap


def _possible(bitmap: _Bitmap) -> bool:
    """Return whether such a bitmap can be: of a machine that exists, with its pages behind it."""
    return bitmap.pages <= bitmap.bits <= _MOST_BITS and bitmap.end <= bitmap.first_page < _MOST_BITS * PAGE


def _count_bits(source: Source, bitmap: _Bitmap) -> int:
    """Count the marked pages in bounded pieces."""
    count, size = 0, (bitmap.bits + 7) // 8
    for at in range(0, size, CHUNK):
        bits = int.from_bytes(source.read(bitmap.offset + at, min(CHUNK, size - at)), "little")
        if at + CHUNK >= size and bitmap.bits % 8:
            bits &= (1 << (bitmap.bits - at * 8)) - 1
        count += bits.bit_count()
    return count


def _triage(source: Source, header: Header) -> _Verdict:
    """Judge a small dump: a signature is the last thing that Windows writes of it."""
    raw = source.read(header.size, _TRIAGE.size)
    if len(raw) < _TRIAGE.size:
        return _Verdict(State.TRUNCATED, "it ends before its table of contents", missing="everything")
    _, size, valid_at = _TRIAGE.unpack(raw)
    if not header.size < size <= _MOST_TRIAGE_BYTES or valid_at + len(_TRIAGE_VALID) != size:
        raise damaged(f"a small dump of {size} bytes with its signature at byte {valid_at}")
    if source.size < size:
        reason = f"it ends {size - source.size} bytes early"
        return _Verdict(State.TRUNCATED, reason, size, "the end of the small dump")
    if source.read(valid_at, len(_TRIAGE_VALID)) != _TRIAGE_VALID:
        reason = "Windows did not finish it: the signature at its end is not there"
        return _Verdict(State.INCOMPLETE, reason, size, "the end of the small dump")
    return _Verdict(State.COMPLETE, "the small dump is whole; it holds stacks and drivers, not memory", size)


def _with_secondary_data(source: Source, memory: _Verdict) -> _Verdict:
    """Return the verdict on the drivers' data as well, where there is any: all memory is there."""
    end = memory.end or source.size
    blobs = read_blobs(source, end)
    if blobs is None:
        return memory
    if blobs.cut:
        reason = f"{memory.reason}, but it ends inside blob {blobs.count + 1} of the drivers' data"
        return _Verdict(State.TRUNCATED, reason, blobs.end, "secondary data")
    reason = f"{memory.reason}, and {blobs.count} blobs of drivers' data"
    return replace(memory, reason=reason, end=blobs.end)


def _short(present: int, pages: int) -> str:
    return f"it ends after {present} of {pages} pages"
