"""hostd, ESXi's management agent: one call of the vSphere API that takes no login.

Port 443 of an ESXi host belongs to a reverse proxy, a process of its own: it completes the TLS handshake, and
answers some requests by itself, while the hostd behind it hangs. `POST /sdk` is passed on to hostd, and the
answer to RetrieveServiceContent is composed there ("vSphere Web Services SDK Programming Guide": it is the
first call of every client, before the login). Nothing changes on the host, and no session is made.
"""

from __future__ import annotations

from collector.probe.http1 import Head, host_field
from collector.probe.https import HttpsConversation

_LARGEST_ANSWER = 65536  # bytes; the answer has about 4000
_OK, _FAULT = 200, 500  # a SOAP fault comes with 500 (SOAP 1.1 section 6.2)
_PROOFS = (b"<RetrieveServiceContentResponse", b"<faultstring>")

_BODY = (
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>'
    b"</RetrieveServiceContent></soapenv:Body></soapenv:Envelope>"
)


class HostdConversation(HttpsConversation):
    """PROVED by hostd's answer, or by its fault; what the reverse proxy says in its place is SPOKE."""

    __slots__ = ()

    def _request(self) -> bytes:
        head = (
            "POST /sdk HTTP/1.1\r\n"
            f"Host: {host_field(self._name)}\r\n"
            "Content-Type: text/xml; charset=utf-8\r\n"
            'SOAPAction: "urn:vim25/5.5"\r\n'
            f"Content-Length: {len(_BODY)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode("ascii") + _BODY

    def _judge(self, head: Head) -> None:
        if head.status not in (_OK, _FAULT):
            self._fail(f"HTTP {head.status}")
        elif any(proof in self._answer[:_LARGEST_ANSWER] for proof in _PROOFS):
            self._prove()
        elif len(self._answer) >= _LARGEST_ANSWER:
            self._stop("not an answer of the vSphere API")
