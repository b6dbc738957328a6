"""User minidumps (MDMP): one process of Windows, as Task Manager, ProcDump and WER write it.

Source: minidumpapiset.h of the Windows SDK. A header names a directory of streams {u32 type, u32 bytes, u32
offset}; streams hold lists, whose entries name further bytes of the file. The memory of a full dump comes
last. All numbers are little-endian.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import add

from collector.dump.report import (
    CHUNK,
    Cause,
    DumpFormat,
    DumpReport,
    Identity,
    Source,
    State,
    printable,
    utc,
)
from collector.errors import DumpError

MAGIC = b"MDMP"

_HEADER = struct.Struct("<4sHHIIIIQ")
"""Signature, version, an internal number, streams, offset of the directory, checksum, time, flags."""

_VERSION = 42899
_ENTRY = struct.Struct("<III")  # stream type, bytes, offset
_MOST_STREAMS = 4096
_MOST_LIST_BYTES = 1 << 28

_THREADS, _MODULES, _MEMORY, _EXCEPTION, _SYSTEM, _MEMORY_64, _COMMENT, _MISC = 3, 4, 5, 6, 7, 9, 10, 15

_LISTS = {_THREADS: (48, (32, 40)), _MODULES: (108, (76, 84)), _MEMORY: (16, (8,))}
"""Lists by stream type: bytes of an entry, and where in it stand the pairs {u32 bytes, u32 offset}."""

_LIST_NAMES = {_THREADS: "threads", _MODULES: "modules", _MEMORY: "memory"}
_SYSTEM_INFO = struct.Struct("<HHHBBIIII")
"""Architecture, level, revision, CPUs, product, major and minor version, build, platform."""

_WINDOWS_NT = 2  # Crashpad writes other platforms too
_MISC_INFO = struct.Struct("<IIII")  # bytes, flags, process id, time of the process's start
_HAS_PROCESS_ID, _HAS_PROCESS_TIMES = 1, 2
_ARCHITECTURES = {0: "i686", 5: "armv7l", 9: "x86_64", 12: "aarch64"}
_FULL_MEMORY = 0x2  # MiniDumpWithFullMemory


@dataclass(frozen=True, slots=True)
class _Stream:
    """One stream of the directory."""

    kind: int
    size: int
    offset: int


def inspect(source: Source) -> DumpReport:
    """Say whether every stream, and all that the lists in the streams name, is in the file.

    Raises:
        DumpError: the header or a list contradicts the format.
    """
    report = partial(DumpReport, DumpFormat.MINIDUMP, size=source.size)
    raw = source.read(0, _HEADER.size)
    if len(raw) < _HEADER.size:
        return report(State.TRUNCATED, "it ends inside its header", missing="header")
    _, version, _, count, directory_at, _, written, flags = _HEADER.unpack(raw)
    if version != _VERSION:
        raise _damaged(f"version {version}")
    if not 0 < count <= _MOST_STREAMS:
        raise _damaged(f"{count} streams")
    table = source.read(directory_at, count * _ENTRY.size)
    end = directory_at + count * _ENTRY.size
    if len(table) < count * _ENTRY.size:
        reason = "it ends before its directory of streams"
        return report(State.TRUNCATED, reason, expected_size=end, missing="streams")

    entries = [_Stream(*entry) for entry in _ENTRY.iter_unpack(table)]
    streams = {stream.kind: stream for stream in entries if stream.size}
    parts = [("streams", max(end, *(stream.offset + stream.size for stream in entries)))]
    if parts[0][1] <= source.size:  # only then can the lists in the streams be read
        parts += _list_ends(source, streams)
    end = max(at for _, at in parts)
    report = partial(report, expected_size=end, identity=_identity(source, streams, written, flags))
    if source.size < end:
        cut = ", ".join(name for name, at in parts if at > source.size)
        return report(State.TRUNCATED, f"it ends {end - source.size} bytes early", missing=cut)
    return report(State.COMPLETE, f"all {count} streams, and what they name, are there")


def _list_ends(source: Source, streams: Mapping[int, _Stream]) -> Iterator[tuple[str, int]]:
    """Yield the name of each list, and where the last byte is that one of its entries names."""
    for kind, name in _LIST_NAMES.items():
        if kind in streams:
            yield name, _list_end(source, streams[kind])
    if _MEMORY_64 in streams:
        yield "memory", _memory_64_end(source, streams[_MEMORY_64])


def _list_end(source: Source, stream: _Stream) -> int:
    """Return where the last byte ends that an entry of the list names.

    Some writers align the entries to eight bytes, four more than the count before them takes.
    """
    size, pairs = _LISTS[stream.kind]
    count = int.from_bytes(source.read(stream.offset, 4), "little")
    body = count * size
    if stream.size - body not in {4, 8} or body > _MOST_LIST_BYTES:
        raise _damaged(f"a list of {count} {_LIST_NAMES[stream.kind]} in {stream.size} bytes")
    end, start = 0, stream.offset + stream.size - body
    step = CHUNK // size * size
    for at in range(0, body, step):
        words = _words("I", source.read(start + at, min(step, body - at)))
        for pair in pairs:
            sizes, offsets = words[pair // 4 :: size // 4], words[pair // 4 + 1 :: size // 4]
            end = max(chain((end,), map(add, sizes, offsets)))
    return end


def _memory_64_end(source: Source, stream: _Stream) -> int:
    """Return where the memory of a full dump ends: {u64 ranges, u64 offset}, {u64 address, u64 bytes}."""
    pair = struct.Struct("<QQ")
    raw = source.read(stream.offset, pair.size)
    count, end = pair.unpack(raw.ljust(pair.size, b"\0"))
    body = count * pair.size
    if body != stream.size - pair.size or body > _MOST_LIST_BYTES:
        raise _damaged(f"a list of {count} ranges of memory in {stream.size} bytes")
    for at in range(0, body, CHUNK):
        words = _words("Q", source.read(stream.offset + pair.size + at, min(CHUNK, body - at)))
        end += sum(words[1::2])
    return int(end)


def _identity(source: Source, streams: Mapping[int, _Stream], written: int, flags: int) -> Identity:
    """Return which process of which system it is of."""
    details: dict[str, str | int] = {"memory": "full" if flags & _FULL_MEMORY else "partial"}
    architecture = build = cpus = uptime = cause = None
    raw = _start(source, streams, _SYSTEM, _SYSTEM_INFO.size)
    if raw:
        machine, _, _, cpus, _, major, minor, number, platform = _SYSTEM_INFO.unpack(raw)
        system = "Windows " if platform == _WINDOWS_NT else ""
        architecture, build = _ARCHITECTURES.get(machine), f"{system}{major}.{minor}.{number}"
    raw = _start(source, streams, _MISC, _MISC_INFO.size)
    if raw:
        _, known, process, started = _MISC_INFO.unpack(raw)
        if known & _HAS_PROCESS_ID:
            details["process"] = process
        if known & _HAS_PROCESS_TIMES and 0 < started <= written:
            uptime = float(written - started)
    raw = _start(source, streams, _EXCEPTION, 12)
    if raw:
        code = int.from_bytes(raw[8:12], "little")
        cause = Cause(f"{code:#x}", "the exception that the process is dumped for")
    raw = _start(source, streams, _COMMENT, 1)
    if raw:
        details["comment"] = printable(
            source.read(streams[_COMMENT].offset, min(streams[_COMMENT].size, 200))
        )
    return Identity(
        crash_time=utc(written),
        kernel_release=build,
        architecture=architecture,
        cpus=cpus or None,
        uptime=uptime,
        cause=cause,
        details=details,
    )


def _start(source: Source, streams: Mapping[int, _Stream], kind: int, size: int) -> bytes:
    """Return the first bytes of a stream; none when it has fewer, or is not there."""
    stream = streams.get(kind)
    if stream is None or stream.size < size:
        return b""
    raw = source.read(stream.offset, size)
    return raw if len(raw) == size else b""


def _words(form: str, raw: bytes) -> array[int]:
    """Return the whole numbers in `raw`, which are little-endian."""
    words = array(form, raw[: len(raw) - len(raw) % array(form).itemsize])
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _damaged(what: str) -> DumpError:
    return DumpError(
        f"the minidump is damaged: {what}",
        hint="Fetch the dump again and compare its checksum with the host's copy.",
    )
