"""An HTTPS server for SOAP that keeps sessions, counts calls, and makes the trouble it is told to.

It listens on 127.0.0.2: some clients leave certificates of 127.0.0.1 unverified without being asked.
"""

from __future__ import annotations

import contextlib
import http.server
import math
import secrets
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from pyVmomi import VmomiSupport, vim, vmodl

from tests.peers import soap_wire
from tests.peers.certificate import make_certificate

ADDRESS = "127.0.0.2"
COOKIE = "vmware_soap_session"
ANONYMOUS = {"RetrieveServiceContent", "Login", "CurrentTime"}
REST = ("/api/", "/rest/")
LARGEST_REQUEST = 4 * 1024 * 1024


class Trouble(StrEnum):
    """What to do with a request instead of answering it as one should."""

    DROP_BEFORE = "close the connection without acting"
    DROP_AFTER = "act, and close the connection"
    HANG_BEFORE = "never answer, without acting"
    HANG_AFTER = "act, and never answer"
    SLOW = "act, and answer after some seconds"
    DRIP = "act, and answer a byte every tenth of a second"
    GARBAGE = "act, and answer nonsense"
    PAGE = "act, and answer with a web page, as proxies do"
    FAULT = "answer with a fault, without acting"
    FAULT_AFTER = "act, and answer with a fault"
    MISSING = "know no such method"
    STATUS = "act, and answer with HTTP 503"
    CUT = "send half of the file, and close the connection"
    STALL = "send half of the file, and nothing more"


@dataclass
class Rule:
    """The trouble to make, for the next `times` requests."""

    trouble: Trouble
    seconds: float = 0.0
    fault: Any = None
    times: float = math.inf


@dataclass
class Session:
    """Who is logged in, and when the session was used last."""

    user: str
    key: str
    used: float = field(default_factory=time.monotonic)


Handler = Callable[[soap_wire.Call, Session | None], Any]


