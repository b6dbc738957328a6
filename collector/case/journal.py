"""The journal: append-only JSON lines, hash-chained, on the disk before the act they announce.

One line an entry, in canonical JSON (ASCII, sorted keys, no spaces)::

    {"data":{…},"event":"claim","hash":"…","monotonic":81.2,"prev":"…","seq":7,"utc":"2026-11-21T03:14:08.123456Z"}

`hash` is the SHA-256 of the same line without `hash`; `prev` is the hash of the line before, 64 zeros for
the first. So no line can be altered, dropped or inserted unseen; that lines were cut off at the end shows
against the head that the sealed case keeps in `bag-info.txt`.

A crash in the middle of a write leaves a last line without its newline. `append` returns only after the
whole line is on the disk, so nobody ever acted on such a line. It is no alteration: readers pass over it,
and the next append keeps its bytes in `journal.torn-N`, cuts them off, and says so in a `journal.torn`
entry. A *terminated* line that does not fit the chain is refused: it may have been a claim.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

from collector.case.storage import open_private, storing, sync, sync_folder, write_all, write_atomically
from collector.errors import JournalError

GENESIS = "0" * 64
"""What the first entry has for `prev`, and the head of an empty journal."""

MAX_TEXT = 16 * 1024
"""Longest text kept in an entry, in characters; whole outputs belong into files of the case."""

MAX_ITEMS = 1000
MAX_DEPTH = 8
MAX_INT = 2**64 - 1

_TORN = re.compile(r"journal\.torn-(?P<number>[0-9]+)\Z")
_FIELDS = {"data", "event", "hash", "monotonic", "prev", "seq", "utc"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. `utc` is ISO 8601 in UTC, `monotonic` seconds of this machine's boot."""

    seq: int
    utc: str
    monotonic: float
    event: str
    data: Mapping[str, object]
    prev: str
    hash: str

    @property
    def time(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.fromisoformat(self.utc)


class Journal:
    """The journal at `path`. Threads may share one; two processes are kept apart by `case.lock`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._entries: list[Entry] = []  # what is verified so far, and
        self._size = 0  # how many bytes of the file that is
        self._torn_files_noted = False

    def create(self) -> None:
        """Make the empty file, durably. Raises: StorageError."""
        with storing(self.path):
            os.close(open_private(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            sync_folder(self.path.parent)

    def append(self, event: str, /, **data: object) -> Entry:
        """Write one entry and return once it is on the disk.

        Text is bounded to `MAX_TEXT` characters and lone surrogates are escaped, so that anything from a
        remote side may be passed. Times, paths, bytes, mappings and sequences become JSON.

        Raises:
            StorageError: it could not be written; nothing may be done that it announced.
            JournalError: the lines before it do not hold together.
            TypeError: `data` holds something that has no JSON form.
        """
        with self._lock, storing(self.path):
            torn = self._read_on()
            if torn:
                self._set_aside(torn)
            if torn or not self._torn_files_noted:
                self._note_torn_files()
            return self._append(event, data)

    def entries(self) -> list[Entry]:
        """Read the whole file anew and verify every line.

        Raises:
            JournalError: a line was altered, inserted or dropped; the message names the line.
        """
        with self._lock:
            self._entries, self._size = [], 0
            return self._known()

    def last(self, event: str) -> Entry | None:
        """The latest entry of that name. Raises: JournalError."""
        return next((entry for entry in reversed(self._known()) if entry.event == event), None)

    def all(self, event: str) -> list[Entry]:
        """Every entry of that name, oldest first. Raises: JournalError."""
        return [entry for entry in self._known() if entry.event == event]

    @property
    def head(self) -> str:
        """Hash of the last entry. Raises: JournalError."""
        known = self._known()
        return known[-1].hash if known else GENESIS

    def _known(self) -> list[Entry]:
        """A copy of all entries, after those that were added since the last look are verified."""
        with self._lock:
            self._read_on()
            return list(self._entries)

    def _read_on(self) -> bytes:
        """Verify the lines behind those already known; return the bytes of a torn last line."""
        if not self._size and not self.path.exists():
            return b""
        with storing(self.path), self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._size:
                raise _altered(len(self._entries), "it was there a moment ago and is cut off")
            file.seek(self._size)
            *lines, torn = file.read().split(b"\n")
        for line in lines:
            self._entries.append(_verified(line, self._entries))
            self._size += len(line) + 1
        return torn

    def _append(self, event: str, data: Mapping[str, object]) -> Entry:
        last = self._entries[-1] if self._entries else None
        record: dict[str, object] = {
            "seq": last.seq + 1 if last else 1,
            "utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "monotonic": time.monotonic(),
            "event": _text(event),
            "data": _plain(data, MAX_DEPTH),
            "prev": last.hash if last else GENESIS,
        }
        record["hash"] = hashlib.sha256(_canonical(record)).hexdigest()
        line = _canonical(record)
        entry = _verified(line, self._entries)
        is_new = not self.path.exists()
        fd = open_private(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            write_all(fd, line + b"\n")
            sync(fd)
        finally:
            os.close(fd)
        if is_new:
            sync_folder(self.path.parent)
        self._entries.append(entry)
        self._size += len(line) + 1
        return entry

    def _set_aside(self, torn: bytes) -> None:
        """Keep the torn bytes in a file, then cut them off. Killed anywhere, the next append ends it."""
        number = 1
        while (kept := self.path.with_name(f"journal.torn-{number}")).exists() and kept.read_bytes() != torn:
            number += 1
        write_atomically(kept, torn)
        fd = open_private(self.path, os.O_WRONLY)
        try:
            os.ftruncate(fd, self._size)
            sync(fd)
        finally:
            os.close(fd)

    def _note_torn_files(self) -> None:
        """Write an entry for each torn line that was set aside and is not spoken of yet."""
        noted = {entry.data.get("file") for entry in self._entries if entry.event == "journal.torn"}
        for path in torn_files(self.path.parent):
            if path.name not in noted:
                torn = path.read_bytes()
                sha256 = hashlib.sha256(torn).hexdigest()
                self._append("journal.torn", {"file": path.name, "bytes": len(torn), "sha256": sha256})
        self._torn_files_noted = True


def torn_files(folder: Path) -> list[Path]:
    """The torn lines that were set aside in a case, oldest first."""
    found = {path: match for path in folder.iterdir() if (match := _TORN.match(path.name))}
    return sorted(found, key=lambda path: int(found[path]["number"]))


def _verified(line: bytes, before: list[Entry]) -> Entry:
    """The entry that `line` holds, when it is the very next one of the chain."""
    number = len(before) + 1
    try:
        record = json.loads(line)
        canonical = _canonical(record)
    except (ValueError, RecursionError) as error:
        raise _altered(number, "it is not JSON") from error
    if not isinstance(record, dict) or set(record) != _FIELDS or canonical != line:
        raise _altered(number, "it was not written by this program")
    claimed = record.pop("hash")
    if hashlib.sha256(_canonical(record)).hexdigest() != claimed:
        raise _altered(number, "its hash does not match what it says")
    if record["prev"] != (before[-1].hash if before else GENESIS) or record["seq"] != number:
        raise _altered(number, "it does not follow the line before: lines were dropped, inserted or moved")
    return Entry(hash=claimed, **record)


def _altered(line: int, reason: str) -> JournalError:
    return JournalError(
        f"line {line} of the journal cannot be trusted: {reason}",
        hint="Leave the folder as it is and compare it with a copy. Never send an NMI by what it says.",
    )


def _canonical(record: object) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _text(text: str) -> str:
    """Bounded, and without lone surrogates, which no UTF-8 file can hold."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT} more characters)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: object, depth: int) -> object:
    """`value` as JSON can hold it, bounded in every direction."""
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if depth == 0:
            return "…"
        items = list(value)[:MAX_ITEMS]
        if isinstance(value, Mapping):
            return {_text(str(key)): _plain(value[key], depth - 1) for key in items}
        return [_plain(item, depth - 1) for item in items]
    return _plain_scalar(value)


def _plain_scalar(value: object) -> bool | int | float | str | None:
    match value:
        case None | bool():
            return value
        case str() | PurePath():
            return _text(str(value))
        case int():
            return int(value) if abs(value) <= MAX_INT else _text(hex(value))
        case float():
            return float(value) if math.isfinite(value) else str(value)
        case bytes():
            return _text(value[: MAX_TEXT + 1].decode("utf-8", "backslashreplace"))
        case datetime():
            return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a journal entry")
