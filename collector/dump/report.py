"""What a header reader says of a dump, and the bounded way in which it may look at the bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from collector.errors import DumpError

CHUNK = 1 << 20
"""Bytes that a reader asks for at a time when it streams through a dump."""

OUT_OF_SPACE = "makedumpfile marked it incomplete: the target had no space left"

_LATEST_TIME = 1 << 33  # the year 2242: later is damage, not a crash


class DumpFormat(StrEnum):
    """The formats that are told apart by their first bytes."""

    KDUMP = "kdump-compressed"
    FLATTENED = "kdump-flattened"
    ELF = "elf-vmcore"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which crash of which host a dump is of; None and empty where the dump does not say."""

    crash_time: datetime | None = None
    kernel_release: str | None = None
    hostname: str | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DumpReport:
    """Whether a dump is whole, in one sentence, and the facts in its header.

    Args:
        format: what the file is.
        complete: True when nothing that the headers promise is missing.
        reason: why it is, or is not, complete; one sentence.
        size: bytes in the file.
        expected_size: bytes that the headers promise; None when they cannot be read that far.
        crash_time: when the kernel crashed, UTC; None when the dump does not say.
        kernel_release: as `uname -r` says it.
        hostname: as `uname -n` says it.
        details: further facts by name, for people to read.
    """

    format: DumpFormat
    complete: bool
    reason: str
    size: int
    expected_size: int | None = None
    crash_time: datetime | None = None
    kernel_release: str | None = None
    hostname: str | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        kind: DumpFormat,
        identity: Identity,
        *,
        complete: bool,
        reason: str,
        size: int,
        expected_size: int | None = None,
    ) -> DumpReport:
        """Join what the dump is of with what was found out about its completeness."""
        return cls(
            format=kind,
            complete=complete,
            reason=reason,
            size=size,
            expected_size=expected_size,
            crash_time=identity.crash_time,
            kernel_release=identity.kernel_release,
            hostname=identity.hostname,
            details=identity.details,
        )


class Source(Protocol):
    """Bytes at an offset: a file, or a dump inside another format."""

    def read(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes from `offset`; fewer, or none, at the end."""
        ...


class Buffer:
    """A source over bytes that are already in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

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


def printable(raw: bytes) -> str:
    """Return the text before the first NUL with all that is not printable ASCII escaped."""
    text = raw.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def utc(seconds: int) -> datetime | None:
    """Return the time `seconds` after the epoch; None for zero and for what no clock can have shown."""
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST_TIME else None
