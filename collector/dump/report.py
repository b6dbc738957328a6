"""What a header reader says of a dump, and the bounded way in which it may look at the bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from collector.errors import DumpError

CHUNK = 1 << 20
"""Bytes that a reader asks for at a time when it streams through a dump."""

OUT_OF_SPACE = "makedumpfile marked it incomplete: the target had no space left"

_LATEST_TIME = 1 << 33  # the year 2242: later is damage, not a crash


class DumpFormat(StrEnum):
    """The formats that are told apart by their content."""

    KDUMP = "kdump-compressed"
    FLATTENED = "kdump-flattened"
    ELF = "elf-vmcore"
    WINDOWS = "windows-kernel-dump"
    OFFLINE_WINDOWS = "windows-offline-dump"
    MINIDUMP = "windows-minidump"
    VMWARE = "vmware-memory"
    ESXI = "esxi-zdump"
    UNKNOWN = "unknown"


class State(StrEnum):
    """The verdict on a dump, from its bytes."""

    COMPLETE = "complete"  # nothing that its headers promise is missing
    TRUNCATED = "truncated"  # the file ends before the bytes that its headers promise
    INCOMPLETE = "incomplete"  # the dump tool left parts out, or says itself that it did not finish
    ENCRYPTED = "encrypted"  # only the holder of the key can say more
    EMPTY = "empty"  # no byte, or none but zeros
    STALE = "stale"  # whole, and of another crash than the one that was looked for, mostly an older one
    UNKNOWN = "unknown"  # not a format that is read here, or one that contradicts itself


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the system crashed.

    Args:
        code: as the system's own tools write it: `0x80`, `panic`.
        meaning: what it means.
        nmi: True when an NMI did it.
    """

    code: str
    meaning: str
    nmi: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Which crash of which system a dump is of; None and empty where the dump does not say.

    Args:
        crash_time: when it crashed, UTC.
        kernel_release: as `uname -r` says it; the build number of a Windows.
        hostname: as `uname -n` says it.
        architecture: as `uname -m` says it: `x86_64`, `aarch64`, `i686`.
        cpus: how many processors the system had.
        memory: bytes of its memory.
        uptime: seconds from boot to crash.
        cause: why it crashed.
        details: further facts by name, for people to read.
    """

    crash_time: datetime | None = None
    kernel_release: str | None = None
    hostname: str | None = None
    architecture: str | None = None
    cpus: int | None = None
    memory: int | None = None
    uptime: float | None = None
    cause: Cause | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DumpReport:
    """Whether a dump is whole, in one sentence, and what it is of.

    Args:
        format: what the file is.
        state: the verdict.
        reason: why that is the verdict; one sentence.
        size: bytes in the file.
        expected_size: bytes that the headers promise; None when they cannot be read that far.
        missing: the part that is not there (`page descriptors`, `pages`); empty when nothing is missing.
        identity: which crash of which system it is of.
    """

    format: DumpFormat
    state: State
    reason: str
    size: int
    expected_size: int | None = None
    missing: str = ""
    identity: Identity = Identity()

    @property
    def complete(self) -> bool:
        """True when nothing that the headers promise is missing."""
        return self.state is State.COMPLETE


class Source(Protocol):
    """Bytes at an offset: a file here or on the host, or a dump inside another format."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from `offset`; fewer, or none, at the end. Raises: DumpError."""
        ...


@runtime_checkable
class Neighbour(Protocol):
    """A source that knows which files lie beside it."""

    def size_beside(self, suffix: str) -> int | None:
        """Bytes of the file that differs in its suffix alone; None when there is none."""
        ...


class Buffer:
    """A source over bytes that are already in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from `offset`."""
        return self._data[offset : offset + size]


class DumpFile:
    """A source over a regular file or a block device, open for reading; a context manager.

    Raises:
        DumpError: on entry, when the path is not a file that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0

    def __enter__(self) -> Self:
        # A FIFO would block the open forever, so the kind is asked first.
        if not (self.path.is_file() or self.path.is_block_device()):
            what = "not a file" if self.path.exists() else "not there"
            raise DumpError(f"{self.path.name!r} is {what}", hint="Name the dump file itself.")
        try:
            self._file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise DumpError(
                f"cannot open {self.path.name!r}: {error.strerror}",
                hint="Check that this account may read the file.",
            ) from error
        self.size = self._file.seek(0, os.SEEK_END)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`; fewer, or none, at the end. Raises: DumpError."""
        if offset >= self.size:
            return b""
        parts = []
        try:
            self._file.seek(offset)
            while size > 0 and (part := self._file.read(size)):
                parts.append(part)
                size -= len(part)
        except OSError as error:
            raise DumpError(
                f"cannot read {self.path.name!r} at byte {offset}: {error.strerror}",
                hint="The medium may be failing; copy the dump again.",
            ) from error
        return b"".join(parts)

    def size_beside(self, suffix: str) -> int | None:
        """Bytes of the file that differs in its suffix alone; None when there is none. Raises: DumpError."""
        beside = self.path.with_suffix(suffix)
        if not beside.is_file():
            return None
        with DumpFile(beside) as file:
            return file.size


def printable(raw: bytes) -> str:
    """Return the text before the first NUL with all that is not printable ASCII escaped."""
    text = raw.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def utc(seconds: int) -> datetime | None:
    """Return the time `seconds` after the epoch; None for zero and for what no clock can have shown."""
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST_TIME else None
