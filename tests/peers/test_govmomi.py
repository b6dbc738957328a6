"""Our side against a vCenter that somebody else wrote, as far as that has what is asked of it."""

from __future__ import annotations

import gc
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from collector.adapters.answers import FileKind, NmiOutcome, PowerState
from collector.adapters.limits import Deadline
from collector.adapters.vsphere import VsphereController
from collector.adapters.vsphere_datastore import VsphereDatastore
from collector.adapters.vsphere_machines import machines
from collector.adapters.vsphere_properties import read, read_all
from collector.adapters.vsphere_session import VsphereSession
from collector.adapters.vsphere_tasks import result_of
from collector.errors import (
    DeadlineError,
    HostKeyError,
    InventoryError,
    LoginRefusedError,
    PeerFailedError,
    UnsupportedError,
)
from tests.peers.certificate import make_certificate
from tests.peers.govmomi import BUILD_S, HERE, MACHINE, ON_ESXI, Govmomi, ask, govmomi
from tests.peers.server import tool
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere import credential, endpoint, logged_in, session
from tests.peers.vsphere_double import PASSWORD, USER, VsphereDouble

pytestmark = [pytest.mark.timeout(BUILD_S), pytest.mark.peer("golang-github-vmware-govmomi-dev")]

OTHERS = ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1", "DC0_H0_VM1"]
VMX = f"/LocalDS_0/{MACHINE}/{MACHINE}.vmx"
LOG = f"/LocalDS_0/{MACHINE}/vmware.log"


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Govmomi]:
    with govmomi(tmp_path) as running:
        yield running


@pytest.fixture
def admin(double: Govmomi, tmp_path: Path) -> Iterator[VsphereSession]:
    """Somebody who changes what there is."""
    with session(double, tmp_path) as made:
        yield made


def soon() -> Deadline:
    return Deadline.after(30)


def found(admin: VsphereSession, name: str) -> Any:
    """The machine, or whatever else has this inventory path."""
    with admin.asking(soon()):
        return admin.content.searchIndex.FindByInventoryPath(name if "/" in name else f"DC0/vm/{name}")


def done(admin: VsphereSession, task: Any) -> None:
    result_of(admin, task, "what a test needs", soon())


def report(admin: VsphereSession, name: str, **values: str) -> None:
    """Let the tools in the guest say something, as the simulator is told to by extraConfig."""
    options = [
        vim.option.OptionValue(key=f"SET.{key.replace('_', '.')}", value=value)
        for key, value in values.items()
    ]
    vm = found(admin, name)
    with admin.asking(soon()):
        task = vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=options))
    done(admin, task)


# The peer, by a client that is not ours


@pytest.fixture
def _leave_no_sockets() -> Iterator[None]:
    """The standard client does not close its connections; collect them here, where that is forgiven."""
    yield
    gc.collect()


@pytest.mark.usefixtures("_leave_no_sockets")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_standard_client_finds_a_machine_and_sends_it_an_nmi(double: Govmomi) -> None:
    service = SmartConnect(
        host=ADDRESS,
        port=double.port,
        user=USER,
        pwd=PASSWORD,
        sslContext=ssl.create_default_context(cafile=str(double.certificate)),
        connectionPoolTimeout=0,
    )
    vm = service.content.searchIndex.FindByInventoryPath(f"DC0/vm/{MACHINE}")
    vm.SendNMI()
    assert double.nmis() == 1
    vm.PowerOffVM_Task()
    with pytest.raises(vim.fault.InvalidPowerState) as caught:
        vm.SendNMI()
    assert caught.value.existingState == "poweredOff"
    Disconnect(service)
    with pytest.raises(vim.fault.NotAuthenticated):
        vm.SendNMI()
    assert double.nmis() == 1


