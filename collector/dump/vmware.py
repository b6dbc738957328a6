"""The memory of a VMware guest: .vmss (suspended) and .vmsn (snapshot), with the .vmem beside them.

Source: vmware_vmss.h of the crash utility, which VMware wrote, and volatility's reader. A header names
groups; a group is a list of tags {u16, name, indices, value} that ends with a tag of zero. ESX kept the
memory in a tag of the group `memory`; Workstation and newer ESXi keep it in a .vmem of the same name. All
numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath

from collector.dump.report import DumpFormat, DumpReport, Identity, Neighbour, Source, State, printable
from collector.errors import DumpError

_KINDS = {
    b"\xd0\xbe\xd0\xbe": "checkpoint of the old format",
    b"\xd2\xbe\xd2\xbe": "checkpoint",
    b"\xd3\xbe\xd3\xbe": "partial checkpoint",
    b"\xd1\xba\xd1\xba": "checkpoint that was restored",
    b"\xd2\xba\xd2\xba": "checkpoint that must not be restored",
}
MAGICS = tuple(_KINDS)
CHECKPOINTS, MEMORY = (".vmsn", ".vmss"), ".vmem"
"""The suffixes of a checkpoint, and of the memory that lies beside it under the same name."""

_OLD_FORMAT = MAGICS[0]  # with sizes of 32 bits

_HEADER = struct.Struct("<4sII")  # magic, version, groups
_GROUP = struct.Struct("<64sQQ")  # name, offset, bytes
_BLOCK = struct.Struct("<QQH")  # bytes in the file, bytes in memory, padding before them
_MOST_GROUPS = 1024
_MOST_TAGS = 1 << 18
_MOST_REGIONS = 1 << 10
_MOST_PAGES = 1 << 40
_MOST_CPUS = 1 << 14
_BLOCK_TAG, _COMPRESSED_BLOCK_TAG = 0x3F, 0x3E  # in the place of the value's size
_INDEX_BYTES = 4
_PAGE = 4096
_WINDOW = 1 << 16


@dataclass(frozen=True, slots=True)
class _Tag:
    """One tag: its name, its first index, its number, and, of a block, its bytes in memory."""

    name: str
    index: int
    value: int
    block: int | None


@dataclass(slots=True)
class _Guest:
    """What the tags say of the guest, and the first group that the file does not hold to its end."""

    cut: str = ""
    memory: int | None = None
    cpus: int | None = None
    regions: dict[int, dict[str, int]] = field(default_factory=dict)

    @property
    def separate(self) -> int | None:
        """Bytes that the .vmem must have; None when no region says so."""
        pages = (
            region.get("regionPageNum", 0) + region.get("regionSize", 0) for region in self.regions.values()
        )
        return max(pages, default=0) * _PAGE or None


class _CutError(Exception):
    """The file ended where a tag should be."""


def inspect(source: Source) -> DumpReport:
    """Say whether every group is in the file, and the memory in it or in the .vmem beside it.

    The .vmem is looked for where `source` knows what lies beside it; elsewhere ask `judge`.

    Raises:
        DumpError: the header or a group contradicts the format.
    """
    return judge(source, source.size_beside(MEMORY) if isinstance(source, Neighbour) else None)


def memory_beside(paths: Iterable[str]) -> dict[str, str]:
    """Those of `paths` that hold the memory of a checkpoint among them, each with that checkpoint."""
    known = [PurePosixPath(path) for path in paths]
    checkpoints = {path.with_suffix(""): str(path) for path in known if path.suffix in CHECKPOINTS}
    return {
        str(path): checkpoints[stem]
        for path in known
        if path.suffix == MEMORY and (stem := path.with_suffix("")) in checkpoints
    }


def judge(source: Source, vmem: int | None) -> DumpReport:
    """Say the same where the .vmem has `vmem` bytes; None when it is not there. Raises: DumpError."""
    report = partial(DumpReport, DumpFormat.VMWARE, size=source.size)
    raw = source.read(0, _HEADER.size)
    if len(raw) < _HEADER.size:
        return report(State.TRUNCATED, "it ends inside its header", missing="header")
    magic, _, count = _HEADER.unpack(raw)
    if magic == _OLD_FORMAT:
        return report(State.UNKNOWN, f"a {_KINDS[magic]} is not read here")
    if not 0 < count <= _MOST_GROUPS:
        raise _damaged(f"{count} groups")
    table = source.read(_HEADER.size, count * _GROUP.size)
    if len(table) < count * _GROUP.size:
        return report(State.TRUNCATED, "it ends inside its list of groups", missing="groups")

    guest = _read_guest(source, [(printable(name), at) for name, at, _ in _GROUP.iter_unpack(table)])
    memory = guest.memory or guest.separate
    details: dict[str, str | int] = {"kind": _KINDS[magic], "groups": count}
    report = partial(report, identity=Identity(cpus=guest.cpus, memory=memory, details=details))
    if guest.cut:
        reason = f"it ends inside its group {guest.cut!r}"
        return report(State.TRUNCATED, reason, missing=f"group {guest.cut}")
    if guest.memory is not None:
        return report(State.COMPLETE, f"all {count} groups are there, and the memory is one of them")
    return _with_vmem(report, guest.separate, vmem)


def _with_vmem(report: partial[DumpReport], expected: int | None, vmem: int | None) -> DumpReport:
    """Return the verdict where the memory is in a file of its own."""
    needs = f"of {expected} bytes " if expected else ""
    if not vmem:
        reason = f"the guest's memory is in a .vmem {needs}that must lie beside it under the same name"
        return report(State.INCOMPLETE, reason, missing="the .vmem")
    if expected and vmem < expected:
        reason = f"the .vmem beside it ends {expected - vmem} bytes early"
        return report(State.TRUNCATED, reason, missing="the end of the .vmem")
    if not expected:
        return report(
            State.UNKNOWN, f"it does not say how long the .vmem beside it, of {vmem} bytes, must be"
        )
    return report(State.COMPLETE, f"all groups are there, and the .vmem of {vmem} bytes is beside it")


def _read_guest(source: Source, groups: list[tuple[str, int]]) -> _Guest:
    """Go through the tags of every group, and keep those that bear on the memory."""
    guest, left = _Guest(), _MOST_TAGS
    for name, offset in groups:
        try:
            for tag in _tags(source, offset):
                left -= 1
                if not left:
                    raise _damaged(f"more than {_MOST_TAGS} tags")
                _keep(guest, name, tag)
        except _CutError:
            guest.cut = guest.cut or name
    return guest


def _keep(guest: _Guest, group: str, tag: _Tag) -> None:
    if group == "memory" and tag.block is not None:
        guest.memory = tag.block if tag.name == "Memory" else guest.memory
    elif group == "memory" and tag.name in {"regionPageNum", "regionSize"}:
        if tag.index >= _MOST_REGIONS or tag.value > _MOST_PAGES:
            raise _damaged(f"a region of memory with number {tag.index} and {tag.value:#x} as its {tag.name}")
        guest.regions.setdefault(tag.index, {})[tag.name] = tag.value
    elif group == "cpu" and tag.name == "cpu:numVCPUs" and tag.value <= _MOST_CPUS:
        guest.cpus = tag.value


def _tags(source: Source, offset: int) -> Iterator[_Tag]:
    """Yield the tags of a group. Raises: _CutError when the file ends before the last one."""
    window = _Window(source, offset)
    while head := int.from_bytes(window.take(2), "little"):
        size, indices, name_size = head & 0x3F, head >> 6 & 0x3, head >> 8
        name = printable(window.take(name_size))
        index = int.from_bytes(window.take(_INDEX_BYTES * indices)[:_INDEX_BYTES], "little")
        if size in {_BLOCK_TAG, _COMPRESSED_BLOCK_TAG}:
            stored, in_memory, padding = _BLOCK.unpack(window.take(_BLOCK.size))
            window.skip(padding + stored)
            yield _Tag(name, index, 0, in_memory)
        else:
            yield _Tag(name, index, int.from_bytes(window.take(size), "little"), None)


class _Window:
    """Reads on through a source, a window at a time, and skips without reading."""

    def __init__(self, source: Source, offset: int) -> None:
        self._source, self._at = source, offset
        self._start, self._held = offset, b""

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes. Raises: _CutError."""
        first = self._at - self._start
        if first + size > len(self._held):
            self._start, self._held, first = self._at, self._source.read(self._at, _WINDOW), 0
        taken = self._held[first : first + size]
        if len(taken) < size:
            raise _CutError
        self._at += size
        return taken

    def skip(self, size: int) -> None:
        """Go on behind the next `size` bytes; a `take` there says whether the file has them."""
        self._at += size


def _damaged(what: str) -> DumpError:
    return DumpError(
        f"the VMware checkpoint is damaged: {what}",
        hint="Fetch it again, with the .vmem beside it, and compare the checksums with the datastore's copy.",
    )
