"""pywinrm, with the doors closed that it leaves open. Imported by `winrm_worker` only.

What is done in place of pywinrm 0.5.0, and why:

* Redirects are not followed, and a proxy's demand for a login (407) is not answered: both would hand the
  request, or the login, to somebody else.
* Over HTTP nothing is sent before message encryption stands, and no answer is believed that was not sealed.
* One login a session. A 401 that comes later is not answered with the credential again.
* Answers are bounded. Neither proxies nor CAs nor logins are taken from the environment.
"""

from __future__ import annotations

import ssl
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of one answer; we ask for envelopes of 150 KiB, and sealing adds little."""

MAX_REFUSAL = 64 * 1024
"""Bytes of the body of a 401, which is read into memory by the libraries beneath."""

ACCESS_DENIED = 5
"""Code of a WSManFault (winerror.h)."""

UNAUTHORIZED, PROXY_LOGIN = 401, 407

_IDENTIFY = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    "<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)
"""DSP0226 section 11."""


class Failure(Exception):  # noqa: N818 - it is told to the parent, which makes errors of it
    """What went wrong, by one of the kinds that `winrm_session` knows."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(kind, words)
        self.kind = kind
        self.words = words


class Conversation:
    """One login to a WinRM service and what is said after it, on one TCP connection."""

    NothingYet = WinRMOperationTimeoutError
    """Raised by `get_command_output_raw` when the command wrote nothing for as long as a Receive waits."""

    def __init__(self, target: Mapping[str, Any]) -> None:
        self._encrypts = not target["url"].startswith("https:")
        self._ntlm = target["transport"] == "ntlm"
        self._logged_in = False
        self._adapter = _Direct(target["ca_file"], target["verify"])
        self.protocol = Protocol(
            endpoint=target["url"],
            transport=target["transport"],
            username=target["user"],
            password=target["password"],
            cert_pem=target["certificate"],
            cert_key_pem=target["key"],
            ca_trust_path=target["ca_file"],
            server_cert_validation="validate" if target["verify"] else "ignore",
            message_encryption="always" if self._encrypts else "auto",
            proxy=None,
        )
        self._transport = self.protocol.transport
        self._transport._send_message_request = self._send  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        self._transport.build_session()
        if self._encrypts and (self._transport.encryption is None or not self._logged_in):
            raise Failure("clear", "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close_session()

    def patience(self, until: float, longest: int) -> None:
        """How long the next operation may take on the server. Raises: Failure."""
        left = until - time.monotonic()
        if left <= 0:
            raise Failure("late", "")
        self.protocol.operation_timeout_sec = max(1, min(longest, int(left)))
        self._transport.read_timeout_sec = self.protocol.operation_timeout_sec + 10

    def identify(self) -> None:
        """Ask who is there: the smallest request that needs a login. Raises: Failure, WinRMError."""
        if b"IdentifyResponse" not in self.protocol.send_message(_IDENTIFY):
            raise Failure("foreign", "it does not answer as WinRM does")

    def _send(
        self, session: requests.Session, prepared_request: requests.PreparedRequest
    ) -> requests.Response:
        """Put one request on the wire, log in if it is the first, and take in a bounded answer."""
        request = prepared_request
        session.trust_env = False
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        if self._encrypts and request.body and not _is_sealed(request.headers):
            raise Failure("clear", "")
        if self._ntlm and self._logged_in:
            request.hooks["response"] = []
        response = session.send(
            request, timeout=self._transport.read_timeout_sec, allow_redirects=False, stream=True
        )
        response._content = _bounded(response)
        if response.status_code == UNAUTHORIZED:
            raise Failure("lost" if self._logged_in else "refused", "")
        if response.is_redirect:
            raise Failure("foreign", f"it sends us elsewhere with HTTP {response.status_code}")
        sealed = _is_sealed(response.headers)
        if not response.ok:
            text = self._transport._get_message_response_text(response) if sealed else response.content
            raise WinRMTransportError("http", response.status_code, text.decode("utf-8", "replace"))
        if self._encrypts and response.content and not sealed:
            raise Failure("foreign", f"it answers in the clear with HTTP {response.status_code}")
        self._logged_in = not self._ntlm or bool(getattr(session.auth, "session_security", None))
        return response


class _Direct(HTTPAdapter):
    """A connection to the host and to nobody else. Without a CA file, the system's CAs are trusted, too."""

    def __init__(self, ca_file: str | None, verify: bool) -> None:
        self._context = ssl.create_default_context(cafile=ca_file)
        if not verify:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests has it
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        response = super().send(request, *args, **kwargs)
        if response.status_code == PROXY_LOGIN:
            raise Failure("foreign", "a proxy stands in between, and wants a login of its own (HTTP 407)")
        length = response.headers.get("Content-Length", "")
        if response.status_code == UNAUTHORIZED and not (length.isdigit() and int(length) <= MAX_REFUSAL):
            raise Failure("foreign", "it refuses the login at endless length")
        return response


def explain(error: Exception) -> Failure:
    """Make a failure of whatever pywinrm and the libraries beneath it raise."""
    kind, words = "peer", f"{type(error).__name__}: {error}"
    match error:
        case Failure():
            return error
        case InvalidCredentialsError():
            kind, words = "refused", ""
        case WSManFaultError():
            kind = "forbidden" if error.wsman_fault_code == ACCESS_DENIED else "peer"
            words = f"{error.reason} (WSManFault {error.wsman_fault_code})"
        case WinRMTransportError():
            kind, words = "status", f"HTTP {error.code}"
        case WinRMOperationTimeoutError() | requests.Timeout():
            kind, words = "silent", ""
        case requests.ConnectionError():
            return _connection_failure(error)
        case ET.ParseError() | StopIteration() | PermissionError():
            kind, words = "foreign", "it does not answer as WinRM does"
        case WinRMError() if "not installed" in str(error):
            kind, words = "extra", str(error)
        case _ if "kerberos" in type(error).__module__:
            kind, words = "refused", str(error)
    return Failure(kind, words)


def _connection_failure(error: requests.ConnectionError) -> Failure:
    words = _innermost(error)
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return Failure("certificate", words)
    return Failure("foreign" if isinstance(error, requests.exceptions.SSLError) else "unreachable", words)


def _innermost(error: BaseException) -> str:
    """The operating system's or OpenSSL's own words, without the layers of libraries around them."""
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        parts = (getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((part for part in parts if isinstance(part, BaseException)), None)
    return str(error)


def _is_sealed(headers: Mapping[str, Any]) -> bool:
    return str(headers.get("Content-Type", "")).startswith("multipart/")


def _bounded(response: requests.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_content(64 * 1024):
        body += piece
        if len(body) > MAX_ANSWER:
            response.close()
            raise Failure("foreign", f"it answers with more than {MAX_ANSWER} bytes")
    return bytes(body)
