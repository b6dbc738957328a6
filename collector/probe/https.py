"""HTTPS: a TLS handshake, then a real HTTP answer.

TLS runs through memory buffers, so that this file has no I/O like its neighbours.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import ssl

from collector.probe.conversation import StreamConversation
from collector.probe.http1 import HEAD_LIMIT, Head, NotHttpError, host_field, read_head
from collector.probe.observation import printable

_SERVER_FAILURE = 500  # RFC 9110 section 15.6


class HttpsConversation(StreamConversation):
    """PROVED by an HTTP answer through TLS.

    A handshake alone is SPOKE. So is a status of 500 and above, with a `failure`: a reverse proxy answers so
    for a service that does not.
    """

    __slots__ = ("_answer", "_incoming", "_name", "_outgoing", "_secure", "_tls")

    limit = 262144  # bytes; a handshake with long certificate chains, session tickets, and a head

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = _context().wrap_bio(self._incoming, self._outgoing, server_hostname=_server_name(name))
        self._secure = False
        self._answer = bytearray()

    def opening(self) -> bytes:
        """Return the ClientHello."""
        return self._step()

    def receive(self, data: bytes) -> bytes:
        """Take what the peer sent; return what to send back."""
        if not self.done:
            self._incoming.write(data)
        return super().receive(data)

    def _advance(self) -> bytes:
        return self._step()

    def _step(self) -> bytes:
        """Go as far as the bytes allow; return what TLS wants to send."""
        try:
            if not self._secure:
                self._tls.do_handshake()
                self._shake_hands()
            self._read()
        except ssl.SSLWantReadError:
            pass  # not an error: TLS asks for more bytes
        except ssl.SSLError as error:
            self._stop(f"TLS: {error.reason or type(error).__name__}")
        except NotHttpError as error:
            self._stop(str(error))
        return self._outgoing.read()

    def _shake_hands(self) -> None:
        self._secure = True
        self.evidence["tls"] = str(self._tls.version())
        certificate = self._tls.getpeercert(binary_form=True)
        if certificate:
            self.evidence["certificate_sha256"] = hashlib.sha256(certificate).hexdigest()
        self._tls.write(self._request())

    def _request(self) -> bytes:
        """Return what to ask for through TLS."""
        return f"GET / HTTP/1.1\r\nHost: {host_field(self._name)}\r\nConnection: close\r\n\r\n".encode(
            "ascii"
        )

    def _read(self) -> None:
        while not self.done:
            text = self._tls.read(HEAD_LIMIT)
            self._answer += text
            head = read_head(self._answer)
            if head is not None:
                self.evidence["http_status"] = str(head.status)
                if "server" in head.fields:
                    self.evidence["server"] = printable(head.fields["server"])
                self._judge(head)
            if not text:
                self.ended()

    def _judge(self, head: Head) -> None:
        """Decide from the head, and from what has come of the body; without a decision more is read."""
        if self._proves(head.status):
            self._prove()
        else:
            self._fail(f"HTTP {head.status}")

    def _proves(self, status: int) -> bool:
        """Tell whether only a living user mode answers with this status."""
        return status < _SERVER_FAILURE


@functools.cache
def _context() -> ssl.SSLContext:
    """One context for all: making one costs milliseconds, and none of them holds anything of a peer.

    Nothing is verified, on purpose. We send no secret and believe nothing we are told; the only question is
    whether something composes an answer, and a host with an expired or self-signed certificate lives too.
    For the same reason old protocol versions and ciphers are welcome.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _server_name(name: str) -> str | None:
    """Return the name for the SNI extension, which takes no IP address (RFC 6066 section 3)."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    return None
