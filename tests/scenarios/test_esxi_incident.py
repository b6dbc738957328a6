"""A hung ESXi host with a BMC, SSH and a vCenter: who is asked what, and what the case says afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyVmomi import vim

from collector.adapters.esxi_host import EsxiHostEndpoint
from collector.adapters.fake import FakeChannel, FakeEndpoint, Life, Script
from collector.adapters.registry import Connections
from collector.case.folder import CaseFolder
from collector.errors import LoginRefusedError
from collector.model.host import Host, Platform
from collector.model.result import HostResult, Outcome
from collector.playbook.schema import Playbook
from collector.run.incident import Incident
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere import credential
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import EsxiHost
from tests.scenarios.harness import PLAYBOOK, Scene

LOGS = [{"name": "version.txt", "command": "vmware -vl"}]


class Answers(dict[str, bytes]):
    """What the host's shell answers; the facts are of this moment."""

    def __init__(self, scene: EsxiScene) -> None:
        super().__init__({"vmware -vl": b"VMware ESXi 8.0.2\n"})
        self._scene = scene

    def __contains__(self, command: object) -> bool:
        return super().__contains__(command) or "esxcli system stats uptime get" in str(command)

    def __getitem__(self, command: str) -> bytes:
        if super().__contains__(command):
            return super().__getitem__(command)
        uptime = self._scene.machine.uptime()
        told = f"uptime={uptime:.0f}\nclock={datetime.now(UTC).timestamp():.0f}\n{self._scene.told}"
        return told.encode()


@dataclass
class EsxiScene(Scene):
    """A fake machine that is an ESXi host, with a double of the vCenter that manages it."""

    script: Script = field(default_factory=lambda: Script(dump=None))
    name: str = "esx03"
    vcenter: VsphereDouble | None = None
    logs: list[dict[str, object]] = field(default_factory=lambda: LOGS)
    told: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.vcenter is not None
        self.machine.commands = Answers(self)
        view = EsxiHostEndpoint.model_validate(
            {
                "address": ADDRESS,
                "port": self.vcenter.port,
                "ca_file": self.vcenter.certificate,
                "host": "esx03.example.com",
                "credential": "vc",
            }
        )
        bmc = FakeEndpoint(machine=self.key, address="192.0.2.110")
        shell = FakeEndpoint(machine=self.key, address="192.0.2.33")
        self.host = Host(self.name, Platform.ESXI, "192.0.2.33", (bmc, view), (shell,))
        steps = {
            **PLAYBOOK["steps"],  # type: ignore[dict-item]
            "probe": {"rounds": 2, "pause": "0s", "deadline": "5s"},
            "evidence": {"deadline": "10s", "collect": ["power", "event-log", "host"]},
            "wait": {"deadline": "6s", "every": "0.05s", "grace": "0.2s"},
            "retrieve": {
                "deadline": "30s",
                "stall": "5s",
                "dumps": ["/var/core/vmkernel-zdump.*"],
                "logs": self.logs,
            },
        }
        when = {"platform": "esxi", "controllers": ["fake"], "channels": ["fake"]}
        self.playbook = Playbook.model_validate({**PLAYBOOK, "when": when, "steps": steps})

    def incident(self, case: CaseFolder | None = None) -> Incident:
        made = super().incident(case)
        connections = Connections({"vc": credential(self.folder)}, print)
        return Incident(made.host, made.playbook, made.case, connections, made.progress, made.observe)

    def collect(self, *, case: CaseFolder | None = None, **options: object) -> HostResult:  # type: ignore[override]
        return super().collect(confirm="esx03", case=case, **options)


@pytest.fixture
def vcenter(tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path / "vcenter") as running:
        yield running


@pytest.fixture
def esx03(vcenter: VsphereDouble) -> EsxiHost:
    host = vcenter.world.add_host("esx03.example.com")
    host.connection, host.power = "notResponding", "unknown"
    for number in range(40):
        vcenter.world.add_vm(f"app{number}", host=host)
    vcenter.log_event(host, datetime.now(UTC), "Host is not responding", vim.event.HostConnectionLostEvent)
    return host


