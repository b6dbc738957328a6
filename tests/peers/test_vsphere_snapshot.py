"""Snapshots with memory at vSphere: what the contract of memory snapshots does not cover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyVmomi import vim

from collector.adapters.answers import RemoteFile
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_datastore import VsphereDatastore
from collector.errors import ForbiddenError, PeerFailedError
from tests.peers.soap_server import Rule, Trouble
from tests.peers.vsphere import credential, endpoint, logged_in
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import Vm

NAME = "app07-20260701T080000Z"


@pytest.fixture
def double(tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path) as running:
        yield running


@pytest.fixture
def app07(double: VsphereDouble) -> Vm:
    return double.world.add_vm("app07")


def soon() -> Deadline:
    return Deadline.after(30)


def names(files: object) -> list[str]:
    assert isinstance(files, list)
    return sorted(file.path.rpartition(".")[2] for file in files if isinstance(file, RemoteFile))


def test_the_price_is_the_memory_and_the_room_on_the_datastore(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.world.datastore.free = 7 << 30
    with logged_in(double, tmp_path, "app07") as controller:
        price = controller.snapshot_price(soon())
    assert (price.needed, price.free) == ((4096 + 128) << 20, 7 << 30)
    assert double.snapshots.total() == 0


@pytest.mark.parametrize("state", ["poweredOff", "suspended"])
def test_a_machine_without_memory_is_left_alone(
    double: VsphereDouble, app07: Vm, tmp_path: Path, state: str
) -> None:
    app07.power = state
    with logged_in(double, tmp_path, "app07") as controller:
        with pytest.raises(PeerFailedError, match=f"the machine is {state}"):
            controller.snapshot_price(soon())
        with pytest.raises(PeerFailedError, match=f"the machine is {state}"):
            controller.take_snapshot(NAME, soon())
    assert double.calls["CreateSnapshot_Task"] == 0


def test_the_files_are_named_as_the_datastore_channel_reads_them(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.add_snapshot(app07, "before the update")
    with logged_in(double, tmp_path, "app07") as controller:
        files = list(controller.take_snapshot(NAME, soon()))
        assert names(files) == ["vmem", "vmsn"]
        with VsphereDatastore(endpoint(double), credential(tmp_path), soon()) as channel:
            for file in files:
                assert channel.stat(file.path, soon()).size == file.size
                assert sum(map(len, channel.read(file.path, 0, 30.0))) == file.size
        controller.remove_snapshot(NAME, soon())
        controller.remove_snapshot(NAME, soon())
    left = [path for path in double.world.datastore.files if "Snapshot" in path]
    assert len(left) == 2, "the snapshot of somebody else stays"


@pytest.mark.parametrize(
    "fault",
    [
        vim.fault.TaskInProgress(task=vim.Task("task-1")),
        vim.fault.InvalidPowerState(requestedState="poweredOn", existingState="poweredOff"),
    ],
)
def test_a_refusal_is_told_and_nothing_was_made(
    double: VsphereDouble, app07: Vm, tmp_path: Path, fault: object
) -> None:
    double.rules["CreateSnapshot_Task"] = Rule(Trouble.FAULT, fault=fault)
    with (
        logged_in(double, tmp_path, "app07") as controller,
        pytest.raises(PeerFailedError, match=type(fault).__name__.rpartition(".")[2]),
    ):
        controller.take_snapshot(NAME, soon())
    assert double.snapshots.total() == 0


def test_a_missing_privilege_is_named(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    double.denied = {"VirtualMachine.State.CreateSnapshot"}
    with (
        logged_in(double, tmp_path, "app07") as controller,
        pytest.raises(ForbiddenError, match=r"VirtualMachine\.State\.CreateSnapshot"),
    ):
        controller.take_snapshot(NAME, soon())


def test_a_datastore_that_fills_up_ends_the_task_with_its_fault(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.task_fault = vim.fault.NoDiskSpace(datastore="datastore1")
    with (
        logged_in(double, tmp_path, "app07") as controller,
        pytest.raises(PeerFailedError, match="NoDiskSpace"),
    ):
        controller.take_snapshot(NAME, soon())


def test_the_snapshot_of_somebody_else_is_not_taken_for_ours(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.task_seconds = 0.6
    double.start("VirtualMachine.createSnapshot", app07, lambda: double.add_snapshot(app07, "other").ref)
    running = [node.ref for node in double.world.nodes.values() if node.kind is vim.Task]
    app07.more["recentTask"] = vim.Task.Array(running)
    with (
        logged_in(double, tmp_path, "app07") as controller,
        pytest.raises(PeerFailedError, match="not the one named"),
    ):
        controller.take_snapshot(NAME, soon())
    assert double.snapshots == {"other": 1}
