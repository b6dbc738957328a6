"""Who logs in to the WS-Man server, and how messages are sealed over HTTP.

One `Security` belongs to one TCP connection: the logins authenticate connections. The acceptors of NTLM,
Kerberos (with the keytab that KRB5_KTNAME names) and CredSSP are pyspnego's; the framing of sealed messages
is MS-WSMV 2.2.9.1.
"""

from __future__ import annotations

import base64
import itertools
import re
import struct
from dataclasses import dataclass, field
from ssl import SSLError
from typing import Any

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import ErrorCode, SpnegoError

CERTIFICATE_SCHEME = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
_SEALED_BY = {
    "NTLM": "application/HTTP-SPNEGO-session-encrypted",
    "Negotiate": "application/HTTP-SPNEGO-session-encrypted",
    "Kerberos": "application/HTTP-Kerberos-session-encrypted",
    "CredSSP": "application/HTTP-CredSSP-session-encrypted",
}
"""By scheme of the login."""

_SPOKEN = {"kerberos": "Kerberos", "ntlm": "NTLM"}

_NTLM = base64.b64encode(b"NTLMSSP").decode()[:9]
_TLS_RECORD = 16 * 1024
"""Bytes (MS-WSMV 2.2.9.1.3)."""

_BOUNDARY = b"--Encrypted Boundary"
_PART = re.compile(
    rb"--\s?Encrypted Boundary\r\n.*?Length=(\d+)\r\n--\s?Encrypted Boundary\r\n"
    rb"\s*Content-Type: application/octet-stream\r\n",
    re.DOTALL,
)


@dataclass
class Accounts:
    """Who may log in, and what was tried. `logins` are (scheme, whether it was let in).

    By CredSSP, whoever gives the right password is refused with `status` if there is one (an NTSTATUS), and
    `delegated` are the users and passwords that were handed over. `delegates` tells of each Kerberos login
    whether it came with a ticket to go on with. `bound_to` is a certificate (DER) to bind logins to, in
    place of the server's own; `mapped` is the one that leads to an account, in place of any that is valid.
    """

    user: str
    password: str
    schemes: tuple[str, ...]
    logins: list[tuple[str, bool]] = field(default_factory=list)
    status: int = 0
    delegated: list[tuple[str, str]] = field(default_factory=list)
    delegates: list[bool] = field(default_factory=list)
    bound_to: bytes | None = None
    mapped: bytes | None = None
    seen: list[str] = field(default_factory=list)
    """Schemes of all `Authorization` fields that came, whether they were offered or not."""

    def judge(self, scheme: str, right: bool) -> bool:
        """Note a login and say whether it is good."""
        self.logins.append((scheme, right))
        return right


