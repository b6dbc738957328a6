"""pywinrm, with the doors closed that it leaves open. Imported by `winrm_worker` only.

What is done in place of pywinrm 0.5.0, and why:

* Redirects are not followed, and a proxy's demand for a login (407) is not answered: both would hand the
  request, or the login, to somebody else.
* Over HTTP nothing is sent before message encryption stands, and no answer is believed that was not sealed.
* One login a session, by `winrm_login`. A 401 that comes later is not answered with the credential again.
* Answers are bounded. Neither proxies nor CAs nor logins are taken from the environment.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from winrm.exceptions import WinRMOperationTimeoutError, WinRMTransportError
from winrm.protocol import Protocol

from collector.adapters.winrm_failure import Failure
from collector.adapters.winrm_login import UNAUTHORIZED, Answer, Sealing, log_in

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of one answer; we ask for envelopes of 150 KiB, and sealing adds little."""

MAX_REFUSAL = 64 * 1024
"""Bytes of the body of a 401, which is read into memory by the libraries beneath."""

PROXY_LOGIN = 407

_IDENTIFY = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    "<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
)
"""DSP0226 section 11."""

_NO_WINRM = "it does not answer as WinRM does"


class Conversation:
    """One login to a WinRM service and what is said after it, on one TCP connection."""

    NothingYet = WinRMOperationTimeoutError
    """Raised by `get_command_output_raw` when the command wrote nothing for as long as a Receive waits."""

    def __init__(self, target: Mapping[str, Any]) -> None:
        self._target = target
        self._encrypts = not target["url"].startswith("https:")
        self._logged_in = False
        self._certificate: bytes | None = None
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
            proxy=None,
        )
        self._transport = self.protocol.transport
        self._transport._send_message_request = self._send  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        transport = self._target["transport"]
        if transport in ("basic", "certificate"):
            self._transport.build_session()
        else:
            session = self._transport.session = requests.Session()
            session.headers.update(self._transport.default_headers)
            session.verify = self._target["verify"]
            context = log_in(self._target, self._ask)
            self._logged_in = True
            if self._encrypts:
                self._transport.encryption = Sealing(session, transport, context)
        if self._encrypts and self._transport.encryption is None:
            raise Failure("clear")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close_session()

    def patience(self, until: float, longest: int) -> None:
        """How long the next operation may take on the server. Raises: Failure."""
        left = until - time.monotonic()
        if left <= 0:
            raise Failure("late")
        self.protocol.operation_timeout_sec = max(1, min(longest, int(left)))
        self._transport.read_timeout_sec = self.protocol.operation_timeout_sec + 10

    def identify(self) -> None:
        """Ask who is there: the smallest request that needs a login. Raises: Failure, WinRMError."""
        if b"IdentifyResponse" not in self.protocol.send_message(_IDENTIFY):
            raise Failure("foreign", _NO_WINRM)

    def _ask(self, authorization: str | None) -> Answer:
        """Put one message of a login on the wire. Over HTTP it has no body: nothing could seal it yet."""
        session = self._transport.session
        assert session is not None
        request = session.prepare_request(
            requests.Request("POST", self._target["url"], data=None if self._encrypts else _IDENTIFY)
        )
        if authorization is not None:
            request.headers["Authorization"] = authorization
        response = self._exchange(session, request)
        if response.status_code != UNAUTHORIZED:
            self._require_success(response)
            self._require_winrm(response.content)
        fields = response.raw.headers.getlist("WWW-Authenticate")
        told = [part.strip() for field in fields for part in field.split(",")]
        return Answer(response.status_code, tuple(told), self._certificate)

    def _send(
        self, session: requests.Session, prepared_request: requests.PreparedRequest
    ) -> requests.Response:
        """Put one request of pywinrm's on the wire, sealed where that must be, and take in its answer."""
        if self._encrypts and not _is_sealed(prepared_request.headers):
            raise Failure("clear")
        response = self._exchange(session, prepared_request)
        if response.status_code == UNAUTHORIZED:
            raise Failure("lost" if self._logged_in else "refused")
        self._require_success(response)
        if self._encrypts and response.content and not _is_sealed(response.headers):
            raise Failure("foreign", f"it answers in the clear with HTTP {response.status_code}")
        self._logged_in = True
        return response

    def _exchange(self, session: requests.Session, request: requests.PreparedRequest) -> requests.Response:
        """Put one request on the wire, and take in a bounded answer."""
        session.trust_env = False
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        response = session.send(
            request, timeout=self._transport.read_timeout_sec, allow_redirects=False, stream=True
        )
        connection = getattr(response.raw.connection, "sock", None)
        self._certificate = connection.getpeercert(True) if isinstance(connection, ssl.SSLSocket) else None
        response._content = _bounded(response)
        if response.is_redirect:
            raise Failure("foreign", f"it sends us elsewhere with HTTP {response.status_code}")
        return response

    def _require_winrm(self, content: bytes) -> None:
        """Raises: Failure: nobody answers so who was asked with `_IDENTIFY`, or over HTTP with nothing."""
        if self._encrypts and content:
            raise Failure("foreign", "it answers in the clear")
        if not self._encrypts and b"IdentifyResponse" not in content:
            raise Failure("foreign", _NO_WINRM)

    def _require_success(self, response: requests.Response) -> None:
        """Raises: WinRMTransportError: the answer is an error; pywinrm looks for a fault in its text."""
        if not response.ok:
            sealed = self._transport.encryption is not None and _is_sealed(response.headers)
            text = self._transport._get_message_response_text(response) if sealed else b""
            if not self._encrypts:
                text = response.content
            raise WinRMTransportError("http", response.status_code, text.decode("utf-8", "replace"))


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