def test_the_client_of_govmomi_reads_the_same_of_either_double(double: Govmomi, tmp_path: Path) -> None:
    """Our own double speaks by pyVmomi's serialiser, as our adapter does. This client does not."""
    expected = {"name": MACHINE, "power": "poweredOn", "snapshot": "by govmomi", "is_result": True}
    with VsphereDouble(tmp_path, api_version="6.7") as ours:
        vm = ours.world.add_vm(MACHINE)
        assert ours.tagging is not None
        ours.tagging.add("env", "prod", vm)
        ours.tagging.add("env", "test")
        files = ["snapshotData", "snapshotMemory"]
        read_there = {**expected, "uuid": vm.instance_uuid, "tags": ["prod"], "files": files}
        assert ask(ours, f"DC0/vm/{MACHINE}") == read_there
        assert (len(vm.nmis), ours.snapshots) == (1, {"by govmomi": 1})
        assert (ours.sessions, ours.tagging.sessions) == ({}, set())
    with session(double, tmp_path) as admin:
        moid = found(admin, MACHINE)._GetMoId()
    double.tag("env", "prod", ("VirtualMachine", moid))
    double.tag("env", "test")
    theirs = ask(double, f"DC0/vm/{MACHINE}")
    assert theirs["tags"] == ["prod"]
    assert {**theirs, **expected} == theirs
    assert (double.nmis(), double.snapshots) == (1, {"by govmomi": 1})


# Login


def test_a_refused_login_is_tried_once(double: Govmomi, tmp_path: Path) -> None:
    wrong = credential(tmp_path, password="wrong")
    with pytest.raises(LoginRefusedError, match="InvalidLogin"):
        VsphereController(endpoint(double, vm=MACHINE), wrong, soon()).__enter__()
    assert double.calls["Login"] == 1


def test_a_certificate_that_nobody_knows_gets_no_password(double: Govmomi, tmp_path: Path) -> None:
    stranger = make_certificate(tmp_path / "stranger.pem", address=ADDRESS)
    with pytest.raises(HostKeyError):
        VsphereController(
            endpoint(double, vm=MACHINE, ca_file=stranger), credential(tmp_path), soon()
        ).__enter__()
    assert double.calls["Login"] == 0


def test_a_session_that_is_left_is_logged_out(double: Govmomi, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, MACHINE) as controller:
        assert controller.power_state(soon()) is PowerState.ON
    assert (double.calls["Login"], double.calls["Logout"]) == (1, 1)


# Finding


@pytest.mark.parametrize("way", ["name", "path", "instance_uuid", "bios_uuid", "dns", "address"])
def test_a_machine_is_found_by(double: Govmomi, admin: VsphereSession, tmp_path: Path, way: str) -> None:
    report(admin, MACHINE, guest_ipAddress="192.0.2.7", guest_hostName="app07.example.com")
    paths = ["config.instanceUuid", "config.uuid"]
    (known,) = read(admin, [found(admin, MACHINE)], paths, soon())
    wanted = {
        "name": MACHINE,
        "path": f"DC0/vm/{MACHINE}",
        "instance_uuid": known["config.instanceUuid"],
        "bios_uuid": known["config.uuid"],
        "dns": "app07.example.com",
        "address": "192.0.2.7",
    }[way]
    with logged_in(double, tmp_path, wanted) as controller:
        assert controller.guest(soon()).runs_on == "DC0_H0"
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
    assert double.nmis() == 1


def test_two_machines_of_one_name_are_refused_and_told_apart(
    double: Govmomi, admin: VsphereSession, tmp_path: Path
) -> None:
    with admin.asking(soon()):
        folder = found(admin, "DC0/vm").CreateFolder("other")
        task = folder.MoveIntoFolder_Task([found(admin, OTHERS[0])])
    done(admin, task)
    moved = found(admin, f"DC0/vm/other/{OTHERS[0]}")
    with admin.asking(soon()):
        task = moved.Rename_Task(MACHINE)
    done(admin, task)
    uuids = [
        values["config.instanceUuid"]
        for _, values in read_all(admin, vim.VirtualMachine, ["name", "config.instanceUuid"], soon())
        if values["name"] == MACHINE
    ]
    with pytest.raises(InventoryError) as caught, logged_in(double, tmp_path, MACHINE):
        pass
    assert len(uuids) == 2
    assert all(uuid in caught.value.message for uuid in uuids)
    with logged_in(double, tmp_path, f"DC0/vm/other/{MACHINE}") as controller:
        assert controller.guest(soon()).runs_on.startswith("DC0_C0")


@pytest.mark.parametrize(
    "wanted",
    ["app08", "DC0/vm/app08", "192.0.2.99", "00000000-0000-4000-8000-000000000000", "DC0/host/DC0_C0"],
)
def test_what_is_no_machine_of_it_is_refused(double: Govmomi, tmp_path: Path, wanted: str) -> None:
    with (
        pytest.raises(InventoryError, match="knows no virtual machine"),
        logged_in(double, tmp_path, wanted),
    ):
        pass


