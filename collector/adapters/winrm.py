"""Windows PowerShell, and for want of a better channel files, on a host over WinRM.

pywinrm is used, and not pypsrp: both were measured at the same speed, and what pypsrp has on top (a runspace
whose objects are typed) is of no use to scripts that answer in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import CommandResult, RemoteFile
from collector.adapters.limits import Deadline
from collector.adapters.winrm_files import CHUNK, bytes_of, entries_of, windows_path
from collector.adapters.winrm_script import MAX_ERROR, answer_of, load, plain_errors
from collector.adapters.winrm_session import Call, WinrmSession
from collector.adapters.winrm_settings import WinrmSettings
from collector.errors import PeerFailedError, UnreachableError
from collector.model.host import Credential, Endpoint


class WinrmEndpoint(WinrmSettings):
    """A host's WinRM service."""

    type: Literal["winrm"] = Field(default="winrm", description="WinRM: PowerShell, and slowly files.")


class WinrmChannel:
    """Implements `Adapter`, `PowerShell`, `SlowFiles` and `Notices`. Several threads may use it.

    Raises on entry:
        HostKeyError: the host's certificate is not proved; no credential was sent.
        LoginRefusedError: it said no; it was asked once.
        NotTriedError: no login came about: no ticket, wrong clock, or it offers no such login.
        UnreachableError, DeadlineError, PeerFailedError: it is not there, silent, or not WinRM.
        ConfigError: the credential cannot be used.
        MissingExtraError: pywinrm is not installed.
    """

    settings: ClassVar[type[Endpoint]] = WinrmEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, WinrmEndpoint)
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._session: WinrmSession | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user must be told of this connection, such as a certificate that nobody verified."""
        return self._endpoint.warnings

    def __enter__(self) -> Self:
        self._session = WinrmSession(self._endpoint.target(self._credential), self._deadline)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def powershell(
        self,
        script: str,
        deadline: Deadline,
        *,
        arguments: Mapping[str, str] = MappingProxyType({}),
        limit: int = 16 * 1024 * 1024,
    ) -> CommandResult:
        """Run `script` once, in a login of its own.

        Raises:
            DeadlineError: no end in time; the script may still run.
            AdapterError: the connection failed.
        """
        if self._session is None:
            raise UnreachableError("the WinRM session is closed", hint="Open it again.")
        call = Call(script, arguments, limit)
        self._session.run(call, deadline)
        assert call.exit_status is not None
        errors = plain_errors(bytes(call.stderr)).encode()
        return CommandResult(call.exit_status, bytes(call.stdout), errors, call.cut)

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Direct children of `folder`. Raises: FileNotFoundError, AdapterError."""
        _, answer = self._ask("files", deadline, path=windows_path(folder), what="children")
        return entries_of(answer, folder, children=True)

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """Describe `path`. Raises: FileNotFoundError, AdapterError."""
        _, answer = self._ask("files", deadline, path=windows_path(path), what="itself")
        entries = entries_of(answer, path, children=False)
        if not entries:
            raise FileNotFoundError(path)
        return entries[0]

    def read(self, path: str, offset: int, stall: float) -> Iterator[bytes]:
        """Yield the file's bytes in order from `offset`, in chunks that each come within `stall` seconds.

        Raises:
            DeadlineError: a chunk did not come in time.
            FileNotFoundError: there is no such file.
            AdapterError: the connection failed.
        """
        place, chunk = windows_path(path), b""
        while not chunk or len(chunk) == CHUNK:
            stdout, answer = self._ask(
                "read", Deadline.after(stall), path=place, offset=str(offset), count=str(CHUNK)
            )
            chunk = bytes_of(answer, stdout, path)
            if not chunk:
                return
            yield chunk
            offset += len(chunk)

    def slowness(self) -> str:
        """How slow, for a person who is about to copy a large file."""
        return "WinRM copies about 1 MB/s: a gigabyte takes a quarter of an hour or more; prefer SMB or SFTP."

    def _ask(self, script: str, deadline: Deadline, **arguments: str) -> tuple[bytes, dict[str, Any]]:
        """Run a script of ours; what it wrote, and the answer in its last line."""
        result = self.powershell(load(script), deadline, arguments=arguments)
        if result.exit_status != 0:
            words = result.stderr.decode()[:MAX_ERROR] or "without a word"
            raise PeerFailedError(
                f"PowerShell failed on the host: {words}", hint="Run it there by hand, as the same user."
            )
        return result.stdout, answer_of(result.stdout)
