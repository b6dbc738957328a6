"""Logins that take several messages, by pyspnego: NTLM, Kerberos, CredSSP. Only `winrm_worker` imports it.

pywinrm's own ways to log in are not used, for what they do in pywinrm 0.5.0:

* its Kerberos answers a 401 twice more, and believes an answer with an error although nobody proved anything;
* its CredSSP takes a 200 in the middle of the login for its end: whoever answers so, is believed. It also
  logs in to hosts that lack the cure for CVE-2018-0886, which hand the login to a man in the middle.

Here a login is tried once, by the one protocol that was asked for, and it is over when the host has said 200
*and* the context is complete: with Kerberos and CredSSP the host has then proved who it is.
"""

from __future__ import annotations

import base64
import contextlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import spnego
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError
from winrm.encryption import Encryption

from collector.adapters import kerberos
from collector.adapters.winrm_failure import Failure, explain

_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "ntlm": ("Negotiate", "NTLM"),
    "kerberos": ("Negotiate", "Kerberos"),
    "credssp": ("CredSSP",),
}
"""By transport: the schemes of HTTP that carry it, the better one first (MS-WSMV 2.2.9.1, RFC 4559)."""

_MAX_LEGS = 16
"""Messages of a login. CredSSP takes eight: TLS, NTLM inside it, two keys and a password."""

_CREDSSP_VERSION = 5
"""The first that binds the login to the host's key as CVE-2018-0886 demands (MS-CSSP 2.2.1)."""

UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said to one message of a login. `certificate` is its own, in DER, if there is TLS."""

    status: int
    fields: tuple[str, ...]
    certificate: bytes | None

    def token(self, scheme: str) -> bytes | None:
        """What it says in its turn, by this scheme. Raises: Failure."""
        for field in self.fields:
            name, _, text = field.partition(" ")
            if name.lower() == scheme.lower() and text:
                try:
                    return base64.b64decode(text, validate=True)
                except ValueError:
                    raise Failure("foreign", "its part of the login is not Base64") from None
        return None


def log_in(target: Mapping[str, Any], ask: Callable[[str | None], Answer]) -> spnego.ContextProxy:
    """Log in once. `ask` sends a request with such an `Authorization` field, over one TCP connection.

    Raises:
        Failure: refused, not offered, or the host did not prove itself.
        SpnegoError: a step failed on this side.
    """
    first = ask(None)
    if first.status != UNAUTHORIZED:
        raise Failure("foreign", "it wants no login")
    scheme = _choice(target["transport"], first.fields)
    context = _context(target, first.certificate)
    token = context.step()
    for _ in range(_MAX_LEGS):
        answer = ask(f"{scheme} {base64.b64encode(token or b'').decode()}")
        said = answer.token(scheme)
        if answer.status == UNAUTHORIZED and (not said or _has_said_all(context)):
            raise Failure("refused")
        token = _hear(context, said, answer) if said and not _has_said_all(context) else None
        if answer.status != UNAUTHORIZED:
            if not context.complete:
                raise Failure("unproved", "it lets us in all the same")
            return context
        if token is None:
            raise Failure("unproved", "it wants more than the login has")
    raise Failure("foreign", "its login has no end")


def _hear(context: spnego.ContextProxy, said: bytes, answer: Answer) -> bytes | None:
    """Our next message. Raises: Failure, SpnegoError."""
    try:
        return context.step(said)
    except SpnegoError as error:
        if context.protocol != "kerberos":
            raise
        failure = explain(error)
        if answer.status != UNAUTHORIZED:
            raise Failure("unproved", failure.words) from error
        # KRB-ERROR. Anybody may have written it: it tells the clocks from the rest, and proves nothing.
        kind = failure.kind if failure.kind == "clock" else "refused"
        raise Failure(kind, failure.words) from error
    except Exception as error:  # pyspnego's readers fail in many ways on what makes no sense
        raise Failure("unproved", f"{type(error).__name__}: {error}") from error


def _has_said_all(context: spnego.ContextProxy) -> bool:
    """Whether nothing that the host may still say matters; CredSSP's last word may be why it refuses us."""
    return context.complete and context.protocol != "credssp"


def _choice(transport: str, fields: tuple[str, ...]) -> str:
    """The scheme to use of those that the host offers; never one that carries another protocol."""
    offered = [field.split(" ")[0] for field in fields]
    for scheme in _SCHEMES[transport]:
        if scheme.lower() in (name.lower() for name in offered):
            return scheme
    raise Failure("scheme", ", ".join(offered) or "nothing")


def _context(target: Mapping[str, Any], certificate: bytes | None) -> spnego.ContextProxy:
    """Our side of a login. Nothing is delegated but by CredSSP, whose purpose it is. Raises: Failure."""
    transport = target["transport"]
    login: dict[str, Any] = {
        "username": target["user"] or None,
        "password": target["password"] or None,
        "hostname": urlsplit(target["url"]).hostname,
        "service": "HTTP",
    }
    more: dict[str, Any] = {}
    try:
        if transport == "credssp":
            # By NTLM alone: where Kerberos fails first, the same wrong password would be tried twice.
            inner = spnego.client(**login, protocol="ntlm")
            more = {"credssp_negotiate_context": inner, "credssp_min_protocol": _CREDSSP_VERSION}
        return spnego.client(**login, **more, channel_bindings=_bindings(certificate), protocol=transport)
    except ImportError as error:
        raise Failure("extra", str(error)) from error
    except Exception as error:
        if (found := kerberos.kind_of(error)) is not None:
            raise Failure(*found) from error
        raise


def _bindings(certificate: bytes | None) -> GssChannelBindings | None:
    """RFC 5929 section 4: the hash of the host's certificate ties the login to this TLS connection."""
    if certificate is None:
        return None
    algorithm: hashes.HashAlgorithm | None = None
    with contextlib.suppress(UnsupportedAlgorithm, ValueError):  # then SHA-256, as for what is too weak
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())


class Sealing(Encryption):
    """Messages sealed by the context of the login (MS-WSMV 2.2.9.1), in pywinrm's framing."""

    def __init__(self, session: requests.Session, transport: str, context: spnego.ContextProxy) -> None:
        super().__init__(session, transport)
        self._build_message = lambda message, host: _seal(context, message)
        self._decrypt_message = lambda encrypted_data, host: _open(context, encrypted_data)

    def parse_encrypted_response(self, response: requests.Response) -> bytes:
        """pywinrm's takes an answer that names no protocol for one in the clear, and believes it."""
        return self._decrypt_response(response, None) if response.content else b""


def _seal(context: spnego.ContextProxy, message: bytes) -> bytes:
    sealed = context.wrap_winrm(message)
    return struct.pack("<i", len(sealed.header)) + sealed.header + sealed.data


def _open(context: spnego.ContextProxy, data: bytes) -> bytes:
    size = 4 + int.from_bytes(data[:4], "little")
    return context.unwrap_winrm(data[4:size], data[size:])
