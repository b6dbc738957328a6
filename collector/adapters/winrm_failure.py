"""What went wrong in a WinRM session, by kind. Only `winrm_worker` imports it, and tells it to the parent.

Kinds come from numbers and from types, never from a message: hosts and libraries may speak any language.
"""

from __future__ import annotations

import ssl
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import requests
from spnego.exceptions import SpnegoError
from winrm.exceptions import WinRMOperationTimeoutError, WinRMTransportError, WSManFaultError

from collector.adapters import kerberos
from collector.adapters.logon_status import REFUSED, UNJUDGED

ACCESS_DENIED = 5
"""Code of a WSManFault (winerror.h)."""

_GATEWAY = (502, 504)
"""What only somebody in between says of a server (RFC 9110 sections 15.6.3 and 15.6.5)."""

_ALERTS = (
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
)
"""TLS alerts by which a server says no to our certificate (RFC 8446 section 6.2), in OpenSSL's names."""


class Failure(Exception):  # noqa: N818 - it is told to the parent, which makes errors of it
    """What went wrong, by one of the kinds that `winrm_errors` knows."""

    def __init__(self, kind: str, words: str = "") -> None:
        super().__init__(kind, words)
        self.kind = kind
        self.words = words


def explain(error: Exception) -> Failure:
    """Make a failure of whatever pywinrm and the libraries beneath it raise."""
    kind, words = "peer", f"{type(error).__name__}: {error}"
    match error:
        case Failure():
            return error
        case SpnegoError():
            return _login_failure(error)
        case WSManFaultError():
            kind = "forbidden" if error.wsman_fault_code == ACCESS_DENIED else "peer"
            words = f"{error.reason} (WSManFault {error.wsman_fault_code})"
        case WinRMTransportError() if error.code in _GATEWAY:
            kind, words = "foreign", f"a proxy answers in its place with HTTP {error.code}"
        case WinRMTransportError():
            kind, words = "status", f"HTTP {error.code}"
        case WinRMOperationTimeoutError() | requests.Timeout():
            kind, words = "silent", ""
        case requests.ConnectionError():
            return _connection_failure(error)
        case ET.ParseError() | StopIteration() | PermissionError():
            kind, words = "foreign", "it does not answer as WinRM does"
    return Failure(kind, words)


def _login_failure(error: SpnegoError) -> Failure:
    """Of a step on this side: Kerberos found something wrong, or what the host sent proves nothing."""
    if (cause := error.base_error) is None:
        return Failure("unproved", error.message)
    status = getattr(cause, "winerror", None)  # as CredSSP hands it on (errorCode, MS-CSSP 2.2.1)
    if status is not None:
        code = status & 0xFFFFFFFF
        if code in UNJUDGED:
            return Failure("unjudged", f"{UNJUDGED[code]} (NTSTATUS 0x{code:08X})")
        return Failure("refused", f"{REFUSED.get(code, 'the host says')} (NTSTATUS 0x{code:08X})")
    return Failure(*(kerberos.kind_of(error) or ("kerberos", error.message)))


def _connection_failure(error: requests.ConnectionError) -> Failure:
    causes = list(_causes(error))
    words = str(causes[-1])
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure("certificate", words)
        if isinstance(cause, ssl.SSLError) and (cause.reason or "").endswith(_ALERTS):
            return Failure("refused", f"it does not take our certificate ({cause.reason})")
    return Failure("foreign" if isinstance(error, requests.exceptions.SSLError) else "unreachable", words)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what is inside it: last, the operating system's or OpenSSL's own words."""
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        yield error
        parts = (getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((part for part in parts if isinstance(part, BaseException)), None)
