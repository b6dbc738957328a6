"""A shell and files on a host over SSH.

The host is verified before anything is sent to it, the login is tried once, and every call ends by its
deadline, also against a server that was stopped in the middle of a word.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator

from collector.adapters.answers import Chunk, CommandResult, RemoteFile
from collector.adapters.known_hosts import SSH_PORT
from collector.adapters.limits import Deadline
from collector.adapters.ssh_connect import Hop, HostKeys, forward, greet, quoted, verify
from collector.adapters.tcp import dial, in_time
from collector.errors import ConfigError, DeadlineError, PeerFailedError, UnreachableError, UnsupportedError
from collector.model.host import Credential, Endpoint

if TYPE_CHECKING:
    from paramiko import Transport as ParamikoTransport
    from paramiko.channel import Channel

    from collector.adapters.sftp import SftpSession
    from collector.adapters.ssh_transport import Transport

COPY_WINDOW = 64 * 1024 * 1024
"""Window of a channel that copies, in bytes. What is on the way is bounded by the requests, not by it."""


CHUNK = 256 * 1024
"""Bytes of a command's output to take at a time."""

_OPENINGS = 3
"""How often a channel is asked for. Dropbear 2022.83 refuses every tenth, right after another was closed."""

_SHOWN_ERRORS = 500  # bytes of what a command complains of

_NO_SSHD = "Is it switched on, does sshd listen there, does a firewall let us through? Try `probe`."


class SshEndpoint(Endpoint):
    """A host's SSH server."""

    type: Literal["ssh"] = Field(default="ssh", description="SSH: a shell, and files by SFTP.")
    port: int = Field(default=SSH_PORT, ge=1, le=65_535, description="TCP port of the SSH server.")
    known_hosts: Path | None = Field(
        default=None,
        description="File with the host's key, relative to the settings file; "
        "by default ~/.ssh/known_hosts and the system's.",
    )
    proxy_jump: str | None = Field(
        default=None,
        description="Jump hosts as user@host:port, separated by commas; same credential and known_hosts.",
    )
    insecure_accept_any_host_key: bool = Field(
        default=False,
        description="Log in to whoever answers at this address. Whoever that is gets the password.",
    )

    @field_validator("proxy_jump")
    @classmethod
    def _hops(cls, text: str | None) -> str | None:
        if text is not None:
            for hop in text.split(","):
                Hop.parse(hop)
        return text

    def route(self) -> tuple[Hop, ...]:
        """The servers to log in to, one through the other; the last one is the host itself."""
        jumps = self.proxy_jump.split(",") if self.proxy_jump else []
        return (*map(Hop.parse, jumps), Hop(self.address, self.port))


