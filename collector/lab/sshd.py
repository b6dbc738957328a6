"""The lab host's SSH server: commands and SFTP over paramiko, on a socket that can fall silent.

Imported only when a lab host starts: paramiko is heavy.
"""

from __future__ import annotations

import io
import logging
import socket
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)
from paramiko.packet import Packetizer
from paramiko.sftp import SFTP_FAILURE, SFTP_NO_SUCH_FILE, SFTP_PERMISSION_DENIED

from collector.lab.commands import Commands
from collector.lab.tree import Entry, Tree, resolve

_LARGEST_READ = 256 * 1024  # what OpenSSH's sftp-server gives at most
_POLL_S = 0.05
_PATIENCE_S = 86400.0  # a hung host does not hang up; paramiko's own limits of 15 s would
_LOG = logging.getLogger("collector.lab.sshd")  # probes that hang up are no news
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False


@dataclass(slots=True)
class Wire:
    """How file contents travel, for all connections together.

    Args:
        bytes_per_s: None for as fast as it goes.
        cut_at: close the connection in place of the read that would pass so many bytes; then never again.
    """

    bytes_per_s: float | None = None
    cut_at: int | None = None
    served: int = 0

    def cuts(self, size: int) -> bool:
        """Is this the read that ends the connection?"""
        self.served += size
        if self.cut_at is None or self.served <= self.cut_at:
            return False
        self.cut_at = None
        return True


@dataclass(frozen=True, slots=True)
class Service:
    """What every connection is served with.

    Args:
        host_key: proves the host.
        user: the one login name.
        user_key: the one public key that may log in.
        commands: what the host answers.
        tree: the files it serves over SFTP.
        wire: how fast, and how far.
    """

    host_key: paramiko.PKey
    user: str
    user_key: paramiko.PKey
    commands: Commands
    tree: Tree
    wire: Wire

    def serve(self, accepted: socket.socket) -> Connection:
        """Serve one client, on threads of the connection's own."""
        return Connection(accepted, self)


class Connection:
    """One client's connection. It ends when either side closes it; it falls silent when told to.

    Args:
        accepted: the connected socket; the connection closes it.
        service: what the client gets.
    """

    def __init__(self, accepted: socket.socket, service: Service) -> None:
        self.service = service
        self.closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socket = _Socket(accepted)
        self._transport = paramiko.Transport(self._socket, packetizer_class=_PatientPacketizer)
        self._transport.set_log_channel(_LOG.name)
        self._transport.banner_timeout = _PATIENCE_S
        self._transport.add_server_key(service.host_key)
        self._transport.start_server(event=threading.Event(), server=_Login(self))

    def ended(self) -> bool:
        """Has either side closed it? Then its threads are gone when this returns."""
        if self._transport.is_active():
            return False
        self.close()
        return True

    def fall_silent(self) -> None:
        """Send and read nothing from now on, as a kernel that runs no user mode."""
        self._socket.silent.set()

    def start(self, work: threading.Thread) -> None:
        """Start work for this connection once the reply to the present request is on its way."""
        self._threads.append(work)
        self._socket.before_next_read = work.start

    def hang_up(self) -> None:
        """Close the connection; from any of its threads."""
        self.closing.set()
        self._transport.close()

    def close(self) -> None:
        """Close the connection, and wait for its threads."""
        self.hang_up()
        for thread in (self._transport, *self._threads):
            if thread.ident is not None:
                thread.join()
        self._socket.close()


def make_key() -> tuple[paramiko.PKey, str]:
    """Return a new ed25519 key, and the same in OpenSSH's file format."""
    text = (
        Ed25519PrivateKey.generate()
        .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        .decode()
    )
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text)), text


class _Socket(socket.socket):
    """A socket that can fall silent, and that starts a job when it is read again.

    paramiko sends the reply to a request after the handler has returned. Work that the handler starts at
    once may close the channel before that reply; work that waits for the next read cannot.
    """

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.silent = threading.Event()
        self.before_next_read: Callable[[], None] | None = None

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        job, self.before_next_read = self.before_next_read, None
        if job:
            job()
        self._hold()
        return super().recv(bufsize, flags)

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]  # paramiko sends bytes
        self._hold()
        return super().send(data, flags)

    def _hold(self) -> None:
        if self.silent.is_set():
            time.sleep(_POLL_S)
            raise TimeoutError  # paramiko looks whether it was closed, and tries again


class _PatientPacketizer(Packetizer):
    """Sets no limit to the key exchange, and so leaves no timer thread behind when one is broken off."""

    def start_handshake(self, timeout: float) -> None:
        pass


class _Login(paramiko.ServerInterface):
    """Who may log in, and what for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        welcome = (username, key) == (self._connection.service.user, self._connection.service.user_key)
        return AUTH_SUCCESSFUL if welcome else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "session":
            return OPEN_SUCCEEDED
        return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        text = command.decode("utf-8", "replace")
        self._connection.start(threading.Thread(target=self._answer, args=(channel, text), daemon=True))
        return True

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        if name != "sftp":
            return False
        self._connection.start(paramiko.SFTPServer(channel, name, self, _Sftp, self._connection))
        return True

    def _answer(self, channel: paramiko.Channel, command: str) -> None:
        reply = self._connection.service.commands.run(command)
        try:
            channel.sendall(reply.stdout)
            channel.sendall_stderr(reply.stderr)
            channel.send_exit_status(reply.status)
            channel.close()
        except (OSError, EOFError, paramiko.SSHException):
            _LOG.debug("the connection ended before the answer to %r", command)


class _Sftp(paramiko.SFTPServerInterface):
    """The host's files, to read."""

    def __init__(self, server: paramiko.ServerInterface, connection: Connection) -> None:
        super().__init__(server)
        self._connection = connection

    def canonicalize(self, path: str) -> str:
        return resolve(path)

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        try:
            return [_attributes(entry) for entry in self._connection.service.tree.list(path)]
        except OSError as error:
            return _status(error)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return _attributes(self._connection.service.tree.stat(path))
        except OSError as error:
            return _status(error)

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        return self.stat(path)

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        if flags != 0:  # os.O_RDONLY
            return SFTP_PERMISSION_DENIED
        try:
            tree = self._connection.service.tree
            return _OpenFile(tree.read(path), tree.stat(path), self._connection)
        except OSError as error:
            return _status(error)


class _OpenFile(paramiko.SFTPHandle):
    """A file as it was when it was opened."""

    def __init__(self, content: bytes, entry: Entry, connection: Connection) -> None:
        super().__init__()
        self._content, self._entry, self._connection = content, entry, connection

    def stat(self) -> paramiko.SFTPAttributes:
        return _attributes(self._entry)

    def read(self, offset: int, length: int) -> bytes | int:
        data = self._content[offset : offset + min(length, _LARGEST_READ)]
        wire = self._connection.service.wire
        if wire.cuts(len(data)):
            self._connection.hang_up()
            return SFTP_FAILURE
        if wire.bytes_per_s:
            self._connection.closing.wait(len(data) / wire.bytes_per_s)
        return data


def _attributes(entry: Entry) -> paramiko.SFTPAttributes:
    attributes = paramiko.SFTPAttributes()
    attributes.filename = entry.name
    attributes.st_size = entry.size
    attributes.st_uid = attributes.st_gid = 0
    attributes.st_mode = entry.mode | (stat.S_IFDIR if entry.is_folder else stat.S_IFREG)
    attributes.st_atime = attributes.st_mtime = int(entry.modified)
    return attributes


def _status(error: OSError) -> int:
    return SFTP_NO_SUCH_FILE if isinstance(error, FileNotFoundError) else SFTP_FAILURE
