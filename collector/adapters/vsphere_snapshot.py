"""The memory of a virtual machine in a snapshot: what it costs, taking one, and removing it again.

The guest is not asked to prepare anything (`quiesce`), because it hangs. A snapshot is known by its name, so
that one that was begun before is awaited and no second one is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from collector.adapters.answers import FileKind, RemoteFile, SnapshotPrice
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_properties import read
from collector.adapters.vsphere_session import VsphereSession
from collector.adapters.vsphere_tasks import result_of
from collector.errors import PeerFailedError

_DEVICES = 128 << 20
"""Bytes for the state of the devices, video memory included; without the memory it is some tens of MB."""

_PRICE = (
    "config.files.snapshotDirectory",
    "config.files.vmPathName",
    "config.hardware.memoryMB",
    "datastore",
    "runtime.powerState",
)
_SUFFERING = "the machine runs slowly while its memory is written, and stands still for moments"
_CREATE = "VirtualMachine.createSnapshot"
_UNDER_WAY = (vim.TaskInfo.State.queued, vim.TaskInfo.State.running)
_MOST = 1000  # snapshots of one machine; the product's own limit is 496


def price(session: VsphereSession, vm: Any, deadline: Deadline) -> SnapshotPrice:  # noqa: ANN401
    """The size of the memory, and the room on the datastore that snapshots of the machine go to.

    Raises:
        PeerFailedError: the machine has no memory now, because it is off or suspended.
        AdapterError: the server could not be asked.
    """
    (values,) = read(session, [vm], _PRICE, deadline)
    _require_memory(session, values)
    where = values.get("config.files.snapshotDirectory") or values.get("config.files.vmPathName", "")
    store, _ = _split(session, str(where))
    stores = read(session, list(values.get("datastore", [])), ["name", "summary.freeSpace"], deadline)
    free = next((each.get("summary.freeSpace") for each in stores if each.get("name") == store), None)
    needed = (int(values.get("config.hardware.memoryMB", 0)) << 20) + _DEVICES
    return SnapshotPrice(needed, None if free is None else int(free), _SUFFERING)


def take(session: VsphereSession, vm: Any, name: str, deadline: Deadline) -> Sequence[RemoteFile]:  # noqa: ANN401
    """Take the snapshot `name` unless it exists or is being made, and return its files once they are whole.

    Raises:
        DeadlineError: it is not done in time, and goes on there.
        PeerFailedError: the machine is off or suspended; or it failed.
        AdapterError: nobody knows.
    """
    # The task is looked for first: asked the other way round, it could end between the two questions.
    task = _being_made(session, vm, deadline)
    if task is None and _find(session, vm, name, deadline) is None:
        (values,) = read(session, [vm], ["runtime.powerState"], deadline)
        _require_memory(session, values)
        with session.asking(deadline):
            task = vm.CreateSnapshot_Task(name, "taken by hang-collector", True, False)
    if task is not None:
        result_of(session, task, "the snapshot", deadline)
    found = _find(session, vm, name, deadline)
    if found is None:
        raise PeerFailedError(
            f"{session.where} made a snapshot of the machine, and it is not the one named {name!r}",
            hint="Somebody else took one at the same moment: resume the case.",
        )
    return _files(session, vm, found, deadline)


def remove(session: VsphereSession, vm: Any, name: str, deadline: Deadline) -> None:  # noqa: ANN401
    """Remove the snapshot `name`; nothing is done where there is none. Raises: AdapterError."""
    found = _find(session, vm, name, deadline)
    if found is None:
        return
    with session.asking(deadline):
        task = found.snapshot.RemoveSnapshot_Task(False, True)
    result_of(session, task, "the snapshot's removal", deadline)


def _require_memory(session: VsphereSession, values: Mapping[str, Any]) -> None:
    """A snapshot of a machine that is off is taken all the same, and has no memory in it."""
    state = str(values.get("runtime.powerState"))
    if state != vim.VirtualMachine.PowerState.poweredOn:
        raise PeerFailedError(
            f"the machine is {state} at {session.where}: it has no memory that could be kept",
            hint="The memory of a suspended machine is in its folder already, as .vmss and .vmem.",
        )


def _find(session: VsphereSession, vm: Any, name: str, deadline: Deadline) -> Any:  # noqa: ANN401
    (values,) = read(session, [vm], ["snapshot"], deadline)
    known = values.get("snapshot")
    trees = list(known.rootSnapshotList) if known is not None else []
    return next((tree for tree in _all(trees) if tree.name == name), None)


def _all(trees: Iterable[Any]) -> Iterator[Any]:
    """Every snapshot, without recursion: the tree comes from the server."""
    waiting = list(trees)
    for _ in range(_MOST):
        if not waiting:
            return
        tree = waiting.pop()
        yield tree
        waiting += tree.childSnapshotList or []


def _being_made(session: VsphereSession, vm: Any, deadline: Deadline) -> Any:  # noqa: ANN401
    """The task that takes a snapshot of the machine at this moment; None if there is none."""
    (values,) = read(session, [vm], ["recentTask"], deadline)
    tasks = list(values.get("recentTask", []))
    states = read(session, tasks, ["info.descriptionId", "info.state"], deadline)
    return next(
        (
            task
            for task, state in zip(tasks, states, strict=True)
            if state.get("info.descriptionId") == _CREATE and state.get("info.state") in _UNDER_WAY
        ),
        None,
    )


def _files(session: VsphereSession, vm: Any, tree: Any, deadline: Deadline) -> list[RemoteFile]:  # noqa: ANN401
    """The .vmsn, and the .vmem where the memory is in a file of its own, as the datastore channel does."""
    (values,) = read(session, [vm], ["layoutEx.snapshot", "layoutEx.file"], deadline)
    laid = next((each for each in values.get("layoutEx.snapshot", []) if each.key == tree.snapshot), None)
    keys = {laid.dataKey, laid.memoryKey} if laid is not None else set()
    files = [each for each in values.get("layoutEx.file", []) if each.key in keys]
    if not files:
        raise PeerFailedError(
            f"{session.where} took the snapshot {tree.name!r}, and does not say where its files are",
            hint="Look into the machine's folder on its datastore.",
        )
    modified = tree.createTime.timestamp()
    return [
        RemoteFile(_path(session, str(each.name)), FileKind.FILE, int(each.size), modified) for each in files
    ]


def _path(session: VsphereSession, name: str) -> str:
    store, path = _split(session, name)
    return f"/vmfs/volumes/{store}/{path}"


def _split(session: VsphereSession, name: str) -> tuple[str, str]:
    """`[datastore1] vm/vm.vmsn` as its datastore and its path."""
    if not name.startswith("[") or "] " not in name:
        raise PeerFailedError(
            f"{session.where} names a file of the machine {name[:100]!r}, which is no path on a datastore",
            hint="Look at the machine's files in vCenter.",
        )
    store, _, path = name[1:].partition("] ")
    return store, path
