"""Bring a large file home: hashed while it is copied, resumed at the last verified byte.

Beside the file that is being copied lie two others::

    vmcore.part        the bytes so far
    vmcore.part.log    which remote file they are from, and a checkpoint every 8 MiB

A checkpoint is a line `{"end": 16777216, "sha256": "…"}`: the digest of everything up to that offset. It is
written only after those bytes are on the disk. So a resumption re-reads the part, which the digest of the
whole needs anyway, and what the last matching checkpoint covers is proved to be as it was received.

Nothing collected is lost. A part of another remote file, or of another version of it, is kept as
`vmcore.part.stale-N`. A whole file is never overwritten: another one by the same name becomes `vmcore-2`.
The log outlives the copy until the case is sealed: a run killed between `finish` and its journal entry
finds the whole file and proves by the log what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from collector.case.folder import PAYLOAD, Artifact, CaseFolder, numbered
from collector.case.handover import Handover
from collector.case.storage import (
    open_private,
    storage_error,
    storing,
    sync,
    sync_folder,
    write_all,
    write_atomically,
)
from collector.errors import CaseError, StorageError

BLOCK = 8 * 1024 * 1024
"""Bytes between two checkpoints, and so the most that a crash makes us fetch again."""

_PART = ".part"
_LOG = ".part.log"
_PIECE = 2 * 1024 * 1024
_PIECES = 2  # on the way to each thread, so at most 8 MiB wait
_READ = 1024 * 1024
_RESERVE = 64 * 1024 * 1024  # for the journal, the report, and the logs that come after the dump


def free_space_check(case: CaseFolder, needed: int) -> None:
    """Check that `needed` bytes, and a reserve for the rest of the case, fit where the case lies.

    Raises:
        StorageError: they do not.
    """
    with storing(case.path):
        free = shutil.disk_usage(case.path).free
    if needed + _RESERVE > free:
        raise StorageError(
            f"{needed} bytes are to be collected and only {free} are free at {case.path}",
            hint=f"Free {needed + _RESERVE - free} bytes there, then go on with `hang-collector resume`.",
            host=case.host,
        )


class PartFile:
    """A file on its way into the case; use it as a context manager. Leaving the block keeps the part.

    Pieces go to a thread that hashes them, and from there to one that writes them, so that the network waits
    for neither; at most 8 MiB are held in memory. What goes wrong there is raised by the next `write`, or by
    `finish`.
    """

    def __init__(self, case: CaseFolder, target: Path, source: str, size: int | None) -> None:
        self._case = case
        self._target = target
        self._part, self._log = _part(target), _log(target)
        self._size = size
        self._failure: BaseException | None = None
        self._sha256, self._saved, checkpoints = _proved(self._part, self._log)
        self._written = self._hashed = self._checked = self._saved
        self.offset = self._saved
        """Bytes of the file that are here or handed over; where the next read of the source starts."""
        self._file = open_private(self._part, os.O_WRONLY | os.O_CREAT)
        self._to_hash: Handover[memoryview | None] = Handover(_PIECES)
        self._to_write: Handover[tuple[memoryview, str] | None] = Handover(_PIECES)
        self._threads = [
            threading.Thread(target=work, name=f"copy {target.name}", daemon=True)
            for work in (self._hash_pieces, self._write_pieces)
        ]
        try:
            os.ftruncate(self._file, self._saved)
            os.lseek(self._file, self._saved, os.SEEK_SET)
            lines: list[Mapping[str, object]] = [{"source": source}, *checkpoints]
            write_atomically(self._log, b"".join(map(_line, lines)))
            for thread in self._threads:
                thread.start()
        except BaseException:
            os.close(self._file)
            raise

    @classmethod
    def open(cls, case: CaseFolder, relative: str, source: str, *, size: int | None = None) -> Self:
        """Begin, or go on with, the copy of one remote file to `data/<relative>`.

        Args:
            case: the case it belongs to.
            relative: where it goes below `data/`; every component a safe name.
            source: which file this is and which version of it: its path, size and time of change.
            size: its size in bytes, when it is known; then `finish` refuses to call less or more whole.

        Raises:
            CaseError: `relative` is not safe.
            StorageError: no space, or no right to write.
        """
        wanted = case.payload_path(relative)
        number, target = 1, wanted
        with storing(wanted):
            while target.exists() and not _is_finished_copy(target, source):
                number += 1
                target = numbered(wanted, number)
            if target.exists():
                target.replace(_part(target))  # whole, but perhaps not in the journal: prove it again
            elif _source(_log(target)) != source:
                _keep_stale(target)
            return cls(case, target, source, size)

    def write(self, chunk: bytes | memoryview) -> None:
        """Take over the next bytes; waits while 8 MiB are on their way to the disk.

        Raises:
            StorageError: writing failed, at this chunk or at one before it.
        """
        view = memoryview(chunk)
        for start in range(0, len(view), _PIECE):
            self._raise_failure()
            self._to_hash.put(view[start : start + _PIECE])
        self.offset += len(view)

    def finish(self) -> Artifact:
        """Make the file durable, give it its name, and tell its digest.

        Raises:
            StorageError: some of it could not be written; the part is kept.
            CaseError: it has not the size that was announced; the part is kept.
        """
        self._stop()
        self._raise_failure()
        if self._size is not None and self._written != self._size:
            raise CaseError(
                f"the copy of {self._target.name} ended after {self._written} of {self._size} bytes",
                hint="The file changed while it was read; go on with `hang-collector resume`.",
                host=self._case.host,
            )
        if self._target.exists():
            raise CaseError(
                f"{self._target.name} came into the case while it was being copied",
                hint="Both are kept; go on with `hang-collector resume`.",
                host=self._case.host,
            )
        with storing(self._target):
            self._part.replace(self._target)
            sync_folder(self._target.parent)
        return Artifact(self._case.relative(self._target), self._written, self._sha256.hexdigest())

    def abandon(self) -> None:
        """Stop, and keep what is here for a resumption at its very last byte. Never raises for the disk."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abandon()

    def _stop(self) -> None:
        """End the threads after all they were given is written, with a checkpoint at the end of it."""
        if self._threads[0].is_alive():
            self._to_hash.put(None)
            for thread in self._threads:
                thread.join()

    def _hash_pieces(self) -> None:
        """The first thread, until None comes: hash a piece, and hand it on with the digest up to its end.

        The digest is empty but for every `BLOCK` bytes, where a checkpoint will be.
        """
        while (piece := self._to_hash.get()) is not None:
            if self._failure is None:
                self._hash_piece(piece)
        self._to_write.put(None)

    def _hash_piece(self, piece: memoryview) -> None:
        try:
            self._sha256.update(piece)
            self._hashed += len(piece)
            digest = ""
            if self._hashed - self._checked >= BLOCK:
                self._checked, digest = self._hashed, self._sha256.hexdigest()
            self._to_write.put((piece, digest))
        except BaseException as error:  # noqa: BLE001 - the thread lives on to empty the queue
            self._failure = error

    def _write_pieces(self) -> None:
        """The second thread, until None comes: write, and leave a checkpoint wherever there is a digest."""
        try:
            while (handed := self._to_write.get()) is not None:
                if self._failure is None:
                    self._write_piece(*handed)
            if self._failure is None and self._written > self._saved:
                self._save(self._sha256.hexdigest())
        except BaseException as error:  # noqa: BLE001 - handed over, to be raised in the caller's thread
            self._failure = error
        finally:
            os.close(self._file)

    def _write_piece(self, piece: memoryview, digest: str) -> None:
        try:
            write_all(self._file, piece)
            self._written += len(piece)
            if digest:
                self._save(digest)
        except BaseException as error:  # noqa: BLE001 - the thread lives on to empty the queue
            self._failure = error

    def _save(self, digest: str) -> None:
        """A checkpoint: what is written, up to here and with this digest, is on the disk."""
        sync(self._file)
        fd = open_private(self._log, os.O_WRONLY | os.O_APPEND)
        try:
            write_all(fd, _line({"end": self._written, "sha256": digest}))
            sync(fd)
        finally:
            os.close(fd)
        self._saved = self._written

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        if not isinstance(self._failure, OSError):
            raise self._failure
        progress = f"{self._written} bytes are here"
        if self._size is not None:
            progress += f", {self._size - self._written} are missing"
        raise storage_error(self._failure, self._part, progress=progress) from self._failure


