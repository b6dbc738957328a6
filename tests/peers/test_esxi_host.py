"""An ESXi host as its vCenter sees it: which one is meant, what is read, and that nothing is changed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from collector.adapters.answers import Connection, PowerState
from collector.adapters.base import EventLog, HostView, NmiInjector, Power
from collector.adapters.esxi_host import EsxiHostController, EsxiHostEndpoint
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.adapters.vsphere import VsphereEndpoint
from collector.errors import AdapterError, InventoryError, LoginRefusedError, UnreachableError
from collector.model.host import Host, Platform
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere import credential
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import EsxiHost

READS = re.compile(
    r"GET /sdk/vimServiceVersions.xml|Retrieve.*|ContinueRetrieve.*|Find.*|Login|Logout|CurrentTime|"
    r"(Create|Destroy)(ContainerView|View|CollectorForEvents|Collector)|SetCollectorPageSize"
)


@pytest.fixture
def double(tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path) as running:
        yield running


@pytest.fixture
def esx03(double: VsphereDouble) -> EsxiHost:
    host = double.world.add_host("esx03.example.com")
    host.address = "192.0.2.33"
    for number in range(3):
        double.world.add_vm(f"app{number}", host=host)
    double.world.add_vm("idle", host=host, power="poweredOff")
    double.world.add_vm("elsewhere")
    return host


def soon() -> Deadline:
    return Deadline.after(30)


def endpoint(double: VsphereDouble, host: str, **keys: Any) -> EsxiHostEndpoint:
    made = {"address": ADDRESS, "port": double.port, "ca_file": double.certificate, "host": host, **keys}
    return EsxiHostEndpoint.model_validate(made)


@contextlib.contextmanager
def seen(
    double: VsphereDouble, folder: Path, host: str = "esx03.example.com", **keys: Any
) -> Iterator[EsxiHostController]:
    with EsxiHostController(endpoint(double, host, **keys), credential(folder), soon()) as controller:
        yield controller


def test_it_looks_and_sends_no_nmi() -> None:
    for capability in (Power, HostView, EventLog):
        assert issubclass(EsxiHostController, capability)
    assert not issubclass(EsxiHostController, NmiInjector)


def test_nothing_but_reads_goes_out(double: VsphereDouble, esx03: EsxiHost, tmp_path: Path) -> None:
    with seen(double, tmp_path) as controller:
        controller.host_state(soon())
        controller.power_state(soon())
        controller.events(soon())
    assert [call for call in double.calls if not READS.fullmatch(call)] == []
    assert double.sessions == {}, "it logs out"


def test_a_host_and_its_machines_are_described(
    double: VsphereDouble, esx03: EsxiHost, tmp_path: Path
) -> None:
    esx03.maintenance = True
    with seen(double, tmp_path) as controller:
        state = controller.host_state(soon())
    assert (state.connection, state.power, state.standby) == (Connection.CONNECTED, PowerState.ON, "none")
    assert (state.machines, state.running, state.maintenance) == (4, 3, True)
    assert state.boot_time == datetime(2026, 7, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "power"),
    [
        (("connected", "poweredOn"), PowerState.ON),
        (("notResponding", "poweredOn"), PowerState.UNKNOWN),
        (("notResponding", "unknown"), PowerState.UNKNOWN),
        (("notResponding", "standBy"), PowerState.OFF),
        (("notResponding", "poweredOff"), PowerState.OFF),
        (("disconnected", "poweredOff"), PowerState.UNKNOWN),
    ],
)
def test_the_power_of_a_host_that_is_not_heard_is_not_believed(
    double: VsphereDouble, esx03: EsxiHost, tmp_path: Path, told: tuple[str, str], power: PowerState
) -> None:
    esx03.connection, esx03.power = told
    with seen(double, tmp_path) as controller:
        state = controller.host_state(soon())
    assert (state.connection, state.power) == (told[0], power)


def test_events_tell_when_it_was_lost(double: VsphereDouble, esx03: EsxiHost, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    double.log_event(
        esx03, now - timedelta(minutes=3), "Host is not responding", vim.event.HostConnectionLostEvent
    )
    double.log_event(double.world.host, now, "another host", vim.event.HostConnectionLostEvent)
    with seen(double, tmp_path) as controller:
        (event,) = controller.events(soon())
    assert (event.sensor, event.text) == ("HostConnectionLostEvent", "Host is not responding")


@pytest.mark.parametrize("way", ["name", "other case", "uuid", "address"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_host_is_found_by(
    double: VsphereDouble, esx03: EsxiHost, tmp_path: Path, way: str, forgotten: bool
) -> None:
    esx03.forgotten = forgotten
    wanted = {
        "name": "esx03.example.com",
        "other case": "ESX03.Example.com",
        "uuid": esx03.hardware_uuid,
        "address": "192.0.2.33",
    }[way]
    if forgotten and way == "address":
        esx03.name = "192.0.2.33"  # added by its address, which is its name then
    with seen(double, tmp_path, wanted) as controller:
        assert controller.host_state(soon()).running == 3


def test_two_hosts_of_one_address_are_refused_and_told_apart(
    double: VsphereDouble, esx03: EsxiHost, tmp_path: Path
) -> None:
    twin = double.world.add_host("esx04.example.com")
    twin.address = "192.0.2.33"
    with pytest.raises(InventoryError) as caught, seen(double, tmp_path, "192.0.2.33"):
        pass
    for host in (esx03, twin):
        assert host.hardware_uuid in caught.value.message
    assert double.sessions == {}, "it logged out"


def test_an_unknown_host_is_refused(double: VsphereDouble, esx03: EsxiHost, tmp_path: Path) -> None:
    for wanted in ("esx99.example.com", "192.0.2.99", "00000000-0000-4000-8000-000000000000", "app0"):
        with pytest.raises(InventoryError, match="no ESXi host"), seen(double, tmp_path, wanted):
            pass


def test_an_esxi_host_is_not_asked_about_itself(tmp_path: Path) -> None:
    with (
        VsphereDouble(tmp_path, vcenter=False) as double,
        pytest.raises(InventoryError, match="is an ESXi host"),
        seen(double, tmp_path, "esx01.example.com"),
    ):
        pass


@pytest.mark.parametrize("step", ["FindAllByDnsName", "RetrievePropertiesEx"])
@pytest.mark.parametrize("trouble", [Trouble.HANG_AFTER, Trouble.DROP_AFTER, Trouble.GARBAGE, Trouble.STATUS])
def test_a_vcenter_in_trouble_costs_the_deadline_only(
    double: VsphereDouble, esx03: EsxiHost, tmp_path: Path, step: str, trouble: Trouble
) -> None:
    double.rules[step] = Rule(trouble)
    deadline = Deadline.after(1.0)
    with (
        pytest.raises(AdapterError),
        EsxiHostController(
            endpoint(double, "esx03.example.com"), credential(tmp_path), deadline
        ) as controller,
    ):
        controller.host_state(deadline)
    assert double.calls[step] == 1


def test_outside_a_block_there_is_no_session(double: VsphereDouble, tmp_path: Path) -> None:
    controller = EsxiHostController(endpoint(double, "esx03"), credential(tmp_path), soon())
    with pytest.raises(UnreachableError, match="no session"):
        controller.host_state(soon())


def test_a_login_that_the_vcenter_refused_is_not_tried_again_for_its_machines(
    double: VsphereDouble, esx03: EsxiHost, tmp_path: Path
) -> None:
    wrong = credential(tmp_path, password="wrong")
    connections = Connections({"vc": wrong}, print)
    for_host = endpoint(double, "esx03.example.com", credential="vc")
    for_machine = VsphereEndpoint.model_validate(
        {
            "address": ADDRESS,
            "port": double.port,
            "ca_file": double.certificate,
            "vm": "app0",
            "credential": "vc",
        }
    )
    host = Host("esx03", Platform.ESXI, "192.0.2.33", (for_host, for_machine))
    for each in host.controllers:
        with pytest.raises(LoginRefusedError), connections.open(host, each, Power, soon()):
            pass
    assert double.logins == [False]
