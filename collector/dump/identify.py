"""Which format is it, and is it whole? Decided by content: a file name proves nothing.

Only the dump of an ESXi host is known by its name, for nothing is public of what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector.dump import elf, esxi, flattened, kdump, minidump, offline_windows, vmware, windows
from collector.dump.report import CHUNK, DumpFile, DumpFormat, DumpReport, Source, State


@dataclass(frozen=True, slots=True)
class _Reader:
    """A format: the bytes that it begins with, and who reads it; `glance` where `inspect` reads much."""

    magic: bytes
    inspect: Callable[[Source], DumpReport]
    glance: Callable[[Source], DumpReport] | None = None


_READERS = (
    _Reader(kdump.MAGIC, kdump.inspect, kdump.glance),
    _Reader(flattened.MAGIC, flattened.inspect, flattened.glance),
    _Reader(elf.MAGIC, elf.inspect),
    *(_Reader(magic, windows.inspect, windows.glance) for magic in windows.MAGICS),
    _Reader(minidump.MAGIC, minidump.inspect),
    *(_Reader(magic, offline_windows.inspect) for magic in offline_windows.MAGICS),
    *(_Reader(magic, vmware.inspect) for magic in vmware.MAGICS),
)
_FIRST_BYTES = 16


def inspect(path: Path) -> DumpReport:
    """Read the dump's headers and say whether it is whole. Holds a few MB of memory for a dump of any size.

    Raises:
        DumpError: the file cannot be read, or contradicts its own format.
    """
    with DumpFile(path) as file:
        return inspect_source(file, path.name)


def inspect_source(source: Source, name: str = "") -> DumpReport:
    """Say the same of bytes that are open already. Raises: DumpError."""
    reader = _reader(source)
    return reader.inspect(source) if reader else _unknown(source, name)


def glance(source: Source, name: str = "") -> DumpReport:
    """Say what a few MB of a dump show, for one that is far away.

    Complete then means that nothing speaks against it: only `inspect_source` looks at every page.

    Raises:
        DumpError: it contradicts its own format, or the source gives no more.
    """
    reader = _reader(source)
    if reader is None:
        return _unknown(source, name)
    return (reader.glance or reader.inspect)(source)


def _reader(source: Source) -> _Reader | None:
    first = source.read(0, _FIRST_BYTES)
    return next((reader for reader in _READERS if first.startswith(reader.magic)), None)


def _unknown(source: Source, name: str) -> DumpReport:
    """Report on a file that begins with nothing known."""
    if esxi.is_dump_name(name):
        return esxi.inspect(source)
    if not source.read(0, CHUNK).strip(b"\0"):
        nothing = f"its first {min(CHUNK, source.size)} bytes are zeros" if source.size else "it has no bytes"
        return DumpReport(DumpFormat.UNKNOWN, State.EMPTY, nothing, source.size, missing="everything")
    reason = f"it is no dump of a known format: it starts with {source.read(0, _FIRST_BYTES)!a}"
    return DumpReport(DumpFormat.UNKNOWN, State.UNKNOWN, reason, source.size)
