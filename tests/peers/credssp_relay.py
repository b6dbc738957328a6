"""Somebody between a client and a server who log in by CredSSP, with a key of his own (CVE-2018-0886)."""

from __future__ import annotations

import base64
import http.client
import ssl
import tempfile
from pathlib import Path

from spnego.tls import default_tls_context, generate_tls_certificate

from tests.peers.wsman import Exchange, Wsman


class Relay:
    """As a `Trouble`, it passes on what is inside CredSSP's TLS in both directions, and keeps a copy.

    It ends TLS on both sides, for nobody verifies certificates there.
    """

    def __init__(self, real: Wsman) -> None:
        self._client = _Tls(_own_context(), server_side=True)
        self._server = _Tls(default_tls_context("initiate").context, server_side=False)
        self._http = http.client.HTTPConnection(real.address, real.port, timeout=30)
        self.passed: list[bytes] = []
        """What the client said inside."""

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request of the client."""
        _, _, token = exchange.authorization.partition(" ")
        said = b""
        if token:
            said = self._client.take(base64.b64decode(token))
        reply = self._client.say(self._pass_on(said) if said else b"")
        told = f"CredSSP {base64.b64encode(reply).decode()}" if reply else "CredSSP"
        exchange.send(401, {"WWW-Authenticate": told}, b"")

    def close(self) -> None:
        """Hang up on the server."""
        self._http.close()

    def _pass_on(self, said: bytes) -> bytes:
        self.passed.append(said)
        while not self._server.stands:
            self._server.take(self._ask(self._server.say(b"")))
        return self._server.take(self._ask(self._server.say(said)))

    def _ask(self, token: bytes) -> bytes:
        self._http.request(
            "POST", "/wsman", headers={"Authorization": f"CredSSP {base64.b64encode(token).decode()}"}
        )
        answer = self._http.getresponse()
        answer.read()
        return base64.b64decode((answer.getheader("WWW-Authenticate") or "").partition(" ")[2])


class _Tls:
    """One end of TLS whose records travel in fields of HTTP."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side)
        self.stands = False
        if not server_side:
            self._shake_hands()

    def take(self, records: bytes) -> bytes:
        """What the other side said in them."""
        self._in.write(records)
        if not self.stands:
            self._shake_hands()
            return b""
        try:
            return self._tls.read(64 * 1024) if records else b""
        except ssl.SSLWantReadError:
            return b""

    def say(self, words: bytes) -> bytes:
        """The records that hold them, after those of the handshake."""
        if words:
            self._tls.write(words)
        return self._out.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.stands = True


def _own_context() -> ssl.SSLContext:
    certificate, key, _ = generate_tls_certificate()
    context = default_tls_context("accept").context
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder, "relay.pem")
        pem.write_bytes(certificate + key)
        context.load_cert_chain(pem)
    return context