class SshChannel:
    """Implements `Adapter`, `Shell` and `Files`. Several threads may use it at once.

    Raises on entry:
        HostKeyError: the host, or a jump host, is not proved to be who it says.
        LoginRefusedError: it said no; it was asked once.
        UnreachableError, DeadlineError, PeerFailedError: it is not there, silent, or hung up.
        ConfigError: the credential cannot be used.
    """

    settings: ClassVar[type[Endpoint]] = SshEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        if not isinstance(endpoint, SshEndpoint):
            raise TypeError(f"not an SSH endpoint: {endpoint.type}")
        self.notices: tuple[str, ...] = ()
        """What the user must be told of this connection, such as a host key that nobody verified."""
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._transport: Transport | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        from collector.adapters.ssh_login import log_in

        credential = self._credential
        if credential is None or not credential.username:
            raise ConfigError(
                f"no user name to log in with at {self._endpoint.identity}",
                hint="Name a `credential` at the endpoint, and give it a `username`.",
            )
        keys = HostKeys.load(self._endpoint.known_hosts, self._endpoint.insecure_accept_any_host_key)
        via: Hop | None = None
        with contextlib.ExitStack() as stack:
            for hop in self._endpoint.route():
                transport = self._reach(hop, stack)
                greet(transport, hop, keys, self._deadline)
                self.notices += verify(transport, hop, keys, via)
                log_in(transport, hop, credential, self._deadline)
                transport.keep_alive()
                self._transport, via = transport, hop
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()
        self._transport = None

    def run(self, command: str, deadline: Deadline, *, limit: int = 16 * 1024 * 1024) -> CommandResult:
        """Run `command` in the login shell; keep at most `limit` bytes of each stream.

        The exit status is -1 where the server reports none: a signal ended the command.

        Raises:
            DeadlineError: the command, or the host, did not end in time. The command may still run.
            AdapterError: the connection failed.
        """
        from collector.adapters.ssh_transport import at_end

        bell = threading.Event()
        stdout, stderr = _Kept(limit), _Kept(limit)
        with self._session(deadline) as channel, _translated(channel.get_transport(), deadline):
            channel.in_buffer.set_event(bell)
            channel.in_stderr_buffer.set_event(bell)
            raw = command.encode("utf-8", "surrogateescape")  # a name from `list` may be no text
            in_time(lambda: channel.exec_command(raw), deadline, "ssh-exec")
            while not at_end(channel):
                if deadline.expired or not bell.wait(deadline.remaining()):
                    raise TimeoutError
                bell.clear()
                while channel.recv_ready() and not deadline.expired:
                    stdout.add(channel.recv(CHUNK))
                while channel.recv_stderr_ready() and not deadline.expired:
                    stderr.add(channel.recv_stderr(CHUNK))
            if not channel.status_event.wait(deadline.remaining()):
                raise TimeoutError
            if channel.exit_status < 0 and not channel.get_transport().is_active():
                raise EOFError("the connection ended before the command")
            status = channel.exit_status
        return CommandResult(status, bytes(stdout.data), bytes(stderr.data), stdout.cut or stderr.cut)

    def stream(self, command: str, stall: float) -> Iterator[bytes]:
        """Yield what `command` writes, as it comes.

        Raises:
            DeadlineError: no byte came for `stall` seconds. The command may still run.
            PeerFailedError: its exit status is not 0.
            AdapterError: the connection failed.
        """
        from collector.adapters.ssh_transport import at_end

        bell, errors, deadline = threading.Event(), _Kept(_SHOWN_ERRORS), Deadline.after(stall)
        with self._session(deadline, COPY_WINDOW) as channel, _translated(channel.get_transport(), deadline):
            channel.in_buffer.set_event(bell)
            channel.in_stderr_buffer.set_event(bell)
            in_time(lambda: channel.exec_command(command.encode()), deadline, "ssh-exec")
            while not at_end(channel):
                if not bell.wait(stall):
                    raise TimeoutError
                bell.clear()
                while channel.recv_stderr_ready():
                    errors.add(channel.recv_stderr(CHUNK))
                while channel.recv_ready():
                    yield channel.recv(CHUNK)
            if not channel.status_event.wait(stall):
                raise TimeoutError
            status = channel.exit_status
        if status != 0:
            words = bytes(errors.data).decode("utf-8", "replace").strip()
            raise PeerFailedError(
                f"the command ended with exit status {status}: {quoted(words)}", hint="Run it there by hand."
            )

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Direct children of `folder`. Raises: FileNotFoundError, AdapterError."""
        with self._sftp(deadline) as session:
            return session.list(folder, deadline)

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """Describe `path`, following symbolic links. Raises: FileNotFoundError, AdapterError."""
        with self._sftp(deadline) as session:
            return session.stat(path, deadline)

    def read(self, path: str, offset: int, stall: float) -> Iterator[Chunk]:
        """Yield the file's bytes in order from `offset`.

        Raises:
            DeadlineError: no byte came for `stall` seconds.
            FileNotFoundError: there is no such file.
            AdapterError: the connection failed.
        """
        with self._sftp(Deadline.after(stall), COPY_WINDOW) as session:
            yield from session.read(path, offset, stall)

    def _reach(self, hop: Hop, stack: contextlib.ExitStack) -> Transport:
        """A transport to `hop` over TCP, or through the one that we have already; nothing is said yet."""
        from collector.adapters.ssh_transport import Transport

        if self._transport is None:
            transport = Transport(dial(hop.address, hop.port, self._deadline, hint=_NO_SSHD))
        else:
            transport = Transport(forward(self._transport, hop, self._deadline))
        stack.callback(transport.end)
        return transport

    @contextlib.contextmanager
    def _sftp(self, deadline: Deadline, window: int | None = None) -> Iterator[SftpSession]:
        """An SFTP session of its own for every call: none waits for, or breaks, another."""
        from paramiko.ssh_exception import SSHException

        from collector.adapters.sftp import SftpSession

        for left in reversed(range(_OPENINGS)):
            with self._session(deadline, window) as channel, _translated(channel.get_transport(), deadline):
                try:
                    in_time(lambda: channel.invoke_subsystem("sftp"), deadline, "ssh-sftp")
                except SSHException as error:
                    if not channel.get_transport().is_active():
                        raise
                    if left:
                        continue
                    raise UnsupportedError(
                        "the SSH server has no SFTP",
                        hint="Enable `Subsystem sftp` in the host's sshd_config.",
                    ) from error
                yield SftpSession(channel, deadline)
                return

    @contextlib.contextmanager
    def _session(self, deadline: Deadline, window: int | None = None) -> Iterator[Channel]:
        """A session channel, closed at the end of the block."""
        from paramiko.ssh_exception import SSHException

        transport = self._transport
        if transport is None:
            raise UnreachableError("the SSH connection is closed", hint="Open it again.")
        with _translated(transport, deadline):
            channel = _opened(transport, window, deadline)
        try:
            yield channel
        finally:
            with contextlib.suppress(SSHException, EOFError, OSError):  # a farewell to a peer that is gone
                channel.close()


def _opened(transport: ParamikoTransport, window: int | None, deadline: Deadline) -> Channel:
    """A new channel. Nothing runs in it yet, so that one which is closed at once may be opened again."""
    from paramiko.ssh_exception import ChannelException, SSHException

    for left in reversed(range(_OPENINGS)):
        try:
            return transport.open_session(window_size=window, timeout=deadline.remaining())
        except ChannelException:  # a refusal with its reason
            raise
        except SSHException:  # closed at once, or not answered in time
            if not left or not transport.is_active() or deadline.expired:
                raise
    raise AssertionError("the last one returns or raises")


class _Kept:
    """The first `limit` bytes of a stream; `cut` tells that there were more."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.cut = False
        self._limit = limit

    def add(self, piece: bytes) -> None:
        room = self._limit - len(self.data)
        self.data += piece[:room]
        self.cut = self.cut or len(piece) > room


