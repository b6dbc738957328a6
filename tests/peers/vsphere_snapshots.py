"""The double's snapshots: tasks that write a .vmsn and a .vmem, the tree they stand in, and their removal."""

# ruff: noqa: N802 - `on_` and a method's name on the wire

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyVmomi import vim

from tests.peers.soap_server import Session
from tests.peers.soap_wire import Call
from tests.peers.vsphere_world import Node, Vm
from tests.unit.dump import vmware_generator

if TYPE_CHECKING:
    from tests.peers.vsphere_world import World

PAGES = 16
"""Pages of memory that a machine of the double has in its .vmem, whatever its configuration says."""
_numbers = itertools.count(1)


@dataclass(eq=False)
class Snapshot(Node):
    """One snapshot of a machine; `files` are its paths on the datastore."""

    vm: Vm | None = None
    files: tuple[str, ...] = ()
    when: datetime = datetime(2026, 7, 1, 8, 0, 0, tzinfo=UTC)


class Snapshots:
    """Part of the double. `snapshots` counts by name those that were taken; `cut` shortens the .vmem."""

    world: World
    start: Callable[[str, Node, Callable[[], Any]], Any]
    _node: Callable[[Any], Any]
    cut = 0

    @property
    def snapshots(self) -> Counter[str]:
        """How often each snapshot was taken, removed ones included."""
        taken: Counter[str] = self.__dict__.setdefault("_taken", Counter())
        return taken

    def add_snapshot(self, vm: Vm, name: str, *, memory: bool = True) -> Snapshot:
        """Take a snapshot at once, as a child of the newest one."""
        number = next(_numbers)
        stem = f"{vm.name}/{vm.name}-Snapshot{number}"
        assert vm.datastore is not None
        group = {"memory": vmware_generator.memory_group(((0, 0, PAGES),))}
        written = {f"{stem}.vmsn": vmware_generator.checkpoint(groups=group)[0]}
        if memory:
            written[f"{stem}.vmem"] = os.urandom(PAGES * vmware_generator.PAGE - self.cut)
        vm.datastore.files |= written
        files, now = tuple(written), datetime.now(UTC)
        vm.datastore.modified |= dict.fromkeys(files, now)
        made = Snapshot(vim.vm.Snapshot, f"snapshot-{number}", name, vm=vm, files=files, when=now)
        self.world.add(made)
        self.snapshots[name] += 1
        self._describe(vm)
        return made

    def on_CreateSnapshot_Task(self, call: Call, session: Session | None) -> Any:
        vm, wanted = self._node(call.target), call.arguments
        assert not wanted["quiesce"], "a machine that hangs cannot prepare anything"
        memory = wanted["memory"] and vm.power == "poweredOn"

        def take() -> Any:
            return self.add_snapshot(vm, wanted["name"], memory=memory).ref

        ref = self.start("VirtualMachine.createSnapshot", vm, take)
        vm.more["recentTask"] = vim.Task.Array([*vm.more.get("recentTask", []), ref])
        return ref

    def on_RemoveSnapshot_Task(self, call: Call, session: Session | None) -> Any:
        snapshot = self._node(call.target)

        def remove() -> None:
            del self.world.nodes[snapshot.moid]
            for path in snapshot.files:
                del snapshot.vm.datastore.files[path]
            self._describe(snapshot.vm)

        return self.start("VirtualMachine.removeSnapshot", snapshot.vm, remove)

    def _describe(self, vm: Vm) -> None:
        """Let the machine's properties say which snapshots it has."""
        taken = [each for each in self.world.nodes.values() if isinstance(each, Snapshot) and each.vm is vm]
        tree: list[Any] = []
        for each in reversed(taken):
            tree = [_tree(each, vm, tree)]
        vm.more["snapshot"] = (
            vim.vm.SnapshotInfo(currentSnapshot=taken[-1].ref, rootSnapshotList=tree) if taken else None
        )
        vm.more["layoutEx"] = _layout(vm, taken)


def _tree(snapshot: Snapshot, vm: Vm, children: list[Any]) -> Any:
    return vim.vm.SnapshotTree(
        snapshot=snapshot.ref,
        vm=vm.ref,
        name=snapshot.name,
        description="",
        id=1,
        createTime=snapshot.when,
        state=vm.power,
        quiesced=False,
        childSnapshotList=children,
    )


def _layout(vm: Vm, taken: list[Snapshot]) -> Any:
    assert vm.datastore is not None
    layout = vim.vm.FileLayoutEx
    paths = [path for snapshot in taken for path in snapshot.files]
    keys = {path: number for number, path in enumerate(paths)}
    files = [
        layout.FileInfo(
            key=keys[path],
            name=f"[{vm.datastore.name}] {path}",
            type="snapshotData" if path.endswith(".vmsn") else "snapshotMemory",
            size=len(vm.datastore.files[path]),
        )
        for path in paths
    ]
    snapshots = [
        layout.SnapshotLayout(
            key=each.ref,
            dataKey=keys[each.files[0]],
            memoryKey=keys[each.files[1]] if len(each.files) > 1 else -1,
        )
        for each in taken
    ]
    return layout(
        file=layout.FileInfo.Array(files),
        snapshot=layout.SnapshotLayout.Array(snapshots),
        timestamp=datetime.now(UTC),
    )
