"""The flattened stream that `makedumpfile -F` and QEMU write where they cannot seek.

Source: makedumpfile.h, struct makedumpfile_header and makedumpfile_data_header; all numbers are big-endian.
A 4096-byte header is followed by records {i64 offset, i64 size, data}: "these bytes belong there". A record
(-1, -1) is the end. A writer that was killed leaves a stream without it, whatever the file's name says.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from collector.dump import elf, kdump
from collector.dump.report import OUT_OF_SPACE, Buffer, DumpFormat, DumpReport, Identity, Source, State
from collector.errors import DumpError

MAGIC = b"makedumpfile\0"

_HEADER = struct.Struct(">16sqq")  # signature, type, version
_HEADER_BYTES = 4096
_TYPE_AND_VERSION = (1, 1)
_RECORD = struct.Struct(">qq")
_END = (-1, -1)
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
    raw = file.read(0, _HEADER.size)
    if len(raw) == _HEADER.size and _HEADER.unpack(raw)[1:] != _TYPE_AND_VERSION:
        raise DumpError(
            f"the flattened stream has type and version {_HEADER.unpack(raw)[1:]}, not {_TYPE_AND_VERSION}",
            hint="Fetch the dump again and compare its checksum with the host's copy.",
        )
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


def _walk(file: Source) -> _Walk:
    """Go from record to record to the end marker, and keep what belongs to the dump's first bytes.

    Bytes after the marker are no fault: a stream that was written to a bare disk has them.
    """
    head = bytearray()
    at, records = _HEADER_BYTES, 0
    while len(raw := file.read(at, _RECORD.size)) == _RECORD.size:
        offset, size = _RECORD.unpack(raw)
        at += _RECORD.size
        if (offset, size) == _END:
            return _Walk("", at, records, bytes(head))
        if offset < 0 or size <= 0:
            return _Walk(f"record {records} is damaged", at, records, bytes(head))
        if offset < _HEAD_BYTES:
            data = file.read(at, min(size, _HEAD_BYTES - offset))
            head.extend(bytes(max(0, offset + len(data) - len(head))))
            head[offset : offset + len(data)] = data
        at += size
        records += 1
    return _Walk(f"it was cut: no end marker after {records} records", at, records, bytes(head))


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
