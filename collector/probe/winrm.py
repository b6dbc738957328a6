"""WinRM: the WS-Management Identify request, without credentials, in the clear or through TLS.

What an answer proves on Windows depends on its status, because http.sys, a kernel driver, takes the
connection and the request, and answers by itself when no service is registered for the path:

* 200 is WinRM's own answer, composed in user mode.
* 401 is taken for WinRM's as well. Nothing published says whether the driver could have made it, and of
  the two possible mistakes this is the one after which no NMI is sent.
* 503, 404 and everything else may come from the driver: the kernel lives, WinRM does not serve.
* No answer at all: the driver has queued the request for a service that does not fetch it.

Through TLS the handshake comes first, which is Schannel's work, in LSASS. So a host whose user mode hangs
sends nothing; one that sends something and never comes to an answer is not called hung.
"""

from __future__ import annotations

from collector.probe.conversation import StreamConversation
from collector.probe.http1 import Head, NotHttpError, host_field, read_head
from collector.probe.https import HttpsConversation
from collector.probe.observation import printable

_PROVING = frozenset({200, 401})

# Identify, DSP0226 section 11; a server answers it without a login when the request has the WSMANIDENTIFY
# field (Microsoft, "Detecting whether a remote computer supports the WS-Management protocol").
_BODY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    b"<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)


class WinrmConversation(StreamConversation):
    """PROVED by status 200 or 401; any other status is SPOKE with a `failure`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def opening(self) -> bytes:
        """Return the whole request."""
        return _identify(self._name)

    def _advance(self) -> bytes:
        try:
            head = read_head(self._buffer)
        except NotHttpError as error:
            self._stop(str(error))
            return b""
        if head is not None:
            self._judge(head)
        return b""

    def _judge(self, head: Head) -> None:
        self.evidence["http_status"] = str(head.status)
        for field in ("server", "www-authenticate"):
            if field in head.fields:
                self.evidence[field] = printable(head.fields[field])
        if head.status in _PROVING:
            self._prove()
        else:
            self.evidence["kernel"] = "http.sys may have answered by itself"
            self._fail(f"HTTP {head.status}")


class WinrmTlsConversation(HttpsConversation):
    """PROVED by status 200 or 401 through TLS; any other status is SPOKE with a `failure`."""

    __slots__ = ()

    def _request(self) -> bytes:
        return _identify(self._name)

    def _proves(self, status: int) -> bool:
        return status in _PROVING


def _identify(name: str) -> bytes:
    head = (
        "POST /wsman HTTP/1.1\r\n"
        f"Host: {host_field(name)}\r\n"
        "Content-Type: application/soap+xml;charset=UTF-8\r\n"
        "WSMANIDENTIFY: unauthenticated\r\n"
        f"Content-Length: {len(_BODY)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + _BODY
