"""What an SMB server's refusals mean: NTSTATUS values ([MS-ERREF] section 2.3.1) in words."""

from __future__ import annotations

from collections.abc import Mapping

from collector.adapters.logon_status import REFUSED, UNJUDGED, UNJUDGED_HINT
from collector.errors import (
    AdapterError,
    ForbiddenError,
    LoginRefusedError,
    NotTriedError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)

SUCCESS = 0x00000000
NO_MORE_FILES = 0x80000006
END_OF_FILE = 0xC0000011
ACCESS_DENIED = 0xC0000022
BAD_NETWORK_NAME = 0xC00000CC

_ABSENT = {
    0xC000000F,  # no such file
    0xC0000033,  # a name that none can have
    0xC0000034,  # no such name
    0xC000003A,  # no such folder on the way
    0xC0000056,  # being deleted
    0xC0000103,  # not a folder
}

_SESSION_OVER = {
    0xC00000C9,  # share is gone
    0xC0000203,  # session is gone
    0xC000035C,  # session has expired
    0xC0000466,  # server is going down
}

_WORDS: Mapping[int, tuple[str, str]] = {
    0x8000002D: ("it is a symbolic link", "Name the file itself."),
    0xC0000043: (
        "another program has it open for itself (sharing violation)",
        "Windows may still be writing it: resume the case in some minutes.",
    ),
    0xC0000054: ("another program has locked it", "Resume the case in some minutes."),
    0xC000009A: (
        "the host is short of resources",
        "Its kernel's memory may be used up: look at its console.",
    ),
    0xC00000B5: ("the host's disk did not answer", "Look at its storage: a dump may not be readable now."),
    0xC00000BA: ("it is a folder", "Name a file."),
    0xC0000185: ("the host's disk failed (I/O device error)", "Look at its storage."),
    0xC0000205: (
        "the host is short of resources",
        "Its kernel's memory may be used up: look at its console.",
    ),
}


def failed_login(status: int) -> AdapterError:
    """The error for a login that was answered with `status`: final, unless nobody looked at the password."""
    if status in UNJUDGED:
        return NotTriedError(
            f"the SMB server could not judge the login: {UNJUDGED[status]} (0x{status:08X})",
            hint=UNJUDGED_HINT,
        )
    return LoginRefusedError(
        f"the SMB server refused the login: {REFUSED.get(status, 'it does not say why')} (0x{status:08X})",
        hint="Check user name and password; a domain's user is DOMAIN\\user. It was tried once.",
    )


def refused_share(status: int, share: str) -> AdapterError:
    """The error for a share that was not opened."""
    shown = ascii(share)
    if status == BAD_NETWORK_NAME:
        return UnsupportedError(
            f"the host has no share {shown}",
            hint="Administrative shares may be off there (AutoShareServer): name another one under `shares`.",
        )
    if status == ACCESS_DENIED:
        return ForbiddenError(
            f"this account may not open the share {shown}",
            hint="It takes an administrator; a local one also needs LocalAccountTokenFilterPolicy=1.",
        )
    return PeerFailedError(
        f"the SMB server did not open the share {shown} (0x{status:08X})",
        hint="Look at the host's event log.",
    )


def failure(status: int, path: str) -> AdapterError | FileNotFoundError:
    """What `status` means for a file or folder."""
    shown = ascii(path)
    if status in _ABSENT:
        return FileNotFoundError(path)
    if status == ACCESS_DENIED:
        return ForbiddenError(f"this account may not read {shown}", hint="Log in as an administrator.")
    if status in _SESSION_OVER:
        return UnreachableError(
            f"the SMB server ended the session (0x{status:08X})",
            hint="Log in again; a copy goes on where it stopped.",
        )
    words, hint = _WORDS.get(status, ("the SMB server failed", "Look at the host's event log and its disk."))
    return PeerFailedError(f"{shown}: {words} (0x{status:08X})", hint=hint)
