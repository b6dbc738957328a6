"""The second way to an NMI: a support bundle of the ESXi host, by the manifest for hung virtual machines.

`/cgi-bin/vm-support.cgi?manifests=HungVM:Send_NMI_To_Guest&vm=VMX` on the host that runs the machine takes a
ticket that is good for one request (AcquireGenericServiceTicket). The host sends the NMI while it makes the
bundle, about a minute after the request, and streams the bundle meanwhile. The account needs the privilege
Global.Diagnostics. The same door: knowledge.broadcom.com/external/article/301246.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pyVmomi import vim, vmodl

from collector.adapters.answers import NmiAnswer, NmiOutcome
from collector.adapters.limits import Deadline
from collector.adapters.tcp import place
from collector.adapters.vsphere_faults import UNSUPPORTED, words
from collector.adapters.vsphere_https import Https, Response, Server
from collector.adapters.vsphere_ladder import Rung, Tried
from collector.adapters.vsphere_properties import read
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import AdapterError, PeerFailedError

_PORT = 443
_MANIFEST = "HungVM:Send_NMI_To_Guest"
_COOKIE = "vmware_cgi_ticket"
_BLOCK = 64 * 1024
_SHA256_DIGITS = 64
_ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED}
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def support_bundle(session: VsphereSession, vm: Any) -> Rung:  # noqa: ANN401
    """The way over the ESXi host's CGI for support bundles; the bundle itself is thrown away."""
    return Rung("vm-support.cgi", lambda deadline: _send(session, vm, deadline))


def _send(session: VsphereSession, vm: Any, deadline: Deadline) -> Tried:  # noqa: ANN401
    door: Https | None = None
    asked = False
    try:
        server, path, ticket = _prepare(session, vm, deadline)
        door = Https(server)
        door.connect(deadline)
        asked = True
        with door.open("GET", path, deadline, headers={"Cookie": f"{_COOKIE}={ticket}"}) as response:
            return _judge(server, response, deadline)
    except vmodl.MethodFault as fault:
        return Tried(
            NmiAnswer(NmiOutcome.NOT_SENT, f"no ticket was given: {words(fault)}"),
            unsupported=isinstance(fault, UNSUPPORTED),
        )
    except AdapterError as error:
        if not asked:
            return Tried(NmiAnswer(NmiOutcome.NOT_SENT, f"nothing was asked of the host: {error.message}"))
        return Tried(NmiAnswer(NmiOutcome.UNCERTAIN, f"the request may be out, and then {error.message}"))
    finally:
        if door is not None:
            door.close()


def _prepare(session: VsphereSession, vm: Any, deadline: Deadline) -> tuple[Server, str, str]:  # noqa: ANN401
    """Where to ask, the path with its query, and the ticket for it. Only reads, and the ticket."""
    paths = ["runtime.host", "config.files.vmPathName", "config.datastoreUrl", "datastore"]
    (values,) = read(session, [vm], paths, deadline)
    server = session.server
    if session.vcenter and "runtime.host" in values:
        (host,) = read(session, [values["runtime.host"]], ["name"], deadline)
        server = replace(server, address=str(host.get("name", "")), port=_PORT)
    vmx = _mounted(session, values, deadline)
    path = f"/cgi-bin/vm-support.cgi?manifests={quote(_MANIFEST, safe='')}&vm={quote(vmx)}"
    spec = vim.SessionManager.HttpServiceRequestSpec(
        method="httpGet", url=f"https://{place(server.address, server.port).removesuffix(':443')}{path}"
    )
    session.stub.deadline = deadline
    ticket = session.content.sessionManager.AcquireGenericServiceTicket(spec)
    if session.vcenter:
        server = replace(server, trust=replace(server.trust, sha256=_fingerprint(ticket)))
    if not str(ticket.id).isalnum() and not str(ticket.id).replace("-", "").isalnum():
        raise PeerFailedError(f"{session.where} gave a ticket that is none", hint="Look at its log.")
    return server, path, str(ticket.id)


def _mounted(session: VsphereSession, values: Mapping[str, Any], deadline: Deadline) -> str:
    """The machine's .vmx as the host mounts it: the datastore's URL in place of its name in brackets."""
    written = str(values.get("config.files.vmPathName", ""))
    name, _, inside = written.removeprefix("[").partition("] ")
    urls = {each.name: each.url for each in values.get("config.datastoreUrl", [])}
    if name not in urls:
        stores = read(session, list(values.get("datastore", [])), ["name", "summary.url"], deadline)
        urls = {each.get("name"): each.get("summary.url", "") for each in stores}
    folder = str(urls.get(name, "")).removeprefix("ds://").rstrip("/")
    if not inside or not folder.startswith("/vmfs/volumes/"):
        raise PeerFailedError(
            f"{session.where} does not say where the machine's .vmx lies", hint="May the account see it?"
        )
    return f"{folder}/{inside}"


def _fingerprint(ticket: Any) -> str | None:  # noqa: ANN401
    """The host's certificate, as vCenter knows it (since 7.0.3.1); without it the CA decides."""
    for each in ticket.certThumbprintList or ():
        digits = str(each.thumbprint).replace(":", "").lower()
        if len(digits) == _SHA256_DIGITS:
            return digits
    return None


def _judge(server: Server, response: Response, deadline: Deadline) -> Tried:
    """What the answer proves. The bundle is read to its end: the host might give up when nobody listens."""
    status = response.status
    if status in _ABSENT or status in _REFUSED:
        detail = f"{server.url} answered with the HTTP status {status}"
        return Tried(NmiAnswer(NmiOutcome.NOT_SENT, detail), unsupported=status in _ABSENT)
    if status != HTTPStatus.OK:
        return Tried(NmiAnswer(NmiOutcome.UNCERTAIN, f"{server.url} answered with the HTTP status {status}"))
    try:
        while response.receive(_BLOCK, deadline):
            pass
    except (TimeoutError, AdapterError) as error:
        why = "the time was up" if isinstance(error, TimeoutError) else "the connection broke"
        detail = f"{server.url} took the request, and {why} while it made the bundle"
        return Tried(NmiAnswer(NmiOutcome.UNCERTAIN, detail))
    return Tried(NmiAnswer(NmiOutcome.SENT, f"{server.url} made the bundle that sends the NMI"))
