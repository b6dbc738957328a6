"""One incident's folder: where it is, what it is called, and how evidence gets into it.

::

    2026-11-21T0312Z-db01/      0700, files 0600
      journal.jsonl             every observation, decision and act
      data/evidence             from before the NMI
      data/dump                 the dump
      data/logs                 from after it

Nothing that is once in `data/` is ever overwritten: other bytes under the same name get a number.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from collector.case.journal import Journal
from collector.case.storage import digest, make_folder, storing, sync_folder, write_atomically
from collector.errors import CaseError

JOURNAL = "journal.jsonl"
PAYLOAD = "data"
FOLDERS = ("evidence", "dump", "logs")

MAX_NAME = 120
"""Longest safe name in bytes: eCryptfs allows 143, and part files add an ending of their own."""

_HASH_DIGITS = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=@-]")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)", re.IGNORECASE)
_CASE_NAME = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\d{4}Z)-(?P<host>.+?)(?:-(?P<number>\d+))?\Z")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A whole file in the case: its path relative to the case (with `/`), size in bytes, SHA-256 in hex."""

    path: str
    bytes: int
    sha256: str


def safe_name(remote: str) -> str:
    """Turn any text into one path component that is harmless on Linux, macOS and Windows.

    Only ASCII letters, digits and `._+=@-` stay, so no separator, escape, colon (an NTFS stream) or
    look-alike letter gets through. Leading `.` and `-`, a trailing `.`, the device names of Windows
    ("Naming Files, Paths, and Namespaces", Microsoft Learn) and our own `.part` ending are altered, and
    the length is at most `MAX_NAME`. A name that had to change carries a short hash of the original, so
    that different names stay different. `safe_name(safe_name(x)) == safe_name(x)`.
    """
    kept = _UNSAFE.sub("_", remote)
    kept = re.sub(r"\A[.-]+", "_", kept)
    kept = re.sub(r"\.+\Z", "_", kept)
    kept = re.sub(r"\.(?=part)", "_", kept, flags=re.IGNORECASE)
    if _DEVICE.match(kept) or not kept:
        kept = "_" + kept
    if kept == remote and len(kept) <= MAX_NAME:
        return kept
    mark = "-" + hashlib.sha256(remote.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    found = _EXTENSION.search(kept)
    extension = found.group() if found else ""
    stem = kept[: len(kept) - len(extension)][: MAX_NAME - len(mark) - len(extension)]
    return stem + mark + extension


def numbered(path: Path, number: int) -> Path:
    """The `number`-th name to try for `path`: itself, then `name-2.ext`, `name-3.ext`."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def find(cases: Path) -> list[Path]:
    """The case folders under `cases`, newest first; an absent folder has none."""
    if not cases.is_dir():
        return []
    found = [(match, path) for path in cases.iterdir() if (match := _CASE_NAME.match(path.name))]
    found.sort(key=lambda case: (case[0]["time"], int(case[0]["number"] or 1), case[1].name), reverse=True)
    return [path for _, path in found if (path / JOURNAL).is_file()]


class CaseFolder:
    """The folder of one incident. Made by `create` or `open`.

    Attributes:
        path: the folder, absolute.
        name: the case's id, which is the folder's name.
        host: the inventory name of the host.
        journal: everything that was seen, decided and done.
    """

    def __init__(self, path: Path, host: str) -> None:
        self.path = path
        self.name = path.name
        self.host = host
        self.journal = Journal(path / JOURNAL)
        self._naming = threading.Lock()

    @classmethod
    def create(cls, cases: Path, host: str, now: datetime) -> Self:
        """Make the folder of a new case under `cases`; a name that is taken gets `-2`, `-3`.

        Args:
            cases: the folder of all cases; made when it is absent.
            host: inventory name of the host.
            now: an aware time; the name carries it in UTC.

        Raises:
            StorageError: no space, or no right to write there.
        """
        base = cases.absolute() / f"{now.astimezone(UTC):%Y-%m-%dT%H%MZ}-{safe_name(host)}"
        with storing(base):
            make_folder(base.parent)
            number, path = 1, base
            while True:
                try:
                    path.mkdir(mode=0o700)  # the one step that two processes cannot both do
                except FileExistsError:
                    number += 1
                    path = base.with_name(f"{base.name}-{number}")
                else:
                    break
            sync_folder(path.parent)
            for folder in FOLDERS:
                make_folder(path / PAYLOAD / folder)
        case = cls(path, host)
        case.journal.create()
        return case

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing case.

        Raises:
            CaseError: this is no case folder.
            JournalError: the journal was altered.
        """
        path = path.absolute()
        if not (path / JOURNAL).is_file():
            raise CaseError(
                f"{path} is not a case folder: it has no {JOURNAL}",
                hint="List the cases with `hang-collector case list`.",
            )
        opened = Journal(path / JOURNAL).last("case.opened")
        name = _CASE_NAME.match(path.name)
        host = str(opened.data.get("host", "")) if opened else ""
        return cls(path, host or (name["host"] if name else path.name))

    def payload_path(self, relative: str) -> Path:
        """Where `data/<relative>` is on this machine; its folder is made when it is absent.

        Raises:
            CaseError: a component of `relative` is not a safe name; make it one with `safe_name`.
            StorageError: the folder cannot be made.
        """
        parts = relative.split("/")
        if any(part != safe_name(part) for part in parts):
            raise CaseError(
                f"{relative!r} is not a safe path inside a case",
                hint="Please report this defect: a name from a remote side did not go through safe_name.",
                host=self.host,
            )
        path = self.path.joinpath(PAYLOAD, *parts)
        with storing(path):
            make_folder(path.parent)
        return path

    def write(self, relative: str, data: bytes) -> Artifact:
        """Write `data` to `data/<relative>`: durable, and whole or not there at all.

        A file that is already there is never overwritten: the same bytes are left as they are, other
        bytes go to `name-2.ext`. Read the path from what is returned.

        Raises:
            CaseError: `relative` is not safe.
            StorageError: no space, or no right to write.
        """
        wanted = self.payload_path(relative)
        sha256 = hashlib.sha256(data).hexdigest()
        number, path = 1, wanted
        with self._naming:
            while path.exists():
                if path.stat().st_size == len(data) and digest(path)[1] == sha256:
                    return Artifact(self.relative(path), len(data), sha256)
                number += 1
                path = numbered(wanted, number)
            write_atomically(path, data)
        return Artifact(self.relative(path), len(data), sha256)

    def relative(self, path: Path) -> str:
        """`path` relative to the case, with `/` on every system."""
        return path.relative_to(self.path).as_posix()
