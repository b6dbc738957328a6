"""HTTPS to one server, over one connection whose every wait ends by a deadline.

The certificate is proved on the very connection that carries the login. pyVmomi's own pinning turns the
proof off for later connections, and it leaves loopback addresses unproved, so none of it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Protocol

from collector.adapters.limits import Deadline
from collector.adapters.tcp import dial, place
from collector.errors import ConfigError, DeadlineError, HostKeyError, PeerFailedError, UnreachableError

_SHORTEST_S = 0.001  # zero would mean not to wait at all, and an OSError of another kind
_BLOCK = 64 * 1024
_NOT_THERE = "Check address and port, and the firewalls on the way."


class Clock(Protocol):
    """How long the next byte may take."""

    def remaining(self) -> float:
        """Seconds."""
        ...


class Stall:
    """A clock that starts again with every byte."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def remaining(self) -> float:
        """Seconds that the next byte may take: always the same."""
        return self._seconds


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe.

    Args:
        ca_file: PEM file of CAs, or of the server's own certificate; None for the system's CAs.
        sha256: the fingerprint that the server's certificate must have, as 64 hexadecimal digits; its name,
            its dates and its issuer are not looked at then.
        anyone: whoever answers is believed.
    """

    ca_file: Path | None = None
    sha256: str | None = None
    anyone: bool = False

    def context(self) -> ssl.SSLContext:
        """For one connection. Raises: ConfigError if the file is no certificate."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{self.ca_file} cannot be read as certificates: {error}", hint="Name a file in PEM format."
            ) from error
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate may be the anchor
        context.sslsocket_class = _Socket
        if self.sha256 or self.anyone:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def prove(self, sock: ssl.SSLSocket, where: str) -> None:
        """Compare the fingerprint. The handshake has proved that the server holds the certificate's key.

        Raises: HostKeyError.
        """
        shown = hashlib.sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()
        if self.sha256 and shown != self.sha256:
            raise HostKeyError(
                f"{where} shows the certificate sha256:{shown}, not the one that is pinned",
                hint="If it was replaced on purpose, correct `certificate_sha256`. Nothing was sent to it.",
            )


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and how it proves who it is."""

    address: str
    port: int
    trust: Trust

    @property
    def url(self) -> str:
        """What a person reads."""
        return f"https://{place(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (by their names in lower case), and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Socket(ssl.SSLSocket):
    """Asks its clock before it waits, so that a peer that drips bytes cannot outlast a deadline."""

    clock: Clock

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ANN401
        self._wind()
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401
        self._wind()
        return super().send(data, flags)

    def _wind(self) -> None:
        left = self.clock.remaining()
        if not left:
            raise TimeoutError
        self.settimeout(max(left, _SHORTEST_S))


class Response:
    """Status and headers (by their names in lower case) of an answer whose body is still to be received."""

    def __init__(
        self, begun: HTTPResponse, sock: _Socket, gone: Callable[[Exception | None], UnreachableError]
    ) -> None:
        self.status = begun.status
        self.headers = {name.lower(): value for name, value in begun.getheaders()}
        self.whole = begun.isclosed()
        self._begun, self._socket, self._gone = begun, sock, gone
        self._left = begun.length  # None where the server did not say

    def receive(self, size: int, clock: Clock) -> bytes:
        """The next bytes of the body, at most `size`, as they arrive; none at its end.

        Raises:
            TimeoutError: the clock ran out.
            UnreachableError: the connection broke, or ended before the body did.
        """
        if self.whole:
            return b""
        self._socket.clock = clock
        try:
            some = self._begun.read1(size if self._left is None else min(size, self._left))
        except TimeoutError:
            raise
        except (OSError, HTTPException) as error:
            raise self._gone(error) from error
        if self._left is not None:
            if not some and self._left:
                raise self._gone(None)
            self._left -= len(some)
        self.whole = not some or self._left == 0
        return some

    def close(self) -> None:
        """Let the body go."""
        self._begun.close()


class Https:
    """One server. The connection is made when it is needed, and made anew when the server has closed it."""

    def __init__(self, server: Server) -> None:
        self.where = server.url
        self._server = server
        self._connection: HTTPConnection | None = None
        self._socket: _Socket | None = None

    def connect(self, deadline: Deadline) -> None:
        """Connect, and prove the server's certificate; nothing is asked yet.

        Raises:
            UnreachableError, DeadlineError: it is not there, or silent.
            HostKeyError: it is not proved to be who it says.
        """
        self.close()
        server = self._server
        context = server.trust.context()
        raw = dial(server.address, server.port, deadline, hint=_NOT_THERE)
        try:
            raw.settimeout(max(deadline.remaining(), _SHORTEST_S))
            with self._wording(deadline):
                sock = context.wrap_socket(raw, server_hostname=server.address)
        except BaseException:
            raw.close()
            raise
        assert isinstance(sock, _Socket)
        try:
            server.trust.prove(sock, self.where)
        except HostKeyError:
            sock.close()
            raise
        self._socket = sock
        self._connection = HTTPConnection(server.address, server.port)
        self._connection.sock = sock
        self._connection.auto_open = 0  # it would do so without TLS

    def ask(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        headers: Mapping[str, str],
        limit: int,
        body: bytes = b"",
    ) -> Answer:
        """Send one request, once, and take the whole answer, of at most `limit` bytes.

        Raises:
            UnreachableError, DeadlineError, HostKeyError: there is no answer.
            PeerFailedError: the answer is larger.
        """
        with self.open(method, path, deadline, headers=headers, body=body) as response:
            whole = bytearray()
            with self._wording(deadline):
                while some := response.receive(_BLOCK, deadline):
                    whole += some
                    if len(whole) > limit:
                        raise PeerFailedError(
                            f"{self.where} answered with more than {limit} bytes",
                            hint="Is this a vCenter or an ESXi host? Check address and port.",
                        )
            return Answer(response.status, response.headers, bytes(whole))

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Iterator[Response]:
        """Send one request, once, and yield the answer before its body is received."""
        if self._connection is None or self._closed_by_peer():
            self.connect(deadline)
        connection, sock = self._connection, self._socket
        assert connection is not None
        assert sock is not None
        sock.clock = deadline
        try:
            with self._wording(deadline):
                connection.request(method, path, body=body or None, headers=dict(headers))
                begun = connection.getresponse()
        except BaseException:
            self.close()
            raise
        with contextlib.closing(Response(begun, sock, self._gone)) as response:
            try:
                yield response
            finally:
                if not response.whole or begun.will_close:
                    self.close()  # what is left of this answer must not be taken for the next one

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._socket = None

    def _closed_by_peer(self) -> bool:
        """True when the connection has ended, or something but TLS's own messages arrived unasked."""
        assert self._socket is not None
        self._socket.settimeout(0.0)
        try:
            self._socket.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            return True
        return True

    @contextlib.contextmanager
    def _wording(self, deadline: Deadline) -> Iterator[None]:
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise HostKeyError(
                f"the certificate of {self.where} is not proved: {error.verify_message}",
                hint="Name the CA, or the server's own certificate, in `ca_file`, or its fingerprint in "
                "`certificate_sha256`. Nothing was sent to it.",
            ) from error
        except TimeoutError as error:
            raise DeadlineError(
                f"{self.where} did not answer in {deadline.seconds:g} s",
                hint="Its service may be hung: look at it in a browser, and probe the machine it runs on.",
            ) from error
        except (OSError, HTTPException) as error:
            raise self._gone(error) from error

    def _gone(self, error: Exception | None) -> UnreachableError:
        words = f": {type(error).__name__}: {error}"[:200] if error else " before the answer was whole"
        return UnreachableError(
            f"{self.where} broke the connection{words}",
            hint="Try again; its service may have been restarted.",
        )
