"""Which format is it, and is it whole? Decided by content: a file name proves nothing.

Only the dump of an ESXi host is known by its name, for nothing is public of what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collector.dump import elf, esxi, flattened, kdump, minidump, offline_windows, vmware, windows
from collector.dump.report import CHUNK, DumpFile, DumpFormat, DumpReport, Source, State

_READERS: tuple[tuple[bytes, Callable[[Source], DumpReport]], ...] = (
    (kdump.MAGIC, kdump.inspect),
    (flattened.MAGIC, flattened.inspect),
    (elf.MAGIC, elf.inspect),
    *((magic, windows.inspect) for magic in windows.MAGICS),
    (minidump.MAGIC, minidump.inspect),
    *((magic, offline_windows.inspect) for magic in offline_windows.MAGICS),
    *((magic, vmware.inspect) for magic in vmware.MAGICS),
)
_FIRST_BYTES = 16


def inspect(path: Path) -> DumpReport:
    """Read the dump's headers and say whether it is whole. Holds a few MB of memory for a dump of any size.

    Raises:
        DumpError: the file cannot be read, or contradicts its own format.
    """
    with DumpFile(path) as file:
        report = inspect_source(file)
        known_by_name = report.format is DumpFormat.UNKNOWN and esxi.is_dump_name(path.name)
        return esxi.inspect(file) if known_by_name else report


def inspect_source(source: Source) -> DumpReport:
    """Say the same of bytes that lie elsewhere. Raises: DumpError."""
    first = source.read(0, _FIRST_BYTES)
    for magic, reader in _READERS:
        if first.startswith(magic):
            return reader(source)
    if not source.read(0, CHUNK).strip(b"\0"):
        nothing = f"its first {min(CHUNK, source.size)} bytes are zeros" if source.size else "it has no bytes"
        return DumpReport(DumpFormat.UNKNOWN, State.EMPTY, nothing, source.size, missing="everything")
    reason = f"it is no dump of a known format: it starts with {first!a}"
    return DumpReport(DumpFormat.UNKNOWN, State.UNKNOWN, reason, source.size)
