"""Bytes that are on the disk when the call returns, and errors a person can act on when they are not."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from collector.errors import StorageError

_BINARY: int = getattr(os, "O_BINARY", 0)  # without it Windows turns every LF into CR LF
_CHUNK = 1024 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into a `StorageError` with a hint."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path, *, progress: str = "") -> StorageError:
    """Say what went wrong at `path`; `progress` tells how much of it is written and how much is missing."""
    reason = error.strerror or str(error)
    tail = f" ({progress})" if progress else ""
    if error.errno in _NO_SPACE:
        return StorageError(
            f"no space left for {path}{tail}",
            hint="Free space there, then go on with `hang-collector resume`: what is written stays.",
        )
    if error.errno in _NO_RIGHT:
        return StorageError(
            f"no right to use {path}: {reason}{tail}",
            hint="Run as the owner of the case folder, or choose another folder with the setting `cases`.",
        )
    return StorageError(
        f"cannot use {path}: {reason}{tail}",
        hint="Check the file system of the case folder, then go on with `hang-collector resume`.",
    )


def sync(fd: int) -> None:
    """Return once the file's bytes would survive a loss of power.

    On macOS fsync(2) stops at the drive's cache; F_FULLFSYNC goes on to the medium (fcntl(2)).
    """
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # network file systems lack it, and have fsync
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Make a created, renamed or removed name durable. Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make the folder, and those above it, for the owner alone (0700); what exists is left as it is."""
    for path in reversed([folder, *folder.parents]):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)
            sync_folder(path.parent)


def open_private(path: Path, flags: int) -> int:
    """`os.open` for the owner alone (0600), bytes as they are."""
    return os.open(path, flags | _BINARY, 0o600)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte: write(2) may take fewer than it was given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, so that a reader, or a crash at any moment, sees all of it or none.

    Raises:
        StorageError: no space, or no right to write.
    """
    part = path.with_name(f"{path.name}.part-{secrets.token_hex(4)}")
    with storing(path):
        fd = open_private(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            try:
                write_all(fd, data)
                sync(fd)
            finally:
                os.close(fd)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def digest(path: Path, progress: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hex) of a file; `progress` is told the bytes of each chunk read."""
    size, sha256 = 0, hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            size += len(chunk)
            if progress is not None:
                progress(len(chunk))
    return size, sha256.hexdigest()
