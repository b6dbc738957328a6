"""Files of a Windows host by small PowerShell scripts, for want of a better channel."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from collector.adapters.answers import FileKind, RemoteFile
from collector.errors import ForbiddenError, PeerFailedError

CHUNK = 1024 * 1024
"""Bytes of a file that one script reads."""

_PATH = re.compile(r"/([A-Za-z]:)(/[^\\:]*)?")
_FILETIME_UNIX = 11_644_473_600
"""Seconds from 1601, where FILETIME begins, to 1970 (MS-DTYP 2.3.3); its unit is 100 ns."""


def windows_path(path: str) -> str:
    r"""`/C:/Windows/MEMORY.DMP` as Windows writes it, `C:\Windows\MEMORY.DMP`.

    Raises:
        FileNotFoundError: it has no drive, or holds what no name of a file holds.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise FileNotFoundError(path)
    return match[1] + (match[2] or "/").replace("/", "\\")


def entries_of(answer: Mapping[str, Any], path: str, *, children: bool) -> Sequence[RemoteFile]:
    """What `files.ps1` said of `path`, or of what is in it. Raises: FileNotFoundError, AdapterError."""
    require(answer, path)
    prefix = path.rstrip("/") + "/"
    try:
        return [
            RemoteFile(
                path=prefix + str(entry["name"]) if children else path,
                kind=FileKind.FOLDER if entry["folder"] else FileKind.FILE,
                size=int(entry["size"]),
                modified=int(entry["modified"]) / 1e7 - _FILETIME_UNIX,
            )
            for entry in answer["entries"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise _nonsense(path) from error


def bytes_of(answer: Mapping[str, Any], stdout: bytes, path: str) -> bytes:
    """What `read.ps1` read of `path`. Raises: FileNotFoundError, AdapterError."""
    require(answer, path)
    try:
        data = base64.b64decode(stdout.split(maxsplit=1)[0] if answer["bytes"] else b"", validate=True)
    except (ValueError, IndexError, KeyError) as error:
        raise _nonsense(path) from error
    if len(data) != answer["bytes"]:
        raise _nonsense(path)
    return data


def made_file(row: Mapping[str, Any]) -> RemoteFile:
    """A file that a script of ours made: its path as Windows writes it, size, and FILETIME.

    Raises:
        KeyError, TypeError, ValueError: the row is no such thing.
    """
    try:
        size, modified = int(row["size"]), int(row["modified"]) / 1e7 - _FILETIME_UNIX
    except OverflowError as error:
        raise ValueError("no file has such a size or time") from error
    return RemoteFile("/" + str(row["path"]).replace("\\", "/"), FileKind.FILE, size, modified)


def require(answer: Mapping[str, Any], path: str) -> None:
    """Raises: FileNotFoundError, ForbiddenError: the script says so."""
    if answer.get("failed") == "absent":
        raise FileNotFoundError(path)
    if answer.get("failed") == "denied":
        raise ForbiddenError(
            f"this account may not read {path}", hint="Use an account in the host's Administrators group."
        )


def _nonsense(path: str) -> PeerFailedError:
    return PeerFailedError(
        f"the host's answer about {path} makes no sense", hint="Try again; if it stays so, use SMB or SFTP."
    )