def test_a_datacenter_that_it_has_not_is_said(double: Govmomi, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, MACHINE, datacenter="DC0") as controller:
        assert controller.power_state(soon()) is PowerState.ON
    with (
        pytest.raises(InventoryError, match="no datacenters"),
        logged_in(double, tmp_path, MACHINE, datacenter="Mars"),
    ):
        pass


# Reading


@pytest.mark.parametrize(
    ("below", "names"),
    [
        (None, sorted([MACHINE, *OTHERS])),
        ("DC0", sorted([MACHINE, *OTHERS])),
        ("DC0/vm", sorted([MACHINE, *OTHERS])),
        ("DC0/host/DC0_C0", OTHERS[:2]),
        ("DC0/host/DC0_C0/Resources", OTHERS[:2]),
    ],
)
def test_all_machines_below_something_are_read(
    double: Govmomi, admin: VsphereSession, below: str | None, names: list[str]
) -> None:
    before = sum(double.calls.values())
    rows = machines(admin, below, soon())
    assert sum(double.calls.values()) - before <= 5
    assert [row.name for row in rows] == names
    assert all(row.power == "poweredOn" and row.runs_on and row.instance_uuid for row in rows)


def test_what_is_not_there_to_be_read_below_is_said(double: Govmomi, admin: VsphereSession) -> None:
    with pytest.raises(InventoryError, match="DC0/vm/nowhere"):
        machines(admin, "DC0/vm/nowhere", soon())


@pytest.mark.parametrize(
    ("method", "power"), [("PowerOffVM_Task", PowerState.OFF), ("SuspendVM_Task", PowerState.UNKNOWN)]
)
def test_power_is_read_and_a_machine_that_is_not_on_gets_no_nmi(
    double: Govmomi, admin: VsphereSession, tmp_path: Path, method: str, power: PowerState
) -> None:
    vm = found(admin, MACHINE)
    with admin.asking(soon()):
        task = getattr(vm, method)()
    done(admin, task)
    with logged_in(double, tmp_path, MACHINE) as controller:
        assert controller.power_state(soon()) is power
        answer = controller.send_nmi(soon())
        with pytest.raises(PeerFailedError, match="no memory"):
            controller.take_snapshot("case", soon())
    assert (answer.outcome, double.nmis()) == (NmiOutcome.NOT_SENT, 0)
    assert "InvalidPowerState" in answer.detail
    assert double.calls["CreateSnapshot_Task"] == 0


def test_the_guest_is_described_as_far_as_it_is_known(
    double: Govmomi, admin: VsphereSession, tmp_path: Path
) -> None:
    with logged_in(double, tmp_path, MACHINE) as controller:
        assert controller.guest(soon()).heartbeat == "unknown"
        report(admin, MACHINE, guestHeartbeatStatus="red")
        guest = controller.guest(soon())
    assert (guest.power, guest.heartbeat, guest.connection) == (PowerState.ON, "red", "connected")
    assert guest.question is None


def test_events_come_oldest_first(double: Govmomi, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, MACHINE) as controller:
        events = controller.events(soon())
    assert "VmPoweredOnEvent" in [event.sensor for event in events]
    assert [event.time for event in events] == sorted(event.time for event in events if event.time)


def test_what_it_cannot_do_is_unsupported(double: Govmomi, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, MACHINE) as controller, pytest.raises(UnsupportedError):
        controller.screenshot(soon())


def test_nobody_resets_it_outside_a_cluster_and_unset_settings_are_no_all_clear(
    double: Govmomi, tmp_path: Path
) -> None:
    with logged_in(double, tmp_path, MACHINE) as controller:
        assert controller.watchdog(soon()).running is False
    with (
        logged_in(double, tmp_path, OTHERS[0]) as controller,
        pytest.raises(PeerFailedError, match="does not tell how vSphere HA"),
    ):
        controller.watchdog(soon())


