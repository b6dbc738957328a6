"""The flattened stream that `makedumpfile -F` and QEMU write where they cannot seek.

Source: makedumpfile.h, struct makedumpfile_header and makedumpfile_data_header; all numbers are big-endian.
A 4096-byte header is followed by records {i64 offset, i64 size, data}: "these bytes belong there". A record
(-1, -1) is the end. A writer that was killed leaves a stream without it, whatever the file's name says.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from collector.dump import elf, kdump
from collector.dump.report import OUT_OF_SPACE, Buffer, DumpFormat, DumpReport, Identity, Source, State
from collector.errors import DumpError

MAGIC = b"makedumpfile\0"

_HEADER = struct.Struct(">16sqq")  # signature, type, version
_HEADER_BYTES = 4096
_TYPE_AND_VERSION = (1, 1)
_RECORD = struct.Struct(">qq")
_END = b"\xff" * _RECORD.size  # (-1, -1)
_LARGEST_DUMP = 1 << 60  # so that no sum of two figures leaves 64 bits
_MOST_INDEXED = 1 << 20
_FIRST_RECORDS = 8  # makedumpfile writes the headers first
_HEAD_BYTES = 1 << 20
"""Bytes of the dump inside that are kept: its headers and VMCOREINFO are among them."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """Where a walk over the records ended, why it stopped short, and the start of the dump inside."""

    fault: str
    end: int
    records: int
    head: bytes


def inspect(file: Source) -> DumpReport:
    """Say whether the stream reaches its end marker, and what the dump inside says of itself.

    Raises:
        DumpError: the stream's header, or the headers of the dump inside, contradict the format.
    """
    _check(file)
    walk = _walk(file)
    if walk.fault:
        identity = _identity(walk.head)
        return DumpReport(
            DumpFormat.FLATTENED, State.TRUNCATED, walk.fault, file.size, None, "its end", identity
        )
    identity, fault = _inner(walk.head)
    if fault:
        return DumpReport(
            DumpFormat.FLATTENED, State.INCOMPLETE, fault, file.size, walk.end, "pages", identity
        )
    whole = f"the stream has its end marker after {walk.records} records"
    return DumpReport(DumpFormat.FLATTENED, State.COMPLETE, whole, file.size, walk.end, "", identity)


def glance(file: Source) -> DumpReport:
    """Say whether the end marker stands at the end, and what the first records show: some KiB of any stream.

    Raises:
        DumpError: the stream's header, or the headers of the dump inside, contradict the format.
    """
    _check(file)
    head = bytearray()
    for record in islice(_records(file), _FIRST_RECORDS):
        _put(head, file, record)
    identity = _identity(bytes(head))
    if file.read(max(_HEADER_BYTES, file.size - _RECORD.size), _RECORD.size) == _END:
        reason = "the stream ends with its end marker"
        return DumpReport(DumpFormat.FLATTENED, State.COMPLETE, reason, file.size, file.size, "", identity)
    reason = "it was cut: the stream does not end with its end marker"
    return DumpReport(DumpFormat.FLATTENED, State.TRUNCATED, reason, file.size, None, "its end", identity)


def _check(file: Source) -> None:
    raw = file.read(0, _HEADER.size)
    if len(raw) == _HEADER.size and _HEADER.unpack(raw)[1:] != _TYPE_AND_VERSION:
        raise DumpError(
            f"the flattened stream has type and version {_HEADER.unpack(raw)[1:]}, not {_TYPE_AND_VERSION}",
            hint="Fetch the dump again and compare its checksum with the host's copy.",
        )


def _walk(file: Source) -> _Walk:
    """Go from record to record to the end marker, and keep what belongs to the dump's first bytes.

    Bytes after the marker are no fault: a stream that was written to a bare disk has them.
    """
    head = bytearray()
    at, count = _HEADER_BYTES, 0
    for record in _records(file):
        at, count = record.at + record.size, count + 1
        _put(head, file, record)
    last = file.read(at, _RECORD.size)
    if last == _END:
        fault = ""
    elif len(last) == _RECORD.size:
        fault = f"record {count} is damaged"
    else:
        fault = f"it was cut: no end marker after {count} records"
    return _Walk(fault, at + _RECORD.size, count, bytes(head))


def _put(head: bytearray, file: Source, record: _Record) -> None:
    """Put the record's bytes where they belong, as far as they belong to the dump's first bytes."""
    if record.offset < _HEAD_BYTES:
        data = file.read(record.at, min(record.size, _HEAD_BYTES - record.offset))
        head.extend(bytes(max(0, record.offset + len(data) - len(head))))
        head[record.offset : record.offset + len(data)] = data


@dataclass(frozen=True, slots=True)
class _Record:
    """`size` bytes at `at` in the stream belong to `offset` in the dump."""

    offset: int
    size: int
    at: int


def _records(file: Source) -> Iterator[_Record]:
    """Yield the records up to the end marker, to the first that leads nowhere, or to the end of the file."""
    at = _HEADER_BYTES
    while len(raw := file.read(at, _RECORD.size)) == _RECORD.size:
        offset, size = _RECORD.unpack(raw)
        at += _RECORD.size
        if offset < 0 or size <= 0 or offset + size > _LARGEST_DUMP:
            return
        yield _Record(offset, size, at)
        at += size


class Stream:
    """The dump inside a stream: each byte as the last record that holds it says.

    Raises:
        DumpError: there are more records than an index in memory should have.
    """

    def __init__(self, file: Source) -> None:
        self._file = file
        self.size = self._longest = 0
        offsets, places, sizes = array("q"), array("q"), array("q")
        for record in _records(file):
            if len(offsets) == _MOST_INDEXED:
                raise DumpError(
                    f"the flattened dump has more than {_MOST_INDEXED} records",
                    hint="Make an ordinary dump of it first: makedumpfile -R vmcore < it",
                )
            offsets.append(record.offset)
            places.append(record.at)
            sizes.append(record.size)
            self.size = max(self.size, record.offset + record.size)
            self._longest = max(self._longest, record.size)
        self._order = array("I", sorted(range(len(offsets)), key=offsets.__getitem__))
        self._starts = array("q", (offsets[number] for number in self._order))
        self._places, self._sizes = places, sizes

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer at the end; zeros between records. Raises: DumpError."""
        end = min(offset + size, self.size)
        out = bytearray(max(0, end - offset))
        first = bisect_right(self._starts, offset - self._longest)
        last = bisect_right(self._starts, end - 1)
        found = sorted((self._order[index], self._starts[index]) for index in range(first, last))
        for number, start in found:
            begin = max(offset, start)
            count = min(end, start + self._sizes[number]) - begin
            if count > 0:
                data = self._file.read(self._places[number] + begin - start, count)
                out[begin - offset : begin - offset + len(data)] = data
        return bytes(out)


def _identity(head: bytes) -> Identity:
    """Return what a dump that was cut says of itself; its headers may have come last, and be cut off."""
    try:
        return _inner(head)[0]
    except DumpError:
        return Identity()


def _inner(head: bytes) -> tuple[Identity, str]:
    """Return what the dump inside says of itself, and what it says is wrong with it."""
    source = Buffer(head)
    if head.startswith(elf.MAGIC):
        core = elf.read_core(source)
        return (core.identity, core.fault) if core else (Identity(), "")
    if head.startswith(kdump.MAGIC):
        header = kdump.read_header(source)
        if header is not None:
            return header.identity, OUT_OF_SPACE if header.status & kdump.INCOMPLETE else ""
    return Identity(), "there is no kdump header in it"