@contextlib.contextmanager
def _translated(transport: ParamikoTransport, deadline: Deadline) -> Iterator[None]:
    """Turn what paramiko raises into our errors."""
    from paramiko.ssh_exception import ChannelException, SSHException

    try:
        yield
    except FileNotFoundError:
        raise
    except TimeoutError as error:
        raise _too_late(deadline) from error
    except (SSHException, EOFError, OSError) as error:
        if isinstance(error, EOFError | OSError) or not transport.is_active():
            raise UnreachableError(
                f"the SSH connection was lost: {quoted(error)}",
                hint="Look whether the host is still up: probe it.",
            ) from error
        if deadline.expired:
            raise _too_late(deadline) from error
        if isinstance(error, ChannelException):
            raise PeerFailedError(
                f"the SSH server opens no further session: {error.text}",
                hint="MaxSessions in sshd_config may be reached, or be 0.",
            ) from error
        raise PeerFailedError(
            f"the SSH server refused to run it: {quoted(error)}",
            hint="Has the account a shell, or a restriction in sshd_config or authorized_keys?",
        ) from error


def _too_late(deadline: Deadline) -> DeadlineError:
    return DeadlineError(
        f"the host did not finish in {deadline.seconds:g} s",
        hint="The command may be slow, or the host hung: probe it, or give the step a longer deadline.",
    )