@pytest.mark.parametrize("step", ["RetrieveServiceContent", "Login", "RetrievePropertiesEx"])
def test_a_server_that_falls_silent_costs_the_deadline_only(
    double: Govmomi, tmp_path: Path, step: str
) -> None:
    double.rules({step: Rule(Trouble.HANG_BEFORE)})
    started = time.monotonic()
    with pytest.raises(DeadlineError), logged_in(double, tmp_path, MACHINE, seconds=1.0):
        pass
    assert time.monotonic() - started < 8.0


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (vmodl.fault.NotImplemented(), NmiOutcome.NOT_SENT),
        (vim.fault.RestrictedVersion(), NmiOutcome.NOT_SENT),
        (vmodl.fault.HostNotConnected(), NmiOutcome.NOT_SENT),
        (vmodl.fault.HostNotReachable(), NmiOutcome.UNCERTAIN),
        (vim.fault.Timedout(), NmiOutcome.UNCERTAIN),
    ],
    ids=lambda each: str(type(each).__name__),
)
def test_a_fault_proves_a_refusal_or_nothing(
    double: Govmomi, tmp_path: Path, fault: vmodl.MethodFault, outcome: NmiOutcome
) -> None:
    double.rules({"SendNMI": Rule(Trouble.FAULT, fault=fault)})
    with logged_in(double, tmp_path, MACHINE) as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is outcome
    assert type(fault).__name__.rpartition(".")[2] in answer.detail
    assert (double.calls["SendNMI"], double.nmis()) == (1, 0)


# Files


@pytest.fixture
def files(double: Govmomi, tmp_path: Path) -> Iterator[VsphereDatastore]:
    with VsphereDatastore(endpoint(double), credential(tmp_path), soon()) as entered:
        yield entered


def test_folders_of_a_datastore_are_listed(files: VsphereDatastore) -> None:
    assert [entry.path for entry in files.list("/", soon())] == ["/LocalDS_0"]
    folders = {entry.path: entry.kind for entry in files.list("/LocalDS_0", soon())}
    assert folders == {f"/LocalDS_0/{name}": FileKind.FOLDER for name in (MACHINE, *OTHERS)}
    inside = {entry.path for entry in files.list(f"/LocalDS_0/{MACHINE}", soon())}
    assert {VMX, LOG} <= inside
    with pytest.raises(FileNotFoundError):
        files.list("/LocalDS_0/nowhere", soon())
    with pytest.raises(FileNotFoundError):
        files.stat(f"/LocalDS_0/{MACHINE}/nothing", soon())


def test_a_file_is_read_from_any_byte(files: VsphereDatastore) -> None:
    whole = b"".join(files.read(LOG, 0, 30.0))
    assert files.stat(LOG, soon()).size == len(whole) > 0
    for offset in (1, len(whole) - 1):
        assert b"".join(files.read(LOG, offset, 30.0)) == whole[offset:]
    assert b"".join(files.read(LOG, len(whole), 30.0)) == b""
    with pytest.raises(FileNotFoundError):
        list(files.read(f"/LocalDS_0/{MACHINE}/nothing", 0, 30.0))


# An ESXi host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Govmomi]:
    with govmomi(tmp_path, esxi=True) as running:
        yield running


@pytest.mark.parametrize("way", ["name", "path", "uuid"])
def test_a_machine_of_an_esxi_host_takes_an_nmi(host: Govmomi, tmp_path: Path, way: str) -> None:
    with session(host, tmp_path) as made:
        assert not made.vcenter
        (uuid,) = [row.instance_uuid for row in machines(made, None, soon()) if row.name == ON_ESXI]
    wanted = {"name": ON_ESXI, "path": f"ha-datacenter/vm/{ON_ESXI}", "uuid": uuid}[way]
    with logged_in(host, tmp_path, wanted) as controller:
        assert controller.power_state(soon()) is PowerState.ON
        assert controller.watchdog(soon()).running is False
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
    assert host.nmis() == 1


def test_snapshots_and_files_of_an_esxi_host(host: Govmomi, tmp_path: Path) -> None:
    with logged_in(host, tmp_path, ON_ESXI) as controller:
        (file,) = controller.take_snapshot("case", soon())
        with VsphereDatastore(endpoint(host), credential(tmp_path), soon()) as files:
            assert files.stat(file.path, soon()).size == file.size
        assert host.snapshots == {"case": 1}
        controller.remove_snapshot("case", soon())
    assert host.snapshots == {}


def test_the_sources_are_formatted() -> None:
    sources = [str(source) for source in HERE.rglob("*.go")]
    done = subprocess.run(
        [tool("gofmt", package="golang-go"), "-l", *sources], capture_output=True, check=True
    )
    assert done.stdout == b""
