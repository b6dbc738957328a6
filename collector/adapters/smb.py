"""Files on a Windows host over SMB 3, which reaches them as long as its kernel and its disk live.

Every message is signed or encrypted, the login is tried once, and every call ends by its deadline, also
against a server that was stopped in the middle of a word. Guests are refused: nothing proves what they are
told.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator

from collector.adapters.answers import Chunk, RemoteFile
from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.adapters.tcp import dial
from collector.errors import (
    InventoryError,
    MissingExtraError,
    UnreachableError,
    UnsupportedError,
)
from collector.model.host import Credential, Endpoint

if TYPE_CHECKING:
    from smbprotocol.session import Session

    from collector.adapters.smb_connection import Connection
    from collector.adapters.smb_files import Share

_DRIVE = re.compile(r"[A-Za-z]:")
_SHARE = re.compile(r'[^\x00-\x1f"/\\\[\]:|<>+=;,*?]{1,80}')
"""Names of shares, [MS-FSCC] section 2.1.6."""


class SmbEndpoint(Endpoint):
    """A host's SMB server."""

    type: Literal["smb"] = Field(default="smb", description="SMB 3: files of a Windows host.")
    port: int = Field(default=445, ge=1, le=65_535, description="TCP port of the SMB server.")
    auth: Literal["ntlm", "kerberos"] = Field(
        default="ntlm",
        description="How to log in. Kerberos needs the host's full name as address.",
    )
    encrypt: bool = Field(
        default=True,
        description="Encrypt what is copied: a dump is the host's memory. false: only sign it.",
    )
    shares: Mapping[str, str] = Field(
        default_factory=dict,
        description="Shares by drive, as in {'D:': dumps}, where the administrative D$ does not serve.",
    )

    @property
    def accounts(self) -> str:
        """Those of Windows, as for WinRM."""
        return f"windows://{self.address}"

    @field_validator("shares")
    @classmethod
    def _drives(cls, shares: Mapping[str, str]) -> Mapping[str, str]:
        for drive, share in shares.items():
            if not _DRIVE.fullmatch(drive) or not _SHARE.fullmatch(share):
                raise ValueError(f"{drive!r}: {share!r} is not a drive such as 'D:' and the name of a share")
        return {drive.upper(): share for drive, share in shares.items()}


class SmbChannel:
    """Implements `Adapter` and `Files`. Not for several threads; a file may be described while one is read.

    Paths are `/C:/Windows/MEMORY.DMP`, on the share `C$` unless the endpoint names another; the first folder
    may also be the name of a share.

    Raises on entry:
        LoginRefusedError: it said no, or would have us as a guest; it was asked once.
        UnreachableError, DeadlineError, PeerFailedError: it is not there, silent, or hung up.
        UnsupportedError: it has no SMB 3, or no encryption.
        InventoryError, MissingExtraError: the credential, or an optional dependency, is missing.
    """

    settings: ClassVar[type[Endpoint]] = SmbEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        if not isinstance(endpoint, SmbEndpoint):
            raise TypeError(f"not an SMB endpoint: {endpoint.type}")
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._shares: dict[str, Share] = {}

    def __enter__(self) -> Self:
        try:
            from collector.adapters.smb_login import log_in
        except ImportError as error:
            raise MissingExtraError(
                "SMB needs a package that is not installed", hint="pip install 'hang-collector[windows]'"
            ) from error
        endpoint = self._endpoint
        user, password = _login(endpoint, self._credential)
        sock = dial(endpoint.address, endpoint.port, self._deadline, hint=_NO_SERVER)
        with contextlib.ExitStack() as stack:
            stack.callback(sock.close)
            self._connection, self._session = log_in(
                sock,
                endpoint.address,
                user,
                password,
                self._deadline,
                kerberos=endpoint.auth == "kerberos",
                encrypt=endpoint.encrypt,
            )
            stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._shares.clear()

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Direct children of `folder`. Raises: FileNotFoundError, AdapterError."""
        share, name = self._find(folder, Patience("SMB", deadline))
        return share.list(name, folder)

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """Describe `path`. Raises: FileNotFoundError, AdapterError."""
        share, name = self._find(path, Patience("SMB", deadline))
        return share.stat(name, path)

    def read(self, path: str, offset: int, stall: float) -> Iterator[Chunk]:
        """Yield the file's bytes in order from `offset`.

        Raises:
            DeadlineError: no byte came for `stall` seconds.
            FileNotFoundError: there is no such file.
            AdapterError: the connection failed.
        """
        patience = Patience("SMB", stall=stall)
        share, name = self._find(path, patience)
        yield from share.read(name, path, offset, patience)

    def _find(self, path: str, patience: Patience) -> tuple[Share, str]:
        """The share on which `path` lies, and its name there."""
        from collector.adapters.smb_login import open_share

        if self._connection is None or self._session is None:
            raise UnreachableError("the SMB connection is closed", hint="Open it again.")
        self._connection.patience = patience
        share, name = share_and_name(path, self._endpoint.shares)
        if share not in self._shares:
            self._shares[share] = open_share(self._connection, self._session, share)
        return self._shares[share], name


_NO_SERVER = "Is it switched on, is file sharing on there, does a firewall let us through? Try `probe`."


def share_and_name(path: str, shares: Mapping[str, str]) -> tuple[str, str]:
    r"""Where `/C:/Windows/MEMORY.DMP` lies: on `C$`, or the share that `shares` gives, `Windows\MEMORY.DMP`.

    Raises:
        UnsupportedError: Windows has no such path, or only for what is no file of its own.
    """
    first, *rest = path.removeprefix("/").removesuffix("/").split("/")
    drive = _DRIVE.fullmatch(first)
    share = shares.get(first.upper(), f"{first[0].upper()}$") if drive else first
    odd = any(part in ("", ".", "..") or not set(part).isdisjoint("\\:\0") for part in (share, *rest))
    if odd or not path.startswith("/") or not _SHARE.fullmatch(share):
        raise UnsupportedError(f"{path!a} is no path on Windows", hint="Write it as /C:/Windows/MEMORY.DMP.")
    return share, "\\".join(rest)


def _login(endpoint: SmbEndpoint, credential: Credential | None) -> tuple[str, str | None]:
    """User and password; the password is fetched here. With Kerberos a ticket may take its place."""
    from collector.config.secrets import reveal

    ticket = endpoint.auth == "kerberos"
    if credential is None or credential.username is None or not (credential.password or ticket):
        raise InventoryError(
            f"the endpoint {endpoint.identity} needs a credential with `username` and `password`",
            hint="Add one under `credentials`, and name it in the endpoint's `credential`.",
        )
    return credential.username, reveal(credential.password) if credential.password else None
