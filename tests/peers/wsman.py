"""A WS-Management server on loopback that behaves as WinRM does, or misbehaves where a test says so.

Shells and commands of MS-WSMV: Identify, Create, Command, Send, Receive, Signal, Delete. Logins: NTLM,
Kerberos and CredSSP, with sealed messages over HTTP; these, Basic and certificates over TLS. It counts what
reaches it, and each script that ran. pywinrm, pypsrp and awinrm keep it honest (test_wsman.py).
"""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import ssl
import struct
import threading
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers import wsman_soap as soap
from tests.peers.wsman_powershell import Answer, Scripted
from tests.peers.wsman_security import Accounts, Security
from tests.peers.wsman_shell import Shells

USER, PASSWORD = "oncall", "correct horse"
MAX_ENVELOPE = 500 * 1024
"""Bytes; MaxEnvelopeSizekb of Windows 8 and Server 2012 onwards."""


@dataclass
class Wsman:
    """The server's state, and the record of everything that reached it.

    `trouble` maps an operation (or "Login", or "Any") to what is done in place of a proper answer.
    """

    scripted: Scripted = field(default=lambda script, arguments: Answer())
    trouble: dict[str, Trouble] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=lambda: Accounts(USER, PASSWORD, ("NTLM",)))
    address: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    ca: Path = Path()
    ran: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    in_the_clear: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """All bodies of HTTP as they came and went: sealed, where sealing stands."""
    authorizations: list[str] = field(default_factory=list)
    """All `Authorization` fields that came."""
    proxy_logins: int = 0
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.shells = Shells(self.scripted, self.ran, self.over)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http{'s' if self.tls else ''}://{self.address}:{self.port}/wsman"