def drop_finished_logs(case: CaseFolder) -> None:
    """Remove the checkpoint logs of copies that are whole; done when the case is sealed.

    Raises:
        StorageError: no right to remove one.
    """
    with storing(case.path):
        for log in sorted((case.path / PAYLOAD).rglob(f"*{_LOG}")):
            target = log.with_name(log.name.removesuffix(_LOG))
            if target.exists() and not _part(target).exists():
                log.unlink()
                sync_folder(log.parent)


def _part(target: Path) -> Path:
    return target.with_name(target.name + _PART)


def _log(target: Path) -> Path:
    return target.with_name(target.name + _LOG)


def _line(record: Mapping[str, object]) -> bytes:
    return json.dumps(record).encode("ascii") + b"\n"


def _lines(log: Path) -> list[dict[str, object]]:
    """The log's lines up to the first that was not written whole; none when there is no log."""
    records: list[dict[str, object]] = []
    if log.exists():
        for line in log.read_bytes().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
    return records


def _source(log: Path) -> object:
    """Which remote file the log is about; None when nothing tells."""
    lines = _lines(log)
    return lines[0].get("source") if lines else None


def _is_finished_copy(target: Path, source: str) -> bool:
    return _source(_log(target)) == source and not _part(target).exists()


def _proved(part: Path, log: Path) -> tuple[hashlib._Hash, int, list[dict[str, object]]]:
    """Re-read the part as far as checkpoints prove it: digest and offset there, and those checkpoints."""
    proved: list[dict[str, object]] = []
    sha256, offset = hashlib.sha256(), 0
    if not part.exists():
        return sha256, offset, proved
    running, position = sha256.copy(), 0
    with part.open("rb", buffering=0) as file:
        for checkpoint in _lines(log)[1:]:
            end = checkpoint.get("end")
            if not isinstance(end, int):
                break
            while position < end and (chunk := file.read(min(_READ, end - position))):
                running.update(chunk)
                position += len(chunk)
            if position != end or running.hexdigest() != checkpoint.get("sha256"):
                break
            sha256, offset = running.copy(), end
            proved.append(checkpoint)
    return sha256, offset, proved


def _keep_stale(target: Path) -> None:
    """Move the part of another source out of the way, with the log that tells whose it is."""
    part, log = _part(target), _log(target)
    if not part.exists() or part.stat().st_size == 0:
        return
    number = 1
    while (stale := part.with_name(f"{part.name}.stale-{number}")).exists() or _stale_log(stale).exists():
        number += 1
    if log.exists():
        log.replace(_stale_log(stale))
    part.replace(stale)
    sync_folder(part.parent)


def _stale_log(stale: Path) -> Path:
    return stale.with_name(stale.name + ".log")