class Security:
    """The state of one connection."""

    def __init__(
        self, accounts: Accounts, server_certificate: bytes | None, client_certificate: bytes | None
    ) -> None:
        self._accounts = accounts
        self._certificate = server_certificate
        self._client_certificate = client_certificate
        self._context: spnego.ContextProxy | None = None
        self._protocol = _SEALED_BY["Negotiate"]
        self._let_in = False
        self.last_token: str | None = None
        """What the client still needs, with the first answer after its login: SPNEGO's closing token."""

    def admit(self, authorization: str) -> tuple[bool, list[str]]:
        """Whether the request may pass; otherwise the `WWW-Authenticate` fields of the refusal."""
        scheme, _, credentials = authorization.partition(" ")
        if scheme:
            told = "NTLM in Negotiate" if credentials.startswith(_NTLM) and scheme == "Negotiate" else scheme
            self._accounts.seen.append(told)
        if scheme in ("NTLM", "Negotiate", "Kerberos", "CredSSP"):
            name = self._mechanism(scheme, credentials)
            return self._negotiate(scheme, name, credentials) if name else (False, self._offers())
        if scheme == "Basic" and "Basic" in self._accounts.schemes:
            told = base64.b64decode(credentials).decode()
            right = told == f"{self._accounts.user}:{self._accounts.password}"
            return self._accounts.judge("Basic", right), self._offers()
        if authorization == CERTIFICATE_SCHEME and "Certificate" in self._accounts.schemes:
            known = self._accounts.mapped in (None, self._client_certificate)
            return self._accounts.judge(
                "Certificate", bool(self._client_certificate) and known
            ), self._offers()
        return self._let_in, self._offers()

    def _mechanism(self, scheme: str, credentials: str) -> str | None:
        """What the token is of, if it may be: Negotiate carries Kerberos, NTLM, or SPNEGO around these."""
        wanted = {"NTLM": ("NTLM",), "Kerberos": ("Kerberos",), "CredSSP": ("CredSSP",)}.get(
            scheme, ("NTLM",) if credentials.startswith(_NTLM) else ("Kerberos", "NTLM")
        )
        return next((name for name in wanted if name in self._accounts.schemes), None)

    def unseal(self, content_type: str, body: bytes) -> bytes | None:
        """The message inside a sealed body; None if the body is not sealed."""
        if not content_type.startswith("multipart/"):
            return None
        assert self._context is not None
        assert f'protocol="{self._protocol}"' in content_type, content_type
        message, end = b"", body.rindex(_BOUNDARY + b"--\r\n")
        starts = list(_PART.finditer(body))
        for part, following in itertools.zip_longest(starts, starts[1:]):
            sealed = body[part.end() : following.start() if following else end]
            (size,) = struct.unpack("<I", sealed[:4])
            assert size == self._header_size(sealed[4:], int(part[1])), "the header has another length"
            piece = self._context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :])
            assert len(piece) == int(part[1])
            message += piece
        assert starts, body[:200]
        return message

    def _header_size(self, sealed: bytes, size: int) -> int:
        """What SSPI calls the token: all but the message, and for CredSSP the size of TLS's trailer."""
        if self._protocol != _SEALED_BY["CredSSP"]:
            return len(sealed) - size
        assert self._context is not None
        cipher, version, _ = self._context.get_extra_info("ssl_object").cipher()
        assert "GCM" in cipher, cipher
        return 17 if version == "TLSv1.3" else 16

    def seal(self, message: bytes) -> tuple[str, bytes]:
        """Content type and body of a sealed message; by CredSSP, in pieces that a TLS record can hold."""
        assert self._context is not None
        most = _TLS_RECORD if self._protocol == _SEALED_BY["CredSSP"] else len(message)
        pieces = [message[start : start + most] for start in range(0, len(message), most)]
        body = b""
        for piece in pieces:
            wrapped = self._context.wrap_winrm(piece)
            body += b"".join(
                [
                    _BOUNDARY + b"\r\n\tContent-Type: " + self._protocol.encode() + b"\r\n",
                    b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n" % len(piece),
                    _BOUNDARY + b"\r\n\tContent-Type: application/octet-stream\r\n",
                    struct.pack("<I", len(wrapped.header)) + wrapped.header + wrapped.data,
                ]
            )
        kind = "multipart/encrypted" if len(pieces) == 1 else "multipart/x-multi-encrypted"
        content_type = f'{kind};protocol="{self._protocol}";boundary="Encrypted Boundary"'
        return content_type, body + _BOUNDARY + b"--\r\n"

    def _negotiate(self, scheme: str, mechanism: str, credentials: str) -> tuple[bool, list[str]]:
        if self._context is None or self._context.complete:
            self._let_in = False
            self._context = self._acceptor(scheme, mechanism)
            self._protocol = _SEALED_BY[scheme]
        try:
            token = self._context.step(base64.b64decode(credentials))
        except (SpnegoError, SSLError, AttributeError):  # the last: pyspnego forgets that gssapi may say no
            return self._refuse(mechanism), self._offers()
        told = f"{scheme} {base64.b64encode(token or b'').decode()}"
        if self._context.complete:
            spoken = _SPOKEN.get(self._context.negotiated_protocol or "", mechanism)
            mechanism = mechanism if mechanism == "CredSSP" else spoken
            if mechanism not in self._accounts.schemes:
                return self._refuse(mechanism), self._offers()
            self._let_in = self._accounts.judge(mechanism, right=True)
            self.last_token = told if token else None
            self._take(self._context)
            return True, []
        if self._context.get_extra_info("auth_stage") == "Authentication failure":
            self._refuse(mechanism)
        return False, [told]

    def _refuse(self, mechanism: str) -> bool:
        self._context = None
        return self._accounts.judge(mechanism, right=False)

    def _acceptor(self, scheme: str, mechanism: str) -> spnego.ContextProxy:
        if mechanism == "CredSSP":
            inner = Judging(spnego.server(protocol="ntlm"), self._accounts)
            return spnego.server(protocol="credssp", credssp_negotiate_context=inner)
        if mechanism == "Kerberos":
            return spnego.server(protocol="kerberos", channel_bindings=self._bindings())
        protocol = "ntlm" if scheme == "NTLM" else "negotiate"
        return spnego.server(protocol=protocol, channel_bindings=self._bindings())

    def _take(self, context: spnego.ContextProxy) -> None:
        """Note what came with a good login."""
        given = context.get_extra_info("client_credential")
        if given is not None:
            self._accounts.delegated.append((given.username, given.password))
        if context.negotiated_protocol == "kerberos":
            self._accounts.delegates.append(bool(context.context_attr & spnego.ContextReq.delegate))

    def _bindings(self) -> GssChannelBindings | None:
        """RFC 5929 section 4: the hash of the server's certificate ties the login to this TLS connection."""
        bound_to = self._accounts.bound_to or self._certificate
        if bound_to is None:
            return None
        certificate = x509.load_der_x509_certificate(bound_to)
        digest = certificate.fingerprint(certificate.signature_hash_algorithm or hashes.SHA256())
        return GssChannelBindings(application_data=b"tls-server-end-point:" + digest)

    def _offers(self) -> list[str]:
        offers = {
            "NTLM": ["Negotiate", "NTLM"],
            "Kerberos": ["Negotiate", "Kerberos"],
            "CredSSP": ["CredSSP"],
            "Basic": ['Basic realm="WSMAN"'],
            "Certificate": [],
        }
        return [offer for scheme in self._accounts.schemes for offer in offers[scheme]]


class Judging:
    """NTLM's acceptor inside CredSSP, after whose last step the account may turn out to be of no use."""

    def __init__(self, inner: spnego.ContextProxy, accounts: Accounts) -> None:
        self._inner = inner
        self._accounts = accounts

    def step(self, token: bytes) -> bytes | None:
        """As the acceptor does, but a right password is not enough for an account with a `status`."""
        answer = self._inner.step(token)
        if self._inner.complete and self._accounts.status:
            error = SpnegoError(error_code=ErrorCode.failure)
            error._SSPI_CODE = self._accounts.status  # type: ignore[attr-defined] - what it tells the client
            raise error
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
