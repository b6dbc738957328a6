"""kdump-compressed dumps, as makedumpfile and QEMU write them.

Source: makedumpfile IMPLEMENTATION and diskdump_mod.h. The file is, in blocks of `block_size` bytes:
header, sub header, two bitmaps (pages that exist, pages that are in the dump), one descriptor for each
page in the dump, and the pages. All numbers are in the byte order of the machine that crashed.
Only the layout of 64-bit kernels is read.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from operator import add

from collector.dump import vmcoreinfo
from collector.dump.report import (
    CHUNK,
    OUT_OF_SPACE,
    DumpFormat,
    DumpReport,
    Identity,
    Source,
    State,
    printable,
    utc,
)
from collector.errors import DumpError

MAGIC = b"KDUMP   "

INCOMPLETE = 0x8
"""Status flag DUMP_DH_COMPRESSED_INCOMPLETE: makedumpfile itself ran out of space."""

_HEADER = "8si65s65s65s65s65s65s6xqqIiiiIIIIIi"
"""disk_dump_header: signature, header_version, six utsname fields, timestamp (s, µs), status, block_size,
sub_hdr_size, bitmap_blocks, max_mapnr, total_ram_blocks, device_blocks, written_blocks, current_cpu,
nr_cpus."""

_SUB_HEADER = "Qii11Q"
"""kdump_sub_header: phys_base, dump_level, split, start_pfn, end_pfn, offset and size of VMCOREINFO, of the
notes and of the erase info, start_pfn_64, end_pfn_64, max_mapnr_64. Fields after `split` came with header
versions 2 to 6; an older sub header is zero there, being padded to a block."""

DESCRIPTOR = "qIIQ"
"""page_desc: offset, size, flags, page_flags."""
DESCRIPTOR_BYTES = 24
_HEADER_VERSIONS = range(1, 16)  # 6 is the newest
_BLOCK_SIZES = frozenset(1 << shift for shift in range(9, 21))  # 512 B to 1 MiB; pages are 4 to 64 KiB
_MOST_SUB_HEADER_BYTES = 1 << 28  # the notes of every CPU are in it
_MOST_CPUS = 1 << 16
_WIDE_PFN_VERSION = 6  # the first version whose *_64 fields count
_COMPRESSION = {0x1: "zlib", 0x2: "lzo", 0x4: "snappy", 0x20: "zstd"}


@dataclass(frozen=True, slots=True)
class Header:
    """The two headers, checked: every figure is within the bounds that the format gives it."""

    order: str
    version: int
    status: int
    block_size: int
    sub_header_blocks: int
    bitmap_blocks: int
    max_mapnr: int
    split: bool
    erase_info_end: int
    identity: Identity
    info: Mapping[str, str]

    @property
    def memory_offset(self) -> int:
        """Byte offset of the first bitmap: the pages that the kernel had."""
        return (1 + self.sub_header_blocks) * self.block_size

    @property
    def bitmap_offset(self) -> int:
        """Byte offset of the second bitmap: the pages that are in the dump."""
        return (1 + self.sub_header_blocks + self.bitmap_blocks // 2) * self.block_size

    @property
    def descriptor_offset(self) -> int:
        """Byte offset of the first page descriptor."""
        return (1 + self.sub_header_blocks + self.bitmap_blocks) * self.block_size


@dataclass(frozen=True, slots=True)
class _Pages:
    """The page descriptors: how many were not written, how many cannot be, where the last page ends."""

    missing: int
    damaged: int
    end: int


def inspect(source: Source) -> DumpReport:
    """Say whether the dump is whole: every page in the bitmap has a descriptor, and the last page is there.

    Raises:
        DumpError: the headers contradict the format.
    """
    header = read_header(source)
    if header is None:
        return _truncated(source, Identity(), "headers", None)
    if header.split:  # each part describes the pages of all parts, so one alone proves nothing
        reason = "it is one part of a split dump: join all with makedumpfile --reassemble"
        return DumpReport(
            DumpFormat.KDUMP, State.INCOMPLETE, reason, source.size, None, "the other parts", header.identity
        )
    if source.size < header.descriptor_offset:
        return _truncated(source, header.identity, "bitmaps", header.descriptor_offset)
    memory = _count_pages(source, header, header.memory_offset) * header.block_size
    header = replace(header, identity=replace(header.identity, memory=memory or None))
    count = _count_pages(source, header, header.bitmap_offset)
    data_offset = header.descriptor_offset + count * DESCRIPTOR_BYTES
    if source.size < data_offset:
        return _truncated(source, header.identity, "page descriptors", data_offset)
    pages = _read_descriptors(source, header, range(count), data_offset)
    end = max(data_offset, pages.end, header.erase_info_end)
    state, reason, missing = _verdict(header, count, pages, source.size, end)
    return DumpReport(DumpFormat.KDUMP, state, reason, source.size, end, missing, header.identity)


def glance(source: Source) -> DumpReport:
    """Say what the headers, the first descriptors and the last ones show: 2 MiB of a dump of any size.

    The pages begin where the first descriptors point to, so that no bitmap need be read to count the others.

    Raises:
        DumpError: the headers contradict the format.
    """
    header = read_header(source)
    step = CHUNK // DESCRIPTOR_BYTES
    if header is None or header.split or source.size < header.descriptor_offset + step * DESCRIPTOR_BYTES:
        return inspect(source)
    first = source.read(header.descriptor_offset, step * DESCRIPTOR_BYTES)
    offsets = [offset for offset, *_ in struct.iter_unpack(header.order + DESCRIPTOR, first)]
    data_offset = min(filter(header.descriptor_offset.__lt__, offsets), default=0)
    count = (data_offset - header.descriptor_offset) // DESCRIPTOR_BYTES
    if count <= step:
        return inspect(source)
    if source.size < data_offset:
        return _truncated(source, header.identity, "page descriptors", data_offset)
    pages = _read_descriptors(source, header, range(count - step, count), data_offset)
    end = max(pages.end, header.erase_info_end)
    state, reason, missing = _verdict(header, count, pages, min(source.size, end), end)
    if state is State.COMPLETE:
        reason = f"its headers and the last of its {count} pages are there"
    return DumpReport(DumpFormat.KDUMP, state, reason, source.size, end, missing, header.identity)


def read_header(source: Source) -> Header | None:
    """Return both headers; None when the source ends before them.

    Raises:
        DumpError: a figure is outside the bounds that the format gives it.
    """
    raw = source.read(0, struct.calcsize("<" + _HEADER))
    if len(raw) < struct.calcsize("<" + _HEADER):
        return None
    order = "<" if int.from_bytes(raw[8:12], "little") in _HEADER_VERSIONS else ">"
    fields = struct.unpack(order + _HEADER, raw)
    _, version, *names, seconds, _, status, block_size, sub_blocks, bitmap_blocks = fields[:14]
    max_mapnr, cpus = fields[14], fields[19]
    _check("header_version", version, version in _HEADER_VERSIONS)
    _check("block_size", block_size, block_size in _BLOCK_SIZES)
    _check("sub_hdr_size", sub_blocks, 1 <= sub_blocks <= _MOST_SUB_HEADER_BYTES // block_size)
    _check("bitmap_blocks", bitmap_blocks, bitmap_blocks >= 0 and bitmap_blocks % 2 == 0)

    sub = source.read(block_size, struct.calcsize(order + _SUB_HEADER))
    if len(sub) < struct.calcsize(order + _SUB_HEADER):
        return None
    fields = struct.unpack(order + _SUB_HEADER, sub)
    phys_base, level, split, _, _, info_at, info_size, _, _, erase_at, erase_size, _, _, wide_mapnr = fields
    if version >= _WIDE_PFN_VERSION:
        max_mapnr = wide_mapnr
    pages_in_bitmap = bitmap_blocks // 2 * block_size * 8
    _check("max_mapnr", max_mapnr, max_mapnr <= pages_in_bitmap)

    info = vmcoreinfo.parse(source.read(info_at, min(info_size, vmcoreinfo.LIMIT)))
    info.setdefault("NUMBER(phys_base)", str(phys_base))  # kernels before 4.10 leave it to the dump tool
    _, node, release, _, machine, _ = (printable(name) for name in names)
    return Header(
        order=order,
        version=version,
        status=status,
        block_size=block_size,
        sub_header_blocks=sub_blocks,
        bitmap_blocks=bitmap_blocks,
        max_mapnr=max_mapnr,
        split=bool(split),
        erase_info_end=erase_at + erase_size if erase_size else 0,
        identity=Identity(
            crash_time=utc(seconds) or vmcoreinfo.crash_time(info),
            kernel_release=release or vmcoreinfo.release(info),
            hostname=node or None,
            architecture=machine or None,
            cpus=cpus if 0 < cpus <= _MOST_CPUS else None,
            details={
                "header_version": version,
                "status": f"{status:#x}",
                "compression": _compression(status),
                "dump_level": level,
                **vmcoreinfo.details(info),
            },
        ),
        info=info,
    )


def _count_pages(source: Source, header: Header, bitmap: int) -> int:
    """Count the bits that are set in the bitmap at this offset."""
    count, size = 0, -(-header.max_mapnr // 8)
    for at in range(0, size, CHUNK):
        piece = source.read(bitmap + at, min(CHUNK, size - at))
        count += int.from_bytes(piece, "little").bit_count()
    return count


def _read_descriptors(source: Source, header: Header, wanted: range, data_offset: int) -> _Pages:
    """Go through page descriptors in bounded pieces; no page can lie before `data_offset`."""
    missing = damaged = last = 0
    swapped = (header.order == ">") != (sys.byteorder == "big")
    words_per_page = DESCRIPTOR_BYTES // 4
    step = CHUNK // DESCRIPTOR_BYTES
    for done in range(wanted.start, wanted.stop, step):
        at = header.descriptor_offset + done * DESCRIPTOR_BYTES
        raw = source.read(at, min(step, wanted.stop - done) * DESCRIPTOR_BYTES)
        offsets, words = array("Q", raw), array("I", raw)
        if swapped:
            offsets.byteswap()
            words.byteswap()
        offsets, sizes = offsets[::3], words[2::words_per_page]
        last = max(chain((last,), map(add, offsets, sizes)))
        if min(offsets) >= data_offset and min(sizes) and max(sizes) <= header.block_size:
            continue  # all of this piece is well: only what is not must be counted one by one
        missing += offsets.count(0)
        damaged += sum(
            1
            for offset, size in zip(offsets, sizes, strict=True)
            if offset and (offset < data_offset or not 0 < size <= header.block_size)
        )
    return _Pages(missing, damaged, last)


def _verdict(header: Header, count: int, pages: _Pages, size: int, end: int) -> tuple[State, str, str]:
    """Return the state, the reason, and what is missing; of several faults the worst."""
    if fault := _fault(header, count, pages):
        return State.INCOMPLETE, fault, "pages"
    if size < end:
        return State.TRUNCATED, f"it ends {end - size} bytes early", "the last pages"
    if size > end:
        return State.UNKNOWN, f"{size - end} unknown bytes follow its last page", ""
    return State.COMPLETE, f"all {count} pages are there", ""


def _fault(header: Header, count: int, pages: _Pages) -> str:
    """Return what the dump tool did not finish; empty when it finished."""
    if header.status & INCOMPLETE:
        return OUT_OF_SPACE
    if not count:
        return "there is no page in it"
    if pages.missing:
        return f"{pages.missing} of {count} page descriptors were never written"
    if pages.damaged:
        return f"{pages.damaged} of {count} page descriptors are damaged"
    return ""


def _truncated(source: Source, identity: Identity, missing: str, expected_size: int | None) -> DumpReport:
    return DumpReport(
        DumpFormat.KDUMP,
        State.TRUNCATED,
        f"it ends inside its {missing}",
        source.size,
        expected_size,
        missing,
        identity,
    )


def _compression(status: int) -> str:
    return next((name for flag, name in _COMPRESSION.items() if status & flag), "none")


def _check(name: str, value: int, valid: bool) -> None:
    if not valid:
        raise DumpError(
            f"the kdump header is damaged: {name} is {value}",
            hint="Fetch the dump again and compare its checksum with the host's copy.",
        )