def test_no_nmi_goes_to_a_host_that_its_vcenter_hears(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    esx03.connection, esx03.power = "connected", "poweredOn"
    scene = EsxiScene(tmp_path, vcenter=vcenter)
    result = scene.collect()
    assert scene.machine.nmis == []
    assert "the vCenter says connected" in result.detail


def test_the_case_says_what_the_vcenter_saw_and_who_went_down(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter)
    scene.collect()
    assert len(scene.machine.nmis) == 1
    checks = {str(each["check"]): each for each in scene.events("check")}
    assert checks["machines"]["level"] == "warning"
    assert "40 virtual machines run on it, as the vCenter knows it" in str(checks["machines"]["reason"])
    assert len([each for each in scene.events("check") if each["check"] == "machines"]) == 1
    last = scene.events("diagnosis")[-1]
    assert "the vCenter says notResponding" in str(last["reason"])
    assert scene.case is not None
    kept = json.loads((scene.case.path / "data" / "evidence" / "before-host.json").read_text())
    assert kept["host"]["connection"] == "notResponding"
    assert [event["sensor"] for event in kept["events"]] == ["HostConnectionLostEvent"]
    assert {each["connection"] for each in scene.events("sighting")} == {"notResponding"}


def test_a_dry_run_only_reads_from_the_vcenter(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter)
    assert scene.collect(dry_run=True).outcome is Outcome.SUCCESS
    assert scene.machine.mutations == 0
    assert not [call for call in vcenter.calls if "Generate" in call or call.endswith("_Task")]


def test_a_vcenter_that_is_silent_stops_nobody(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter)
    vcenter.rules["Login"] = Rule(Trouble.DROP_BEFORE)
    scene.collect()
    assert len(scene.machine.nmis) == 1
    checks = {str(each["check"]): each for each in scene.events("check")}
    assert checks["vcenter"]["level"] == "unknown"
    assert "unknown number" in str(checks["machines"]["reason"])


def test_the_wait_sees_that_the_host_was_started_anew(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, script=Script(dump=None, comes_back=False), vcenter=vcenter)

    observe = scene.observe

    def and_boot(*asked: object) -> object:
        if scene.machine.life is Life.DUMPING and len(scene.events("sighting")) > 1:
            esx03.booted = datetime.now(UTC)
        return observe(*asked)  # type: ignore[arg-type]

    scene.observe = and_boot  # type: ignore[method-assign, assignment]
    result = scene.collect()
    assert result.outcome is Outcome.TIMEOUT
    assert "the vCenter says that the host was started anew" in result.detail


def test_every_look_at_a_host_that_is_down_says_not_to_reset_it(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, script=Script(dump=None, comes_back=False), vcenter=vcenter)
    result = scene.collect()
    looks = scene.events("sighting")
    assert len(looks) > 3
    for look in looks[1:]:
        assert "the host is down; its purple screen may still be writing" in str(look["note"])
    assert "'DiskDump: Successful'" in result.detail
    assert scene.case is not None
    kept = scene.case.path / "data" / "evidence"
    assert (kept / "waited-host.json").is_file(), "one last look from outside, once"
    assert [file.name for file in kept.glob("waited-power*")] == ["waited-power.json"]


BUNDLE = {"name": "vm-support-by-vcenter.tgz", "bundle": True, "deadline": "10s"}
INSTEAD = [*LOGS, {**BUNDLE, "unless": "version.txt"}]


def come_back(scene: EsxiScene, esx03: EsxiHost) -> None:
    """Let the vCenter see the host again as soon as the machine runs again."""
    observe = scene.observe

    def and_connect(*asked: object) -> object:
        if scene.machine.nmis and scene.machine.now() is Life.RUNNING:
            esx03.connection, esx03.power = "connected", "poweredOn"
            esx03.booted = datetime.now(UTC)
        return observe(*asked)  # type: ignore[arg-type]

    scene.observe = and_connect  # type: ignore[method-assign, assignment]


def test_no_bundle_is_made_where_the_shell_gave_the_log(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter, logs=INSTEAD)
    come_back(scene, esx03)
    scene.collect()
    assert scene.case is not None
    assert (scene.case.path / "data" / "logs" / "version.txt").is_file()
    assert vcenter.calls["GenerateLogBundles_Task"] == 0


def test_the_bundle_comes_home_over_a_cut_where_the_shell_did_not_give_the_log(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter, logs=INSTEAD)
    dict.clear(scene.machine.commands)
    come_back(scene, esx03)
    vcenter.rules["GET /downloads"] = Rule(Trouble.CUT, times=1)
    scene.collect()
    assert scene.case is not None
    kept = scene.case.path / "data" / "logs" / "vm-support-by-vcenter.tgz"
    assert kept.read_bytes() == vcenter.bundle
    assert vcenter.calls["GenerateLogBundles_Task"] == 1
    offsets = [int(str(each["offset"])) for each in scene.events("copy.started")]
    assert len(offsets) == 2
    assert offsets[1] > 0


def test_a_host_that_nobody_gets_into_gives_its_bundle_and_ends_in_time(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter, logs=[BUNDLE])
    scene.host = replace(scene.host, channels=())
    come_back(scene, esx03)
    result = scene.collect()
    assert result.outcome is Outcome.TIMEOUT
    assert "the vCenter says that the host was started anew, and nobody looks inside" in result.detail
    assert "its support bundle is home: data/logs/vm-support-by-vcenter.tgz" in result.detail
    assert len(scene.machine.nmis) == 1
    (waited,) = [each for each in scene.events("stage.ended") if each["stage"] == "wait"]
    assert float(str(waited["seconds"])) < 6


def test_a_bundle_is_not_asked_for_while_the_host_is_down(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, script=Script(dump=None, comes_back=False), vcenter=vcenter, logs=[BUNDLE])
    scene.collect()
    assert vcenter.calls["GenerateLogBundles_Task"] == 0


def test_a_bundle_that_was_made_is_not_made_again_by_resume(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter, logs=INSTEAD)
    dict.clear(scene.machine.commands)
    come_back(scene, esx03)
    vcenter.rules["GET /downloads"] = Rule(Trouble.STATUS)
    scene.collect()
    vcenter.rules.clear()
    assert scene.case is not None
    scene.collect(case=CaseFolder.open(scene.case.path))
    kept = scene.case.path / "data" / "logs" / "vm-support-by-vcenter.tgz"
    assert kept.read_bytes() == vcenter.bundle
    assert vcenter.calls["GenerateLogBundles_Task"] == 1
    assert len(scene.machine.nmis) == 1


def test_a_privilege_that_lacks_for_the_bundle_is_a_row(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    scene = EsxiScene(tmp_path, vcenter=vcenter, logs=INSTEAD)
    dict.clear(scene.machine.commands)
    come_back(scene, esx03)
    vcenter.denied.add("Global.Diagnostics")
    scene.collect()
    rows = {str(each["name"]): each for each in scene.events("artifact.missing")}
    assert rows["vm-support-by-vcenter.tgz"]["outcome"] == str(Outcome.DENIED)
    assert "Global.Diagnostics" in str(rows["vm-support-by-vcenter.tgz"]["detail"])


def test_a_dump_that_stayed_in_its_slot_ends_with_the_command_that_extracts_it(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost
) -> None:
    told = "dump_slot=file /vmfs/volumes/5f3c-1/vmkdump/4C4C.dumpfile\n"
    scene = EsxiScene(tmp_path, vcenter=vcenter, told=told)
    result = scene.collect()
    assert result.outcome is not Outcome.SUCCESS
    assert "esxcfg-dumppart -F -C -D /vmfs/volumes/5f3c-1/vmkdump/4C4C.dumpfile -n" in result.detail
    assert "without leaving a dump" not in result.detail


def test_a_host_whose_shell_refuses_us_gives_its_bundle(
    tmp_path: Path, vcenter: VsphereDouble, esx03: EsxiHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(channel: FakeChannel) -> FakeChannel:
        raise LoginRefusedError("the host refused the login", hint="Correct the credential.")

    scene = EsxiScene(tmp_path, vcenter=vcenter, logs=INSTEAD)
    come_back(scene, esx03)
    monkeypatch.setattr(FakeChannel, "__enter__", refuse)
    result = scene.collect()
    assert result.outcome is Outcome.DENIED
    assert "it does not let us in" in result.detail
    assert "its support bundle is home" in result.detail
    assert scene.case is not None
    kept = scene.case.path / "data" / "logs" / "vm-support-by-vcenter.tgz"
    assert kept.read_bytes() == vcenter.bundle
