"""The support bundle of an ESXi host, made by its vCenter and fetched from there.

`DiagnosticManager.GenerateLogBundles_Task` has the host pack its logs, and the vCenter keeps the file for a
while; the account needs the privilege Global.Diagnostics. In the URL that comes back, `*` stands for the
server that was asked (vSphere Web Services API, DiagnosticManagerBundleInfo). No other server is asked for
it, for the session's cookie goes with the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.adapters.vsphere_https import Response, Stall
from collector.adapters.vsphere_session import VsphereSession
from collector.adapters.vsphere_tasks import result_of
from collector.errors import ForbiddenError, PeerFailedError, UnsupportedError

_BLOCK = 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/")
_PATH = re.compile(r"/[!-~]{1,2000}")  # visible ASCII
_PACKED = (b"\x1f\x8b", b"PK\x03\x04")  # RFC 1952 section 2.3.1; APPNOTE.TXT section 4.3.7
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def make_bundle(session: VsphereSession, host: Any, deadline: Deadline) -> str:  # noqa: ANN401
    """Have the bundle of the host made, and return the URL that the vCenter gives it.

    Raises:
        DeadlineError: it is not ready; the task goes on at the vCenter.
        ForbiddenError: the privilege is missing, and named.
        AdapterError: the vCenter, or the host, could not make it.
    """
    manager = session.content.diagnosticManager
    if manager is None:
        raise UnsupportedError(
            f"{session.where} makes no support bundles", hint="Run vm-support on the host by hand."
        )
    with session.asking(deadline):
        task = manager.GenerateLogBundles_Task(False, [host])
    made = result_of(session, task, "the support bundle", deadline)
    for each in made or ():
        if each.system is None or each.system == host:
            return str(each.url)
    raise PeerFailedError(
        f"{session.where} made no support bundle of this host", hint="Look at its recent tasks."
    )


def read_bundle(session: VsphereSession, url: str, offset: int, stall: float) -> Iterator[bytes]:
    """Yield the bundle's bytes from `offset` on, over a connection of its own.

    A server that does not know ranges sends it from the beginning, and that much is dropped.

    Raises:
        FileNotFoundError: the vCenter does not keep it any more.
        DeadlineError: not a byte came for `stall` seconds.
        AdapterError: it could not be fetched, or is no bundle.
    """
    path, soon = _path(session, url), Deadline.after(stall)
    with session.files() as (https, headers):
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with https.open("GET", path, soon, headers=headers) as response:
            if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return
            drop = _begun_before(session, response, offset)
            first = offset == 0
            clock = Stall(stall)
            try:
                while block := response.receive(_BLOCK, clock):
                    if first and not _begins_packed(block):
                        raise _no_bundle(session)
                    first = False
                    if drop < len(block):
                        yield block[drop:]
                    drop = max(0, drop - len(block))
            except TimeoutError as error:
                raise Patience("support bundle", stall=stall).error() from error


def _path(session: VsphereSession, url: str) -> str:
    """Path and query of the bundle on the server of the session. Raises: PeerFailedError."""
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").casefold()
    except ValueError as error:
        raise _elsewhere(session, url) from error
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if name not in ("*", session.server.address.casefold()) or not _PATH.fullmatch(path):
        raise _elsewhere(session, url)
    return path


def _begun_before(session: VsphereSession, response: Response, offset: int) -> int:
    """How many bytes come that are here already. Raises unless the answer is the file."""
    status = response.status
    if status == HTTPStatus.NOT_FOUND:
        raise FileNotFoundError("the support bundle")
    if status in _REFUSED:
        raise ForbiddenError(
            f"{session.where} does not give its support bundle to this account",
            hint="Add Global.Diagnostics to the account's role on the vCenter.",
        )
    begun = _RANGE.match(response.headers.get("content-range", ""))
    if status == HTTPStatus.PARTIAL_CONTENT and begun is not None and int(begun[1]) == offset:
        return 0
    if status == HTTPStatus.OK:
        return offset
    raise PeerFailedError(
        f"{session.where} answered with the HTTP status {status} for its support bundle",
        hint="Download it from the vCenter's recent tasks by hand.",
    )


def _begins_packed(block: bytes) -> bool:
    """True when it may be the beginning of a packed file, however few bytes it has."""
    return any(block[: len(magic)] == magic[: len(block)] for magic in _PACKED)


def _no_bundle(session: VsphereSession) -> PeerFailedError:
    return PeerFailedError(
        f"{session.where} sent something that is neither gzip nor zip for the support bundle",
        hint="A proxy may stand in the way: look at what it sends in a browser.",
    )


def _elsewhere(session: VsphereSession, url: str) -> PeerFailedError:
    shown = "".join(char for char in url[:200] if char.isprintable())
    return PeerFailedError(
        f"{session.where} says that the support bundle lies at {shown!r}, and that is not its own",
        hint="Download it by hand: the session of one server is not shown to another.",
    )
