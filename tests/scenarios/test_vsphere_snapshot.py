"""The memory of a machine behind vCenter, from the hang to the case: one snapshot, whole, and removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from collector.adapters.fake import MACHINES, FakeEndpoint, FakeMachine, Life, Script
from collector.adapters.registry import Connections
from collector.case.folder import CaseFolder
from collector.dump.report import State
from collector.model.host import Host, Platform
from collector.model.result import Outcome
from collector.playbook.schema import Playbook
from collector.run.incident import Incident
from collector.run.inspect import inspect_path
from tests.peers.soap_server import Rule, Trouble
from tests.peers.vsphere import credential, endpoint
from tests.peers.vsphere_double import PASSWORD, VsphereDouble
from tests.scenarios.harness import Scene
from tests.scenarios.test_snapshot import SNAPSHOT

VM = "app 07"
"""A name that is no safe file name: the two files must find each other all the same."""

_STEPS = {
    **SNAPSHOT["steps"],  # type: ignore[dict-item]
    "preflight": {"deadline": "20s"},
    "evidence": {"deadline": "20s", "collect": ["power", "event-log", "guest", "screen"]},
    "trigger": {"act": "snapshot", "deadline": "20s"},
    "retrieve": {"deadline": "30s", "stall": "10s"},
}
_WHEN = {"platform": "linux", "controllers": ["vsphere"], "channels": ["vsphere"]}


@dataclass
class VsphereScene(Scene):
    """A hung machine whose ways are a vCenter and its datastore."""

    double: VsphereDouble | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.double is not None
        self.playbook = Playbook.model_validate({**SNAPSHOT, "when": _WHEN, "steps": _STEPS})
        way = endpoint(self.double, vm=VM, credential="vc")
        MACHINES[f"{self.key} inside"] = FakeMachine("inside", Script(), Life.RUNNING)
        inside = FakeEndpoint(machine=f"{self.key} inside")  # it lets in, and knows no datastore
        self.host = Host("app07", Platform.LINUX, "192.0.2.10", (way,), (inside, way))

    def incident(self, case: CaseFolder | None = None) -> Incident:
        connections = Connections({"vc": credential(self.folder)}, print)
        return replace(super().incident(case), connections=connections)

    def taken(self) -> list[int]:
        """How often each snapshot was taken."""
        assert self.double is not None
        return list(self.double.snapshots.values())

    def left(self) -> list[str]:
        """Files of snapshots on the datastore."""
        assert self.double is not None
        return [path for path in self.double.world.datastore.files if path.endswith((".vmsn", ".vmem"))]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[VsphereScene]:
    with VsphereDouble(tmp_path) as double:
        double.world.add_vm(VM)
        yield VsphereScene(tmp_path, name="app07", double=double)


def test_both_files_come_home_as_one_dump_and_the_snapshot_is_removed(scene: VsphereScene) -> None:
    row = scene.collect(confirm="app07")
    assert row.outcome is Outcome.SUCCESS, row.detail
    assert (scene.taken(), scene.left()) == ([1], [])
    assert scene.double is not None
    assert scene.double.nmis() == 0
    checked = scene.events("dump.checked")
    assert sorted((Path(str(each["path"])).suffix, each["state"]) for each in checked) == [
        (".vmem", "complete"),
        (".vmsn", "complete"),
    ]
    looked = scene.events("dump.looked")
    assert [each["state"] for each in looked] == ["complete"], "the .vmem is seen on the datastore, too"
    assert row.case is not None
    (inspected,) = inspect_path(row.case)
    assert inspected.verdict.report.state is State.COMPLETE
    texts = [file.read_bytes() for file in row.case.rglob("*") if file.is_file()]
    assert not any(PASSWORD.encode() in text for text in texts)
    assert "not checked" not in (row.case / "report.md").read_text()


def test_a_dry_run_changes_nothing(scene: VsphereScene) -> None:
    row = scene.collect(confirm="app07", dry_run=True)
    assert row.outcome is Outcome.SUCCESS, row.detail
    assert scene.double is not None
    assert scene.double.calls["CreateSnapshot_Task"] == 0
    assert scene.events("snapshot.claim") == []


def test_a_full_datastore_is_refused_before_anybody_confirms(scene: VsphereScene) -> None:
    assert scene.double is not None
    scene.double.world.datastore.free = 1 << 30
    row = scene.collect(confirm="app07")
    assert row.code == "preflight"
    assert "only 1.0 GiB are free there" in row.detail
    assert scene.events("confirmation") == []
    assert scene.taken() == []


def test_an_answer_that_is_lost_makes_one_snapshot_and_the_resumed_case_brings_it_home(
    scene: VsphereScene,
) -> None:
    assert scene.double is not None
    scene.double.rules["CreateSnapshot_Task"] = Rule(Trouble.DROP_AFTER, times=1)
    assert scene.collect(confirm="app07").outcome is Outcome.UNREACHABLE
    row = scene.collect(confirm="app07", case=scene.case)
    assert row.outcome is Outcome.SUCCESS, row.detail
    assert (scene.taken(), scene.left()) == ([1], [])
    assert scene.double.calls["CreateSnapshot_Task"] == 1


def test_memory_that_is_cut_short_is_told_and_the_snapshot_stays(scene: VsphereScene) -> None:
    assert scene.double is not None
    scene.double.cut = 4096
    row = scene.collect(confirm="app07")
    assert row.code == "partial"
    assert "ends 4096 bytes early" in row.detail
    assert {each["state"] for each in scene.events("dump.checked")} == {"truncated"}
    assert len(scene.left()) == 2
