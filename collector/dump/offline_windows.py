"""Offline dumps of Windows: what the firmware writes when Windows itself could not.

Source: OfflineDumpHeaders.h and OfflineDumpEncryption.h of Microsoft's OfflineCrashDumpUefi. A header is
followed by a table of sections, and by their data. An encrypted dump has a header of its own before all that.
All numbers are little-endian and packed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from collector.dump.report import Cause, DumpFormat, DumpReport, Identity, Source, State, printable
from collector.errors import DumpError

MAGIC = b"Raw_Dmp!"
MAGIC_ENCRYPTED = b"Enc_Dmp!"
MAGICS = (MAGIC, MAGIC_ENCRYPTED)

_HEADER = struct.Struct("<8sHHIQQIQQI")
"""Signature, major and minor version, flags, OsData, CpuContext, ResetTrigger, DumpSize,
TotalDumpSizeRequired, SectionsCount."""

_SECTION = struct.Struct("<IHHIQQ16s20s")
"""Flags, major and minor version, type, offset, bytes, what depends on the type, name."""

_MOST_SECTIONS = 1 << 14
_VALID, _INSUFFICIENT_STORAGE = 0x1, 0x2  # flags, of the dump and of a section alike
_MEMORY_RANGE, _CPU_CONTEXT, _DUMP_REASON, _SYSTEM = 1, 2, 4, 5  # section types
_MOST_NAMES = 5
_ARCHITECTURES = {0: "aarch64", 1: "x86_64"}


@dataclass(frozen=True, slots=True)
class _Section:
    """One section of the table."""

    flags: int
    kind: int
    offset: int
    size: int
    facts: bytes
    name: str

    @property
    def end(self) -> int:
        """Byte offset of the first byte after its data."""
        return self.offset + self.size


def inspect(source: Source) -> DumpReport:
    """Say whether the firmware finished the dump, and whether every section is in the file.

    Raises:
        DumpError: the header contradicts the format.
    """
    report = partial(DumpReport, DumpFormat.OFFLINE_WINDOWS, size=source.size)
    raw = source.read(0, _HEADER.size)
    if raw.startswith(MAGIC_ENCRYPTED):
        reason = "the firmware encrypted it: only the holder of the private key can open it"
        return report(State.ENCRYPTED, reason)
    if len(raw) < _HEADER.size:
        return report(State.TRUNCATED, "it ends inside its header", missing="header")
    _, _, _, flags, _, _, _, size, required, count = _HEADER.unpack(raw)
    if not 0 < count <= _MOST_SECTIONS:
        raise DumpError(
            f"the offline dump is damaged: {count} sections",
            hint="Fetch the dump again and compare its checksum with the host's copy.",
        )
    table = source.read(_HEADER.size, count * _SECTION.size)
    table_end = _HEADER.size + count * _SECTION.size
    if len(table) < count * _SECTION.size:
        reason = "it ends inside its table of sections"
        return report(State.TRUNCATED, reason, expected_size=table_end, missing="sections")

    sections = [
        _Section(flags, kind, offset, size, facts, printable(name))
        for flags, _, _, kind, offset, size, facts, name in _SECTION.iter_unpack(table)
    ]
    written = [section for section in sections if section.flags & _VALID]
    end = max([size, table_end, *(section.end for section in written)])
    report = partial(report, expected_size=end, identity=_identity(sections))
    if source.size < end:
        cut = [section for section in written if section.end > source.size]
        return report(
            State.TRUNCATED, f"it ends {end - source.size} bytes early", missing=_names(cut or sections[-1:])
        )
    if flags & _INSUFFICIENT_STORAGE:
        reason = f"the firmware had no space for it: {required} bytes are needed"
    elif not flags & _VALID:
        reason = "the firmware did not finish it"
    elif len(written) < count:
        reason = f"{count - len(written)} of {count} sections were not written"
    else:
        return report(State.COMPLETE, f"all {count} sections are there")
    absent = [section for section in sections if not section.flags & _VALID]
    return report(State.INCOMPLETE, reason, missing=_names(absent or sections[-1:]))


def _identity(sections: Sequence[_Section]) -> Identity:
    """Return which system it is of."""
    memory = sum(section.size for section in sections if section.kind == _MEMORY_RANGE)
    architecture = cpus = cause = None
    details: dict[str, str | int] = {"sections": len(sections)}
    for section in sections:
        if section.kind == _SYSTEM:
            architecture = _ARCHITECTURES.get(int.from_bytes(section.facts[12:16], "little"))
            details["platform"] = f"{printable(section.facts[:4])} {printable(section.facts[4:12])}"
        elif section.kind == _CPU_CONTEXT:
            cpus = int.from_bytes(section.facts[2:6], "little") or None
        elif section.kind == _DUMP_REASON:
            first, second = struct.unpack_from("<II", section.facts)
            cause = Cause(
                f"{first:#x}", f"the firmware's reason, which each vendor numbers anew ({second:#x})"
            )
    return Identity(architecture=architecture, cpus=cpus, memory=memory or None, cause=cause, details=details)


def _names(sections: Sequence[_Section]) -> str:
    """Return the names of the first sections."""
    named = ", ".join(section.name for section in sections[:_MOST_NAMES])
    return f"sections {named}" + (", ..." if len(sections) > _MOST_NAMES else "")