class SoapServer:
    """Serves SOAP at /sdk and files by GET, between `__enter__` and `__exit__`.

    `rules` is keyed by a method's name on the wire, by that and an object ("SendNMI vm-57"), by "GET" and the
    beginning of a path ("GET /folder"), or in the REST API by the whole path, or by "POST REST" for any.
    """

    path = "/sdk"

    def __init__(self, folder: Path, api_version: str = "8.0.3.0") -> None:
        self.api_version = api_version
        self.version = VmomiSupport.versionMap[f"vim25/{api_version}"]
        self.calls: Counter[str] = Counter()
        self.rules: dict[str, Rule] = {}
        self.sessions: dict[str, Session] = {}
        self.idle = 1800.0
        self.mistakes: list[BaseException | None] = []
        self.stopping = threading.Event()
        self.lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = make_certificate(folder / f"vsphere-{secrets.token_hex(4)}.pem", address=ADDRESS)
        self.listener = _Listener(self)
        self.port = int(self.listener.server_port)
        self._thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self.listener.shutdown()
        self.listener.hang_up()
        self.listener.server_close()
        self._thread.join()
        assert not self.mistakes, self.mistakes

    def present(self, certificate: Path) -> None:
        """Show another certificate from now on."""
        self.listener.load(certificate)

    def handler(self, method: str) -> Handler | None:
        """What implements a method; None if nothing does."""
        return None

    def get(self, path: str, session: Session | None, headers: Any) -> tuple[int, dict[str, str], bytes]:
        """Answer a GET: status, headers, body."""
        return 404, {}, b""

    def rest(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a request of the REST API: status, headers, body."""
        return 404, {}, b""

    def rule_for(self, *keys: str) -> Rule | None:
        """The rule for any of these keys, used once more."""
        with self.lock:
            rule = next((self.rules[key] for key in keys if key in self.rules), None)
            if rule is None or rule.times <= 0:
                return None
            rule.times -= 1
            return rule

    def log_in(self, user: str) -> tuple[Session, str]:
        """A new session, and the cookie that stands for it."""
        cookie = secrets.token_hex(20)
        session = Session(user, secrets.token_hex(8))
        with self.lock:
            self.sessions[cookie] = session
        return session, cookie

    def session(self, cookies: str) -> Session | None:
        """The session that a Cookie header stands for, if it is still alive."""
        found = SimpleCookie(cookies).get(COOKIE)
        with self.lock:
            session = self.sessions.get(found.value) if found else None
            if session is None or time.monotonic() - session.used > self.idle:
                return None
            session.used = time.monotonic()
            return session

    def answer(self, call: soap_wire.Call, session: Session | None) -> Any:
        """Run a method, or raise the fault that it ends with."""
        handler = self.handler(call.method)
        if handler is None:
            raise soap_wire.not_found(call)
        if session is None and call.method not in ANONYMOUS:
            raise vim.fault.NotAuthenticated(
                msg="The session is not authenticated.", object=call.target, privilegeId="System.View"
            )
        with self.lock:
            return handler(call, session)


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, soap: SoapServer) -> None:
        self.soap = soap
        self.connections: set[socket.socket] = set()
        super().__init__((ADDRESS, 0), _Exchange)
        self.load(soap.certificate)

    def load(self, certificate: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread, so that a silent client holds up nobody."""
        request.settimeout(60.0)
        with contextlib.suppress(OSError):
            with self.context.wrap_socket(request, server_side=True) as secured:
                self.connections.add(secured)
                super().finish_request(secured, client_address)
            self.connections.discard(secured)

    def hang_up(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; a mistake of this server's own is."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.soap.mistakes.append(error)


class _Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms
    server: _Listener

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path.startswith(REST):
            self._rest(b"")
            return
        soap = self.server.soap
        path = self.path.split("?")[0]
        soap.calls[f"GET {path}"] += 1
        if path == f"{soap.path}/vimServiceVersions.xml":
            keys, status, headers, body = [f"GET {path}"], 200, {}, _versions(soap.api_version)
        else:
            keys = [f"GET /{path.split('/')[1]}"]
            status, headers, body = soap.get(
                self.path, soap.session(self.headers.get("Cookie", "")), self.headers
            )
        self._deliver(soap.rule_for(*keys), status, headers, body)

    def do_POST(self) -> None:
        soap = self.server.soap
        body = self._body()
        if self.path.startswith(REST):
            self._rest(body)
            return
        try:
            call = soap_wire.parse(body, soap.version)
        except soap_wire.MalformedError as error:
            request = vmodl.fault.InvalidRequest(msg=f"Unable to parse the request: {error}")
            self._deliver(None, 500, {}, soap_wire.fault(request, soap.version))
            return
        soap.calls[call.method] += 1
        rule = soap.rule_for(f"{call.method} {call.target._GetMoId()}", call.method)
        if rule and rule.trouble in {Trouble.DROP_BEFORE, Trouble.HANG_BEFORE}:
            self._deliver(rule, 200, {}, b"")
            return
        status, headers, answer = self._run(call, rule)
        self._deliver(rule, status, headers, answer)

    def _body(self) -> bytes:
        """What follows the headers, whole or in chunks (RFC 9112, section 7.1)."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(min(int(self.headers.get("Content-Length", 0)), LARGEST_REQUEST))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(min(size, LARGEST_REQUEST))
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_DELETE(self) -> None:
        self._rest(b"")

    def _rest(self, body: bytes) -> None:
        soap = self.server.soap
        key = f"{self.command} {self.path.partition('?')[0]}"
        soap.calls[key] += 1
        rule = soap.rule_for(key, self.command + " REST")
        if rule and rule.trouble in {Trouble.DROP_BEFORE, Trouble.HANG_BEFORE}:
            self._deliver(rule, 200, {}, b"")
            return
        with soap.lock:
            status, headers, answer = soap.rest(self.command, self.path, self.headers, body)
        self._deliver(rule, status, headers, answer)

    def _run(self, call: soap_wire.Call, rule: Rule | None) -> tuple[int, dict[str, str], bytes]:
        soap = self.server.soap
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        try:
            if rule and rule.trouble is Trouble.FAULT:
                raise rule.fault
            if rule and rule.trouble is Trouble.MISSING:
                raise soap_wire.not_found(call)
            result = soap.answer(call, soap.session(self.headers.get("Cookie", "")))
            if isinstance(result, tuple):
                result, cookie = result
                headers["Set-Cookie"] = f'{COOKIE}="{cookie}"; Path=/; HttpOnly; Secure;'
            if rule and rule.trouble is Trouble.FAULT_AFTER:
                raise rule.fault
            return 200, headers, soap_wire.answer(call, result, soap.version)
        except vmodl.MethodFault as error:
            return 500, headers, soap_wire.fault(error, soap.version)

    def _deliver(self, rule: Rule | None, status: int, headers: dict[str, str], body: bytes) -> None:
        trouble, stop = rule.trouble if rule else None, self.server.soap.stopping
        if trouble in {Trouble.DROP_BEFORE, Trouble.DROP_AFTER}:
            self.close_connection = True
            return
        if trouble in {Trouble.HANG_BEFORE, Trouble.HANG_AFTER}:
            stop.wait()
            self.close_connection = True
            return
        if trouble is Trouble.SLOW:
            stop.wait(rule.seconds)
        if trouble is Trouble.STATUS:
            status, body = 503, b""
        if trouble is Trouble.GARBAGE:
            body = b"\x00]]> this is no SOAP"
        if trouble is Trouble.PAGE:
            status, body = 200, b"<html><body>The service is being restarted.</body></html>"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(trouble, body)

    def _send(self, trouble: Trouble | None, body: bytes) -> None:
        stop = self.server.soap.stopping
        if trouble is Trouble.DRIP:
            for byte in body:
                if stop.wait(0.1):
                    break
                self.wfile.write(bytes([byte]))
        elif trouble in {Trouble.CUT, Trouble.STALL}:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            if trouble is Trouble.STALL:
                stop.wait()
        else:
            self.wfile.write(body)


def _versions(api_version: str) -> bytes:
    older = [each for each in ("6.0", "5.5", "5.1") if float(each) < float(api_version[:3])]
    return (
        '<?xml version="1.0" encoding="UTF-8"?><namespaces version="1.0"><namespace><name>urn:vim25</name>'
        f"<version>{api_version}</version><priorVersions>"
        f"{''.join(f'<version>{each}</version>' for each in older)}</priorVersions></namespace></namespaces>"
    ).encode()
