"""One run at a time for each machine, however many cases, names and controllers lead to it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from collector.case.folder import safe_name
from collector.case.storage import make_folder, storing, write_atomically
from collector.errors import CaseLockedError

_NOTE_LIMIT = 4096  # bytes of a note that are read


@contextlib.contextmanager
def hold(cases: Path, identities: Sequence[str], *, case: str = "") -> Iterator[None]:
    """Hold every one of `identities` for the length of the block, or none.

    The locks are the operating system's own (flock, LockFileEx): they end with the process, whatever ends
    it, so a killed run never stands in the way of its resumption. They are taken in sorted order and
    without waiting. A note beside each says who holds it; only people read it, the lock alone decides.

    Args:
        cases: the folder of all cases; the locks are in `.locks` under it.
        identities: what is to be held, such as `host db01` and `ipmi://192.0.2.110:623`.
        case: the name of the case, for the note.

    Raises:
        CaseLockedError: another run holds one of them.
        StorageError: the locks cannot be written, or this file system has none.
    """
    folder = cases / ".locks"
    with storing(folder):
        make_folder(folder)
    with contextlib.ExitStack() as held:
        for identity in sorted(set(identities)):
            held.enter_context(_hold_one(folder / f"{safe_name(identity)}.lock", identity, case))
        yield


@contextlib.contextmanager
def _hold_one(path: Path, identity: str, case: str) -> Iterator[None]:
    # A lock file that only its absence frees would outlive a killed run: rather none than that.
    lock = FileLock(path, mode=0o600, fallback_to_soft=False)
    note = path.with_suffix(".json")
    with storing(path):
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise _locked(identity, note) from error
    try:
        write_atomically(note, _note(identity, case))
        yield
    finally:
        with contextlib.suppress(OSError):  # a note left over misleads nobody: the lock decides
            note.unlink(missing_ok=True)
        lock.release()


def _note(identity: str, case: str) -> bytes:
    holder = {
        "holds": identity,
        "case": case,
        "pid": os.getpid(),
        "machine": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(holder).encode("ascii")


def _locked(identity: str, note: Path) -> CaseLockedError:
    return CaseLockedError(
        f"another run holds {identity}{_holder(note)}",
        hint="Let that run end, or look at it with `hang-collector case show`. Never work around the lock: "
        "a second NMI can destroy the dump that the first one started.",
    )


def _holder(note: Path) -> str:
    """What the note says of the holder; empty when it was not written yet."""
    try:
        with note.open("rb") as file:
            holder = json.loads(file.read(_NOTE_LIMIT))
        case = f"case {holder['case']}, " if holder["case"] else ""
        return f" ({case}process {holder['pid']} on {holder['machine']} since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
