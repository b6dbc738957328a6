"""What the double serves beside SOAP: files of datastores, their listing, and the CGI of support bundles."""

from __future__ import annotations

import fnmatch
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from pyVmomi import vim

from tests.peers.soap_server import Session
from tests.peers.vsphere_world import Datacenter, Datastore, Vm

if TYPE_CHECKING:
    from tests.peers.vsphere_double import VsphereDouble

Answer = tuple[int, dict[str, str], bytes]
MODIFIED = datetime(2026, 7, 1, 8, 0, 0, tzinfo=UTC)
SEND_NMI = "HungVM:Send_NMI_To_Guest"


def answer_file(double: VsphereDouble, path: str, session: Session | None, headers: Any) -> Answer:
    """Answer a GET of /folder, of /downloads or of /cgi-bin/vm-support.cgi."""
    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path.startswith("/folder/"):
        if session is None:
            return 401, {"WWW-Authenticate": 'Basic realm="VMware HTTP server"'}, b""
        return _file(double, unquote(parts.path.removeprefix("/folder/")), query, headers.get("Range", ""))
    if parts.path == urlsplit(double.bundle_url).path:
        if session is None:
            return 401, {}, b""
        wanted = headers.get("Range", "") if double.bundle_ranges else ""
        return _ranged(double.bundle, wanted)
    if parts.path == "/cgi-bin/vm-support.cgi":
        return _bundle(double, path, query, headers.get("Cookie", ""))
    return 404, {}, b""


def _file(double: VsphereDouble, path: str, query: dict[str, str], wanted: str) -> Answer:
    centers = [node for node in double.world.nodes.values() if isinstance(node, Datacenter)]
    center = next((each for each in centers if each.path() == query.get("dcPath")), None)
    stores = center.datastores if center else []
    store = next((each for each in stores if each.name == query.get("dsName")), None)
    data = store.files.get(path) if store else None
    if data is None:
        return 404, {}, b""
    if double.file_status is not None:
        return double.file_status, {}, data
    return _ranged(data, wanted)


def _ranged(data: bytes, wanted: str) -> Answer:
    if not wanted:
        return 200, {"Accept-Ranges": "bytes"}, data
    start = int(wanted.removeprefix("bytes=").split("-")[0])
    if start >= len(data):
        return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
    return 206, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:]


def _bundle(double: VsphereDouble, path: str, query: dict[str, str], cookies: str) -> Answer:
    """A support bundle by a ticket that is good once, and for this very request only."""
    cookie = SimpleCookie(cookies).get("vmware_cgi_ticket")
    url = double.tickets.pop(cookie.value, None) if cookie else None
    if url is None or url.partition("/cgi-bin")[2] != path.partition("/cgi-bin")[2]:
        return 401, {}, b""
    if double.cgi_status != 200:
        return double.cgi_status, {}, b""
    if query.get("manifests") == SEND_NMI:
        for vm in double.world.vms():
            if query.get("vm") == _mounted(vm):
                double.after(double.cgi_delay, vm.nmi)
    return 200, {"Content-Type": "application/octet-stream"}, b"\x1f\x8b" + bytes(100)


def _mounted(vm: Vm) -> str:
    assert vm.datastore is not None
    return f"{vm.datastore.url}/{vm.vmx.partition('] ')[2]}"


def search(store: Datastore, path: str, spec: Any) -> Any:
    """The direct children of a folder."""
    inside = path.partition("]")[2].strip().strip("/")
    prefix = f"{inside}/" if inside else ""
    names = {name[len(prefix) :] for name in store.files if name.startswith(prefix)}
    if not names:
        raise vim.fault.FileNotFound(msg=f"File {path} was not found", file=path)
    patterns = spec.matchPattern if spec else ["*"]  # a specification without any matches nothing in govmomi
    children = sorted({name.split("/")[0] for name in names})
    fitting = [name for name in children if any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    entries = [_entry(store, prefix + name, name) for name in fitting]
    return vim.host.DatastoreBrowser.SearchResults(datastore=store.ref, folderPath=path, file=entries)


def _entry(store: Datastore, path: str, name: str) -> Any:
    data = store.files.get(path)
    if data is None:
        return vim.host.DatastoreBrowser.FolderInfo(path=name, modification=MODIFIED)
    when = store.modified.get(path, MODIFIED)
    return vim.host.DatastoreBrowser.FileInfo(path=name, fileSize=len(data), modification=when)
