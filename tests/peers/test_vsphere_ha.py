"""vSphere HA that would reset a machine while it dumps: found before the NMI, and never where it is off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from collector.adapters.answers import HA_RESET, WatchdogState
from collector.adapters.base import Watchdog
from collector.adapters.limits import Deadline
from collector.adapters.vsphere import VsphereController
from collector.checks import controller, preflight
from collector.errors import DeadlineError, PeerFailedError, UnsupportedError
from collector.facts.controller import gather
from collector.model.verdict import Level
from tests.peers.soap_server import Rule, Trouble
from tests.peers.vsphere import logged_in
from tests.peers.vsphere_cluster import add_cluster
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import Vm

OFF = {"clusterSettings": False, "vmMonitoring": "vmMonitoringDisabled"}
LOW = {"clusterSettings": False, "vmMonitoring": "vmMonitoringOnly", "failureInterval": 120}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path) as running:
        yield running


@pytest.fixture
def app07(double: VsphereDouble) -> Vm:
    return double.world.add_vm("app07")


def asked(double: VsphereDouble, folder: Path) -> WatchdogState:
    with logged_in(double, folder, "app07") as controller:
        return controller.watchdog(Deadline.after(30))


def test_the_controller_is_asked_for_it() -> None:
    assert issubclass(VsphereController, Watchdog)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 150.0),
        ({"monitoring": "vmAndAppMonitoring", "failure_interval": 60}, 180.0),
        ({"options": {"das.ioStatsInterval": "0"}}, 30.0),
        ({"options": {"das.ioStatsInterval": "never"}}, 150.0),
    ],
)
def test_vm_monitoring_resets_a_machine_whose_heartbeat_it_heard(
    double: VsphereDouble, app07: Vm, tmp_path: Path, settings: dict[str, Any], seconds: float
) -> None:
    app07.heartbeat = "red"
    add_cluster(double.world, **settings)
    assert asked(double, tmp_path) == WatchdogState(True, HA_RESET, seconds, None)


@pytest.mark.parametrize("settings", [{"enabled": False}, {"monitoring": "vmMonitoringDisabled"}])
def test_nobody_resets_it_where_vm_monitoring_is_off(
    double: VsphereDouble, app07: Vm, tmp_path: Path, settings: dict[str, Any]
) -> None:
    add_cluster(double.world, **settings)
    assert asked(double, tmp_path).running is False


def test_nobody_resets_it_outside_a_cluster_or_without_tools(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    assert asked(double, tmp_path).running is False
    add_cluster(double.world)
    app07.heartbeat = "gray"
    assert asked(double, tmp_path).running is False


@pytest.mark.parametrize(
    ("override", "seconds"), [(OFF, None), (LOW, 240.0), ({**OFF, "clusterSettings": True}, 150.0)]
)
def test_the_override_of_the_machine_goes_before_the_cluster(
    double: VsphereDouble, app07: Vm, tmp_path: Path, override: dict[str, Any], seconds: float | None
) -> None:
    other = double.world.add_vm("other")
    add_cluster(double.world, overrides={other: OFF, app07: override})
    assert asked(double, tmp_path).initial_s == seconds


@pytest.mark.parametrize("settings", [{"hidden": True}, {"enabled": None}])
def test_settings_that_the_account_does_not_see_are_no_all_clear(
    double: VsphereDouble, app07: Vm, tmp_path: Path, settings: dict[str, Any]
) -> None:
    add_cluster(double.world, **settings)
    with pytest.raises(PeerFailedError, match="does not tell how vSphere HA"):
        asked(double, tmp_path)


def test_an_esxi_host_of_a_vcenter_cannot_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with VsphereDouble(tmp_path, vcenter=False) as double:
        double.world.add_vm("app07")
        assert asked(double, tmp_path).running is False
        known = double.world.host.properties()
        known["summary"] = vim.host.Summary(managementServerIp="192.0.2.1")
        monkeypatch.setattr(double.world.host, "properties", lambda: known)
        with pytest.raises(UnsupportedError, match="does not know whether vSphere HA"):
            asked(double, tmp_path)


def test_a_silent_server_ends_by_the_deadline(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        double.rules["RetrievePropertiesEx"] = Rule(Trouble.HANG_BEFORE)
        with pytest.raises(DeadlineError):
            controller.watchdog(Deadline.after(0.5))


def test_preflight_names_the_override_that_stops_it(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    add_cluster(double.world)
    verdict = preflight.watchdog(asked(double, tmp_path), 3600.0)
    assert verdict.level is Level.CRITICAL
    assert "vSphere HA resets this machine after 150 s" in verdict.reason
    assert "VM Overrides" in verdict.remedy
    assert "--accept watchdog" in verdict.remedy
    assert "ipmitool" not in verdict.remedy


def test_the_audit_names_it_too(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    add_cluster(double.world)
    with logged_in(double, tmp_path, "app07") as asked_controller:
        facts = gather(asked_controller, "vsphere", Deadline.after(30))
    verdict = controller.timer(facts, None)
    assert verdict is not None
    assert (verdict.check, verdict.level) == ("WD-1", Level.CRITICAL)
    assert "VM Overrides" in verdict.remedy
