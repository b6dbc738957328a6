"""Who logs in to the WS-Man server, and how messages are sealed over HTTP.

One `Security` belongs to one TCP connection: NTLM authenticates connections. The acceptor is pyspnego's;
the framing of sealed messages is MS-WSMV 2.2.9.1.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass, field

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

CERTIFICATE_SCHEME = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
_SEALED = "application/HTTP-SPNEGO-session-encrypted"
_BOUNDARY = b"--Encrypted Boundary"
_PART = re.compile(
    rb"--\s?Encrypted Boundary\r\n.*?Length=(\d+)\r\n--\s?Encrypted Boundary\r\n"
    rb"\s*Content-Type: application/octet-stream\r\n",
    re.DOTALL,
)


@dataclass
class Accounts:
    """Who may log in, and what was tried. `logins` are (scheme, whether it was let in)."""

    user: str
    password: str
    schemes: tuple[str, ...]
    logins: list[tuple[str, bool]] = field(default_factory=list)

    def judge(self, scheme: str, right: bool) -> bool:
        """Note a login and say whether it is good."""
        self.logins.append((scheme, right))
        return right


class Security:
    """The state of one connection."""

    def __init__(
        self, accounts: Accounts, server_certificate: bytes | None, client_certificate: bool
    ) -> None:
        self._accounts = accounts
        self._certificate = server_certificate
        self._client_certificate = client_certificate
        self._context: spnego.ContextProxy | None = None
        self._let_in = False
        self.last_token: str | None = None
        """What the client still needs, with the first answer after its login: SPNEGO's closing token."""

    def admit(self, authorization: str) -> tuple[bool, list[str]]:
        """Whether the request may pass; otherwise the `WWW-Authenticate` fields of the refusal."""
        scheme, _, credentials = authorization.partition(" ")
        if scheme in ("NTLM", "Negotiate") and "NTLM" in self._accounts.schemes:
            return self._negotiate(scheme, credentials)
        if scheme == "Basic" and "Basic" in self._accounts.schemes:
            told = base64.b64decode(credentials).decode()
            right = told == f"{self._accounts.user}:{self._accounts.password}"
            return self._accounts.judge("Basic", right), self._offers()
        if authorization == CERTIFICATE_SCHEME and "Certificate" in self._accounts.schemes:
            return self._accounts.judge("Certificate", self._client_certificate), self._offers()
        return self._let_in, self._offers()

    def unseal(self, content_type: str, body: bytes) -> bytes | None:
        """The message inside a sealed body; None if the body is not sealed."""
        if not content_type.startswith("multipart/"):
            return None
        assert self._context is not None
        part = _PART.match(body)
        assert part is not None, body[:200]
        sealed = body[part.end() : body.rindex(b"--\r\n") - len(_BOUNDARY)]
        (size,) = struct.unpack("<I", sealed[:4])
        message = self._context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :])
        assert len(message) == int(part[1])
        return message

    def seal(self, message: bytes) -> tuple[str, bytes]:
        """Content type and body of a sealed message."""
        assert self._context is not None
        wrapped = self._context.wrap_winrm(message)
        body = b"".join(
            [
                _BOUNDARY + b"\r\n\tContent-Type: " + _SEALED.encode() + b"\r\n",
                b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n" % len(message),
                _BOUNDARY + b"\r\n\tContent-Type: application/octet-stream\r\n",
                struct.pack("<I", len(wrapped.header)) + wrapped.header + wrapped.data,
                _BOUNDARY + b"--\r\n",
            ]
        )
        return f'multipart/encrypted;protocol="{_SEALED}";boundary="Encrypted Boundary"', body

    def _negotiate(self, scheme: str, credentials: str) -> tuple[bool, list[str]]:
        if self._context is None or self._context.complete:
            self._let_in = False
            self._context = spnego.server(
                protocol="ntlm" if scheme == "NTLM" else "negotiate", channel_bindings=self._bindings()
            )
        try:
            token = self._context.step(base64.b64decode(credentials))
        except SpnegoError:
            self._context = None
            self._accounts.judge("NTLM", right=False)
            return False, self._offers()
        if self._context.complete:
            self._let_in = self._accounts.judge("NTLM", right=True)
            self.last_token = f"{scheme} {base64.b64encode(token).decode()}" if token else None
            return True, []
        return False, [f"{scheme} {base64.b64encode(token or b'').decode()}"]

    def _bindings(self) -> GssChannelBindings | None:
        """RFC 5929 section 4: the hash of the server's certificate ties the login to this TLS connection."""
        if self._certificate is None:
            return None
        certificate = x509.load_der_x509_certificate(self._certificate)
        digest = certificate.fingerprint(certificate.signature_hash_algorithm or hashes.SHA256())
        return GssChannelBindings(application_data=b"tls-server-end-point:" + digest)

    def _offers(self) -> list[str]:
        offers = {"NTLM": ["Negotiate", "NTLM"], "Basic": ['Basic realm="WSMAN"'], "Certificate": []}
        return [offer for scheme in self._accounts.schemes for offer in offers[scheme]]