class Exchange:
    """One request of a client. A `Trouble` may act on it, or not, and answers as it likes."""

    def __init__(
        self,
        handler: _Handler,
        server: Wsman,
        request: soap.Request | None,
        sealed: bool,
        sent: soap.Request | None = None,
    ) -> None:
        self.server = server
        self.request = request
        self.sent = sent
        self._handler = handler
        self._sealed = sealed

    @property
    def authorization(self) -> str:
        """What the client logs in with."""
        return str(self._handler.headers.get("Authorization", ""))

    def act(self) -> tuple[int, bytes]:
        """Do what is asked; status and envelope of the answer."""
        if self.request is None:
            return 200, b""
        try:
            return 200, soap.answer(self.request, self.server.shells.do(self.request))
        except soap.WsmanFault as why:
            return 500, soap.fault(why)

    def reply(self, status: int, envelope: bytes) -> None:
        """Answer properly."""
        content_type, body = "application/soap+xml;charset=UTF-8", envelope
        if self._sealed and envelope:
            content_type, body = self._handler.security.seal(envelope)
        self.send(status, {"Content-Type": content_type}, body)

    def send(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        """Answer with these very bytes."""
        self._handler.answer(status, list(fields.items()), body)

    def hold(self) -> None:
        """Say nothing, and keep the connection open."""
        self.server.over.wait()
        self._handler.close_connection = True

    def drip(self) -> None:
        """Send the beginning of an answer, then a byte now and then, for ever."""
        out = self._handler.wfile
        out.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 9999\r\n\r\n")
        with contextlib.suppress(OSError):  # the client has gone
            while not self.server.over.wait(0.1):
                out.write(b" ")
        self._handler.close_connection = True

    def reset(self) -> None:
        """Cut the connection."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.close_connection = True


Trouble = Callable[[Exchange], None]


def silence(exchange: Exchange) -> None:
    """Take the request, do nothing, say nothing."""
    exchange.hold()


def dripping(exchange: Exchange) -> None:
    """Never stop answering."""
    exchange.drip()


def lost_answer(exchange: Exchange) -> None:
    """Do it, and say nothing."""
    exchange.act()
    exchange.hold()


def reset_after(exchange: Exchange) -> None:
    """Do it, and cut the connection."""
    exchange.act()
    exchange.reset()


def status(code: int, *, acts: bool = False, body: bytes = b"") -> Trouble:
    """Answer with an HTTP status and no envelope, as http.sys or a proxy does."""

    def answer(exchange: Exchange) -> None:
        if acts:
            exchange.act()
        exchange.send(code, {"Content-Type": "text/html"}, body)

    return answer


def proxy_login(exchange: Exchange) -> None:
    """The answer of a proxy that wants a login of its own."""
    exchange.send(407, {"Proxy-Authenticate": "NTLM", "Content-Type": "text/html"}, b"<html>proxy</html>")


def redirect(target: str) -> Trouble:
    """Send the client elsewhere, with the same method and body (RFC 9110 section 15.4.8)."""
    return lambda exchange: exchange.send(307, {"Location": target}, b"")


def impostor(scheme: str, token: str = "", status: int = 200) -> Trouble:
    """Ask for a login by `scheme`, and let anybody in; the proof of who it is is `token`, or missing."""

    def answer(exchange: Exchange) -> None:
        if not exchange.authorization:
            exchange.send(401, {"WWW-Authenticate": scheme}, b"")
            return
        told = {"WWW-Authenticate": f"{scheme} {token}"} if token else {}
        body = soap.answer(exchange.sent, soap.identity()) if exchange.sent else b""
        exchange.send(status, {**told, "Content-Type": "application/soap+xml;charset=UTF-8"}, body)

    return answer


def refusal(code: int, subcode: str, reason: str) -> Trouble:
    """Answer with a fault, and do nothing."""
    return lambda exchange: exchange.reply(500, soap.fault(soap.WsmanFault(code, subcode, reason)))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Wsman

    def setup(self) -> None:
        super().setup()
        server_certificate = client_certificate = None
        if isinstance(self.connection, ssl.SSLSocket):
            self._shake_hands(self.connection)
            client_certificate = self.connection.getpeercert(binary_form=True)
            server_certificate = der_of(self.state.ca)
        self.security = Security(self.state.accounts, server_certificate, client_certificate)

    def _shake_hands(self, connection: ssl.SSLSocket) -> None:
        """Let the client read why it is refused: a connection that is closed on unread words is reset."""
        try:
            connection.do_handshake()
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_WR)
                while socket.socket.recv(connection, 64 * 1024):
                    pass
            raise

    def do_POST(self) -> None:  # the name is http.server's
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.state.bodies.append(body)
        self.state.authorizations += self.headers.get_all("Authorization", [])
        self.state.proxy_logins += "Proxy-Authorization" in self.headers
        if "Any" in self.state.trouble:
            sent = soap.parse(body) if body.startswith(b"<") else None
            self.state.trouble["Any"](Exchange(self, self.state, None, sealed=False, sent=sent))
            return
        admitted, offers = self.security.admit(self.headers.get("Authorization", ""))
        if not admitted:
            self.answer(401, [("WWW-Authenticate", offer) for offer in offers], b"")
            return
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        message = self.security.unseal(self.headers.get("Content-Type", ""), body) if body else None
        if body and message is None and not self.state.tls:
            self.state.in_the_clear.append(body)
            self.answer(500, [("Content-Type", "text/plain")], b"AllowUnencrypted is false")
            return
        try:
            request = soap.parse(message or body) if body else None
        except (ET.ParseError, AssertionError):
            self.answer(400, [], b"")
            return
        operation = request.operation if request else "Login"
        self.state.counts[operation] += 1
        exchange = Exchange(self, self.state, request, sealed=message is not None)
        if len(message or body) > MAX_ENVELOPE:
            refusal(soap.ENVELOPE_TOO_LARGE, "w:EncodingLimit", "The envelope is too large.")(exchange)
        elif operation in self.state.trouble:
            self.state.trouble[operation](exchange)
        else:
            exchange.reply(*exchange.act())

    def answer(self, code: int, fields: list[tuple[str, str]], body: bytes) -> None:
        self.state.bodies.append(body)
        self.send_response(code)
        for name, value in fields:
            self.send_header(name, value)
        if self.security.last_token is not None:
            self.send_header("WWW-Authenticate", self.security.last_token)
            self.security.last_token = None
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 32

    def __init__(self, state: Wsman, context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in state.address else socket.AF_INET
        super().__init__((state.address, state.port), type("Handler", (_Handler,), {"state": state}))
        self._state, self._context = state, context
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[Any, Any]:
        connection, peer = super().get_request()
        self._state.connections += 1
        if self._context is not None:
            connection = self._context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self._open.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of the test."""

    def hang_up(self) -> None:
        """End all connections, so that their threads end."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


@contextlib.contextmanager
def wsman(
    folder: Path,
    scripted: Scripted = lambda script, arguments: Answer(),
    *,
    schemes: tuple[str, ...] = ("NTLM",),
    certificate: Path | None = None,
    clients: Path | None = None,
    trouble: Mapping[str, Trouble] | None = None,
    address: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Wsman]:
    """Serve for the length of the block; over TLS if there is a certificate, which its clients then trust.

    `clients` is the certificate whose owner may log in with it, in place of the server's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = Wsman(scripted, dict(trouble or {}), Accounts(USER, PASSWORD, schemes), address, port)
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(clients or certificate)
        state.tls, state.ca = True, certificate
    with _ntlm_accounts(folder), _Server(state, context) as server:
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            state.over.set()
            server.shutdown()
            server.hang_up()
            thread.join()


@contextlib.contextmanager
def _ntlm_accounts(folder: Path) -> Iterator[None]:
    """pyspnego's acceptor takes its accounts from a file that the environment names."""
    accounts = folder / "ntlm-accounts"
    accounts.write_text(f":{USER}:{PASSWORD}\n")
    before = os.environ.get("NTLM_USER_FILE")
    os.environ["NTLM_USER_FILE"] = str(accounts)
    try:
        yield
    finally:
        if before is None:
            del os.environ["NTLM_USER_FILE"]
        else:
            os.environ["NTLM_USER_FILE"] = before


def der_of(path: Path) -> bytes:
    """The certificate in a PEM file that holds its key as well."""
    text = path.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])
