"""Mend, on a copy, what QEMU's `dump-guest-memory` writes wrongly, so that the usual tools open it.

Seen with QEMU 7.2; dump/dump.c of QEMU is the source of each:

- ELF: the section header lies where makedumpfile expects the program headers, right behind the ELF header.
- kdump: `phys_base` is read from VMCOREINFO as if its decimal figure were hexadecimal.
- kdump: of `uname` only the machine is filled in, and there is no time of the crash.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.dump import elf, flattened, kdump
from collector.dump.report import CHUNK, Source
from collector.errors import DumpError

_UTSNAME, _NAME_BYTES = (
    0xC,
    65,
)  # kdump: six names from here on: system, node, release, version, machine, domain
_SYSTEM, _RELEASE = 0, 2
_TIMESTAMP = 0x198
_E_PHOFF, _E_PHNUM, _E_SHNUM = 32, 56, 60  # ELF64: e_phoff and e_shoff, e_phnum, e_shnum and e_shstrndx


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that belong at an offset of the dump, and what they mend."""

    offset: int
    data: bytes
    mends: str


class Patched:
    """A source with patches laid over it."""

    def __init__(self, source: Source, patches: Sequence[Patch]) -> None:
        self.size = source.size
        self._source = source
        self._patches = patches

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from `offset`. Raises: DumpError."""
        data = bytearray(self._source.read(offset, size))
        for patch in self._patches:
            start = max(patch.offset, offset)
            end = min(patch.offset + len(patch.data), offset + len(data))
            if start < end:
                data[start - offset : end - offset] = patch.data[start - patch.offset : end - patch.offset]
        return bytes(data)


def repair(source: Source, target: Path) -> Sequence[str]:
    """Write a mended copy to `target`; a flattened dump becomes an ordinary one.

    The original is only read.

    Returns:
        What was mended, a sentence each.

    Raises:
        DumpError: there is nothing to mend, the dump is not whole enough, or `target` cannot be written.
    """
    is_stream = source.read(0, len(flattened.MAGIC)) == flattened.MAGIC
    inner = flattened.Stream(source) if is_stream else source
    patches = plan(inner)
    if not patches:
        raise DumpError(
            "there is nothing to mend in it",
            hint="Only the known defects of QEMU's dumps can be mended; what is missing stays missing.",
        )
    _write(Patched(inner, patches), target)
    flat = ["it is an ordinary dump now, not a flattened stream"] if is_stream else []
    return [*(patch.mends for patch in patches), *flat]


def plan(source: Source) -> Sequence[Patch]:
    """Return what would mend the dump; nothing when it is well. Raises: DumpError."""
    if source.read(0, len(elf.MAGIC)) == elf.MAGIC:
        return _program_headers(source)
    if source.read(0, len(kdump.MAGIC)) == kdump.MAGIC and (header := kdump.read_header(source)):
        return [*_names(source, header), *_phys_base(source, header)]
    return []


def _program_headers(source: Source) -> Sequence[Patch]:
    """Move the program headers to where they usually are, and drop the sections, which nobody needs."""
    raw = bytearray(source.read(0, elf.HEADER_BYTES))
    if elf.read_core(source) is None:
        return []
    order = elf.ORDERS[raw[5]]
    (at,) = struct.unpack_from(order + "Q", raw, _E_PHOFF)
    (count,) = struct.unpack_from(order + "H", raw, _E_PHNUM)
    if at == elf.HEADER_BYTES or count == elf.PN_XNUM:
        return []
    table = source.read(at, count * elf.PROGRAM_HEADER_BYTES)
    end = elf.HEADER_BYTES + len(table)
    segments = struct.iter_unpack(order + elf.PROGRAM_HEADER, table)
    if any(size and offset < end for _, _, offset, _, _, size, _, _ in segments):
        raise DumpError(
            "its program headers cannot be moved: memory lies where they belong",
            hint="Let QEMU write the dump anew, as kdump-zlib.",
        )
    struct.pack_into(order + "QQ", raw, _E_PHOFF, elf.HEADER_BYTES, 0)  # e_phoff, e_shoff
    struct.pack_into(order + "HH", raw, _E_SHNUM, 0, 0)  # e_shnum, e_shstrndx
    return [Patch(0, bytes(raw) + table, "the program headers follow the ELF header now")]


def _names(source: Source, header: kdump.Header) -> Sequence[Patch]:
    """Fill in what VMCOREINFO knows and the header does not say."""
    release = header.info.get("OSRELEASE", "")
    if not release:  # then it is not known either that it is Linux
        return []
    patches = []
    for number, name, text in ((_SYSTEM, "system", "Linux"), (_RELEASE, "release", release)):
        at = _UTSNAME + number * _NAME_BYTES
        if not source.read(at, 1).strip(b"\0"):
            data = text.encode()[: _NAME_BYTES - 1].ljust(_NAME_BYTES, b"\0")
            patches.append(Patch(at, data, f"the name of the {name} is {text} now"))
    crashed = header.identity.crash_time
    if crashed and not source.read(_TIMESTAMP, 8).strip(b"\0"):
        data = struct.pack(header.order + "q", int(crashed.timestamp()))
        patches.append(Patch(_TIMESTAMP, data, f"the crash time is {crashed:%Y-%m-%d %H:%M:%S} UTC now"))
    return patches


def _phys_base(source: Source, header: kdump.Header) -> Sequence[Patch]:
    """Let the header say the same `phys_base` as VMCOREINFO."""
    try:
        told = int(header.info["NUMBER(phys_base)"])
        data = struct.pack(header.order + "q", told)
    except (KeyError, ValueError, struct.error):
        return []
    if source.read(header.block_size, len(data)) == data:
        return []
    return [Patch(header.block_size, data, f"phys_base is {told} now, as VMCOREINFO says")]


def _write(source: Source, target: Path) -> None:
    """Copy all of it; what is zero becomes a hole. Raises: DumpError."""
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for at in range(0, source.size, CHUNK):
                data = source.read(at, CHUNK)
                if data.strip(b"\0"):
                    file.seek(at)
                    file.write(data)
            file.truncate(source.size)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DumpError(
            f"cannot write {target.name!r}: {error.strerror}",
            hint="Name a file that does not exist yet, where there is room for all of the dump.",
        ) from error
