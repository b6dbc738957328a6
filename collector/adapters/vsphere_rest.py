"""A session with the REST side of a vCenter: it knows the tags, which the SOAP side does not.

Since 7.0 U2 the services are below /api; before that (6.5 and later) below /rest, which wraps every answer in
`{"value": ...}` and writes identifiers and actions differently.
Source: developer.broadcom.com/xapis/vsphere-automation-api, cis/session and cis/tagging.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_https import Answer, Https, Server
from collector.errors import (
    AdapterError,
    ForbiddenError,
    InventoryError,
    LoginRefusedError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)

T = TypeVar("T")

_LARGEST = 16 * 1024 * 1024
"""Bytes of an answer. 100,000 identifiers of tags have eight million."""
_API_SINCE = (7, 0, 2)
_SESSION_HEADER = "vmware-api-session-id"
_SESSION_ID = re.compile(r"[\x21-\x7e]{1,4096}")
_GOODBYE_S = 2.0
_NOT_REST = "Is this a vCenter? Check address and port, and its vAPI endpoint service."
_WRAPPED = TypeAdapter(dict[str, Any])
_TEXT = TypeAdapter(str)


class RestSession:
    """Logs in on construction, once; `close` it. One thread at a time.

    Args:
        server: where it is, and how it is proved.
        user: name, as `name@domain`.
        password: only put into the header of the login.
        api_version: what the SOAP side says of itself, such as 8.0.3.0.
        deadline: when to give up.

    Raises:
        UnreachableError, DeadlineError: it is not there, or silent.
        HostKeyError: its certificate is not proved; no credential was sent.
        LoginRefusedError: it said no; it was asked once.
        InventoryError: no such user can log in here.
        UnsupportedError: it has no REST API.
        PeerFailedError: it does not speak it.
    """

    def __init__(
        self, server: Server, user: str, password: str, api_version: str, deadline: Deadline
    ) -> None:
        self.where = server.url
        self._modern = _numbers(api_version) >= _API_SINCE
        self._door = "/api/session" if self._modern else "/rest/com/vmware/cis/session"
        self._https = Https(server)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            self._headers[_SESSION_HEADER] = self._log_in(user, password, deadline)
        except BaseException:
            self._https.close()
            raise

    def read(self, service: str, item: str | None, kind: TypeAdapter[T], deadline: Deadline) -> T | None:
        """One item of a service of cis/tagging, or with None the identifiers of all. None if it is gone.

        Raises: AdapterError.
        """
        path = self._path(service, item)
        answer = self._ask("GET", path, deadline)
        if item is not None and answer.status == HTTPStatus.NOT_FOUND:
            return None
        return self._parsed(self._accepted(answer, path), kind)

    def act(
        self,
        service: str,
        action: str,
        body: Mapping[str, object],
        kind: TypeAdapter[T],
        deadline: Deadline,
        *,
        before_api: str | None = None,
    ) -> T:
        """What an action of a service answers; those of use here only read.

        Args:
            service: of cis/tagging.
            action: its name.
            body: its arguments.
            kind: of the answer.
            deadline: when to give up.
            before_api: the item in whose path /rest has this action.

        Raises: AdapterError.
        """
        path = self._path(service, None if self._modern else before_api)
        path += f"?{'' if self._modern else '~'}action={action}"
        answer = self._ask("POST", path, deadline, json.dumps(body).encode())
        return self._parsed(self._accepted(answer, path), kind)

    def close(self) -> None:
        """Log out, if that takes no longer than two seconds: an idle session ends by itself."""
        try:
            with contextlib.suppress(AdapterError):
                self._ask("DELETE", self._door, Deadline.after(_GOODBYE_S))
        finally:
            self._https.close()

    def _log_in(self, user: str, password: str, deadline: Deadline) -> str:
        if ":" in user:  # RFC 7617, section 2: it ends the name
            raise InventoryError(
                f"a user with a colon in the name cannot log in to the REST API of {self.where}",
                hint="Use another account, or leave the tags out.",
            )
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {**self._headers, "Authorization": f"Basic {secret}"}
        answer = self._https.ask("POST", self._door, deadline, headers=headers, limit=_LARGEST)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise LoginRefusedError(
                f"{self.where} refused the login to its REST API",
                hint="Correct user (name@domain) and password, and its role. It was tried once.",
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            raise UnsupportedError(f"{self.where} has no REST API", hint="Tags need vCenter 6.5 or later.")
        found = self._parsed(self._accepted(answer, self._door), _TEXT)
        if not _SESSION_ID.fullmatch(found):
            raise PeerFailedError(f"{self.where} gave a session that is none", hint=_NOT_REST)
        return found

    def _path(self, service: str, item: str | None) -> str:
        if self._modern:
            return f"/api/cis/tagging/{service}" + ("" if item is None else f"/{quote(item, safe=':')}")
        place = f"/rest/com/vmware/cis/tagging/{service}"
        return place + ("" if item is None else f"/id:{quote(item, safe=':')}")

    def _ask(self, method: str, path: str, deadline: Deadline, body: bytes = b"") -> Answer:
        return self._https.ask(method, path, deadline, headers=self._headers, limit=_LARGEST, body=body)

    def _accepted(self, answer: Answer, path: str) -> bytes:
        """The body of a good answer."""
        denied = answer.status == HTTPStatus.UNAUTHORIZED and b"unauthorized" in answer.body.lower()
        if denied or answer.status == HTTPStatus.FORBIDDEN:
            raise ForbiddenError(
                f"this account may not read tags at {self.where}",
                hint="Add System.Read on the tags, and on what they are attached to, to its role.",
            )
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise UnreachableError(
                f"the REST session at {self.where} is over", hint="Log in again: idle sessions end."
            )
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            raise PeerFailedError(
                f"{self.where} answered {path.partition('?')[0]} with the HTTP status {answer.status}",
                hint=_NOT_REST,
            )
        return answer.body

    def _parsed(self, body: bytes, kind: TypeAdapter[T]) -> T:
        try:
            if self._modern:
                return kind.validate_json(body)
            value = _WRAPPED.validate_json(body).get("value")
            return kind.validate_python([] if value is None else value)  # no items, as some write it
        except ValidationError as error:
            raise PeerFailedError(
                f"{self.where} answered with something that is not its REST API", hint=_NOT_REST
            ) from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]{1,5}", version)[:3])
