"""Which Linux dump is it, and is it whole?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collector.dump import elf, flattened, kdump
from collector.dump.report import DumpFile, DumpReport
from collector.errors import DumpError

_READERS: tuple[tuple[bytes, Callable[[DumpFile], DumpReport]], ...] = (
    (kdump.MAGIC, kdump.inspect),
    (flattened.MAGIC, flattened.inspect),
    (elf.MAGIC, elf.inspect),
)
_FIRST_BYTES = 16


def inspect(path: Path) -> DumpReport:
    """Read the dump's headers and say whether it is whole. Holds a few MB of memory for a dump of any size.

    Raises:
        DumpError: the file cannot be read, is none of these formats, or contradicts its own format.
    """
    with DumpFile(path) as file:
        first = file.read(0, _FIRST_BYTES)
        for magic, reader in _READERS:
            if first.startswith(magic):
                return reader(file)
    if not first:
        raise DumpError(
            f"{path.name!r} is empty",
            hint="The dump tool failed on the host: read its log there (kexec-dmesg.log, journalctl -b -1).",
        )
    raise DumpError(
        f"{path.name!r} is no Linux dump: it starts with {first!a}",
        hint="Expected a kdump-compressed or flattened dump of makedumpfile, or an ELF vmcore. "
        "If the file is gzip, xz or zstd, unpack it first.",
    )
