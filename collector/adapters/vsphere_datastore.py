"""Files on the datastores of a vCenter or an ESXi host, over HTTPS.

A path is `/NAME/folder/file`, with the datastore's name, or as ESXi mounts it, `/vmfs/volumes/NAME/...` or
`/vmfs/volumes/UUID/...`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Self

from collector.adapters.answers import FileKind, RemoteFile
from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.adapters.vsphere import VsphereEndpoint, log_in
from collector.adapters.vsphere_https import Response, Stall
from collector.errors import ForbiddenError, InventoryError, PeerFailedError, UnreachableError
from collector.model.host import Credential, Endpoint

if TYPE_CHECKING:
    from collector.adapters.vsphere_session import VsphereSession

_BLOCK = 1024 * 1024
_MOUNTS = "/vmfs/volumes"
_RANGE = re.compile(r"bytes (\d+)-\d+/")


@dataclass(frozen=True, slots=True)
class _Store:
    """A datastore: its reference, its browser, and the last part of its URL."""

    name: str
    ref: Any
    browser: Any
    uuid: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A path: on which datastore, where inside it (without a leading slash), and as the caller wrote it."""

    store: _Store
    inside: str
    written: str


class VsphereDatastore:
    """Implements `Adapter`, `Files` and `Notices`. Listing is for one thread; files may be read beside it.

    A channel into an ESXi host. It does not lead into virtual machines: of those, it has disks and memory.
    Listing starts a short task at the server. Raises on entry what `VsphereController` does.
    """

    settings: ClassVar[type[Endpoint]] = VsphereEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, VsphereEndpoint)
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._entered: VsphereSession | None = None
        self._stores: list[_Store] = []

    @property
    def notices(self) -> tuple[str, ...]:
        """Whether nobody verified the certificate."""
        return self._endpoint.warnings

    def __enter__(self) -> Self:
        session = log_in(self._endpoint, self._credential, self._deadline)
        try:
            self._stores = _stores(session, self._endpoint.datacenter, self._deadline)
        except BaseException:
            session.close()
            raise
        self._entered = session
        return self

    def __exit__(self, *exc: object) -> None:
        if self._entered is not None:
            self._entered.close()
            self._entered = None

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Direct children; those of `/` and of `/vmfs/volumes` are the datastores."""
        if folder.rstrip("/") in {"", _MOUNTS}:
            top = folder.rstrip("/")
            return [RemoteFile(f"{top}/{each.name}", FileKind.FOLDER, 0, 0.0) for each in self._stores]
        place = self._place(folder)
        return list(self._children(place, place.inside, place.written.rstrip("/"), deadline))

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """From a listing of the folder that it lies in."""
        if path.rstrip("/") in {"", _MOUNTS}:
            return RemoteFile(path, FileKind.FOLDER, 0, 0.0)
        place = self._place(path)
        if not place.inside:
            return RemoteFile(path, FileKind.FOLDER, 0, 0.0)
        written = path.rstrip("/")
        above, _, name = place.inside.rpartition("/")
        for entry in self._children(place, above, written.removesuffix(f"/{name}"), deadline):
            if entry.path == written:
                return entry
        raise FileNotFoundError(path)

    def read(self, path: str, offset: int, stall: float) -> Iterator[bytes]:
        """Over a connection of its own, from any byte."""
        from collector.adapters.vsphere_guest import datacenter_path, folder_url

        session, place = self._session(), self._place(path)
        soon = Deadline.after(stall)
        url = folder_url(datacenter_path(session, place.store.ref, soon), place.store.name, place.inside)
        with session.files() as (https, headers):
            if offset:
                headers["Range"] = f"bytes={offset}-"
            with https.open("GET", url, soon, headers=headers) as response:
                if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return
                self._check(response, path, offset, soon)
                clock = Stall(stall)
                try:
                    while block := response.receive(_BLOCK, clock):
                        yield block
                except TimeoutError as error:
                    raise Patience("datastore", stall=stall).error() from error

    def _check(self, response: Response, path: str, offset: int, deadline: Deadline) -> None:
        """Raise unless the answer is the file, from the byte that was asked for."""
        status = response.status
        if status == HTTPStatus.NOT_FOUND:
            raise FileNotFoundError(path)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._refused(deadline)
        begun = _RANGE.match(response.headers.get("content-range", ""))
        whole = status == HTTPStatus.OK and not offset
        rest = status == HTTPStatus.PARTIAL_CONTENT and begun is not None and int(begun[1]) == offset
        if not whole and not rest:
            where = self._session().where
            raise PeerFailedError(
                f"{where} answered with the HTTP status {status} for {path!r} from byte {offset}",
                hint="Try it in a browser: vCenter serves datastores at /folder.",
            )

    def _refused(self, deadline: Deadline) -> None:
        """Say why a file was refused: the session is over, which any read shows, or a right is missing."""
        from collector.adapters.vsphere_properties import read

        session = self._session()
        read(session, [session.content.rootFolder], ["name"], deadline)
        raise ForbiddenError(
            f"{session.where} does not give files of this datastore to this account",
            hint="Add Datastore.Browse and Datastore.FileManagement to the account's role on the datastore.",
        )

    def _children(self, place: _Place, inside: str, written: str, deadline: Deadline) -> Iterator[RemoteFile]:
        from pyVmomi import vim

        from collector.adapters.vsphere_tasks import result_of

        session, browser = self._session(), vim.host.DatastoreBrowser
        details = browser.FileInfo.Details(fileType=True, fileSize=True, modification=True, fileOwner=False)
        # Without a pattern every file is meant, says the API's reference; govmomi reads it as none.
        spec = browser.SearchSpec(details=details, matchPattern=["*"])
        with session.asking(deadline):
            task = place.store.browser.SearchDatastore_Task(f"[{place.store.name}] {inside}".strip(), spec)
        try:
            found = result_of(session, task, "the listing of a folder", deadline)
        except PeerFailedError as error:
            if isinstance(error.__cause__, vim.fault.FileNotFound):
                raise FileNotFoundError(place.written) from error
            raise
        for entry in found.file if found is not None else ():
            folder = isinstance(entry, browser.FolderInfo)
            yield RemoteFile(
                path=f"{written}/{entry.path}",
                kind=FileKind.FOLDER if folder else FileKind.FILE,
                size=0 if folder else int(entry.fileSize or 0),
                modified=entry.modification.timestamp() if entry.modification else 0.0,
            )

    def _place(self, path: str) -> _Place:
        """Which datastore a path is on. Raises: FileNotFoundError, InventoryError."""
        name, _, inside = path.removeprefix(_MOUNTS).lstrip("/").partition("/")
        fitting = [each for each in self._stores if name in (each.name, each.uuid)]
        if len(fitting) > 1:
            raise InventoryError(
                f"{len(fitting)} datastores at {self._session().where} are named {name!r}",
                hint="Give the endpoint a `datacenter`, or name the datastore by UUID: /vmfs/volumes/UUID.",
            )
        if not fitting:
            raise FileNotFoundError(path)
        return _Place(fitting[0], inside.strip("/"), path)

    def _session(self) -> VsphereSession:
        if self._entered is None:
            raise UnreachableError(
                "there is no session with vSphere", hint="Log in first: use the channel in a `with` block."
            )
        return self._entered


def _stores(session: VsphereSession, datacenter: str | None, deadline: Deadline) -> list[_Store]:
    """The datastores that the account sees, in one read."""
    from pyVmomi import vim

    from collector.adapters.vsphere_find import find_datacenter
    from collector.adapters.vsphere_properties import read, read_all

    paths = ["name", "browser", "summary.url"]
    if datacenter:
        center = find_datacenter(session, datacenter, deadline)
        (values,) = read(session, [center], ["datastore"], deadline)
        refs = list(values.get("datastore", []))
        found = list(zip(refs, read(session, refs, paths, deadline), strict=True))
    else:
        found = list(read_all(session, vim.Datastore, paths, deadline))
    return [
        _Store(
            str(values["name"]),
            ref,
            values["browser"],
            str(values.get("summary.url", "")).rstrip("/").rpartition("/")[2],
        )
        for ref, values in found
        if "name" in values and "browser" in values
    ]
