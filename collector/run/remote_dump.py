"""Look at a dump on the host before it is copied: 200 GB that are cut short are known after a few MB."""

from __future__ import annotations

from pathlib import PurePosixPath

from collector.adapters.answers import RemoteFile
from collector.adapters.base import Files
from collector.adapters.limits import Deadline
from collector.dump.identify import glance
from collector.dump.report import DumpFormat, DumpReport, State
from collector.errors import AdapterError, DeadlineError, DumpError

_BLOCK = 64 * 1024
_MOST_BLOCKS = 256  # 16 MiB

_LOOK_FOR = 60.0
"""Seconds that a look may take; the copy tells the same later."""


def look(files: Files, dump: RemoteFile, deadline: Deadline) -> DumpReport:
    """Say what a few MB of a dump on the host show. What cannot be said is of the state unknown.

    Nothing is raised: the copy follows whatever this says, and fails for itself if it must.
    """
    source = RemoteSource(files, dump, deadline.within(_LOOK_FOR))
    try:
        return glance(source, PurePosixPath(dump.path).name)
    except FileNotFoundError:
        reason = "it vanished before it was looked at"
    except (AdapterError, DumpError) as error:
        reason = error.message
    return DumpReport(DumpFormat.UNKNOWN, State.UNKNOWN, reason, dump.size)


class RemoteSource:
    """A file on the host as the readers of dumps want it: bytes at an offset, in blocks that are kept.

    Args:
        files: the channel into the host.
        file: the file, as it was found.
        deadline: when to stop, whatever is left to be read.
    """

    def __init__(self, files: Files, file: RemoteFile, deadline: Deadline) -> None:
        self.size = file.size
        self._files = files
        self._path = file.path
        self._deadline = deadline
        self._blocks: dict[int, bytes] = {}

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`; fewer, or none, at the end.

        Raises:
            DumpError: it is more than a look may read.
            AdapterError: the channel failed, or the deadline passed.
            FileNotFoundError: the file is gone.
        """
        end = min(offset + size, self.size)
        if offset >= end:
            return b""
        wanted = range(offset // _BLOCK, (end - 1) // _BLOCK + 1)
        self._fetch(wanted)
        data = b"".join(self._blocks[number] for number in wanted)
        return data[offset - wanted.start * _BLOCK : end - wanted.start * _BLOCK]

    def size_beside(self, suffix: str) -> int | None:
        """Bytes of the file that differs in its suffix alone, or None. Raises: AdapterError."""
        beside = str(PurePosixPath(self._path).with_suffix(suffix))
        try:
            return self._files.stat(beside, self._deadline).size
        except FileNotFoundError:
            return None

    def _fetch(self, wanted: range) -> None:
        """Read the blocks that are not here yet, from the first of them on, in one go."""
        missing = [number for number in wanted if number not in self._blocks]
        if not missing:
            return
        if len(self._blocks) + missing[-1] - missing[0] >= _MOST_BLOCKS:
            raise DumpError(
                f"more than {_BLOCK * _MOST_BLOCKS >> 20} MiB of it would have to be read",
                hint="It is checked when it is home.",
            )
        size = (missing[-1] - missing[0] + 1) * _BLOCK
        data = self._read(missing[0] * _BLOCK, size)
        for at in range(0, size, _BLOCK):
            self._blocks[missing[0] + at // _BLOCK] = data[at : at + _BLOCK]

    def _read(self, offset: int, size: int) -> bytes:
        data = bytearray()
        for chunk in self._files.read(self._path, offset, self._deadline.remaining()):
            data += chunk
            if len(data) >= size:
                break
            if self._deadline.expired:
                raise DeadlineError("looking at it took too long", hint="It is checked when it is home.")
        return bytes(data)
