"""The secondary data that drivers add after the memory of a Windows kernel dump.

Source: the layout of real dumps, and KBUGCHECK_SECONDARY_DUMP_DATA in the WDK. A header {`DumpBlob`, u32
bytes of this header, u32 build} is followed by blobs {u32 bytes of this header, GUID, u32 bytes of data, u32
padding before and after it}, each with its data. The last one ends with the file: there is no end marker, and
no count. So a file that was cut exactly between two blobs cannot be told from a whole one; the memory, which
comes first, is whole in both.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from collector.dump.report import Source
from collector.dump.windows_header import PAGE, damaged

_MAGIC = b"DumpBlob"
_HEADER = struct.Struct("<8sII")
_BLOB = struct.Struct("<I16sIII")
_MOST_BLOBS = 4096  # real dumps have 20 to 50


@dataclass(frozen=True, slots=True)
class Blobs:
    """The chain of blobs: how many are whole, where they end, and whether the last one is cut."""

    count: int
    end: int
    cut: bool


def read_blobs(source: Source, offset: int) -> Blobs | None:
    """Follow the chain that starts at `offset` or within the page after it; None when there is none.

    Raises:
        DumpError: a blob's header is none, or there are more than any Windows writes.
    """
    start = _find(source, offset)
    if start is None:
        return None
    raw = source.read(start, _HEADER.size)
    if len(raw) < _HEADER.size:
        return Blobs(0, start + _HEADER.size, cut=True)
    _, header_size, _ = _HEADER.unpack(raw)
    if header_size != _HEADER.size:
        raise damaged(f"the header of its secondary data has {header_size} bytes")
    at = start + header_size
    for count in range(_MOST_BLOBS):
        if at >= source.size:
            return Blobs(count, at, cut=at > source.size or count == 0)
        raw = source.read(at, _BLOB.size)
        if len(raw) < _BLOB.size:
            return Blobs(count, at + _BLOB.size, cut=True)
        blob_header, _, size, before, after = _BLOB.unpack(raw)
        if blob_header != _BLOB.size:
            raise damaged(f"blob {count} of its secondary data has a header of {blob_header} bytes")
        at += blob_header + before + size + after
    raise damaged(f"more than {_MOST_BLOBS} blobs of secondary data")


def _find(source: Source, offset: int) -> int | None:
    """Return where the chain starts, also when the file is cut inside its first eight bytes."""
    near = source.read(offset, PAGE)
    if near and _MAGIC.startswith(near):
        return offset
    found = near.find(_MAGIC)
    return offset + found if found >= 0 else None
