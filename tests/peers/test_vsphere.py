"""A virtual machine behind vCenter or an ESXi host: what we see of it, and what a bad server can do to us."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from pyVmomi import vim, vmodl

from collector.adapters.answers import NmiOutcome, PowerState
from collector.adapters.base import EventLog, GuestView, NmiInjector, Power, Screen
from collector.adapters.limits import Deadline
from collector.adapters.vsphere import VsphereController, VsphereEndpoint
from collector.errors import (
    AdapterError,
    ConfigError,
    DeadlineError,
    ForbiddenError,
    HostKeyError,
    InventoryError,
    LoginRefusedError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)
from tests.peers.certificate import fingerprint, make_certificate
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere import credential, endpoint, logged_in
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import Vm


@pytest.fixture(params=[True, False], ids=["vcenter", "esxi"])
def double(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path, vcenter=request.param) as running:
        running.world.host.name = ADDRESS
        yield running


@pytest.fixture
def app07(double: VsphereDouble) -> Vm:
    return double.world.add_vm("app07", guest_name="app07.example.com", address="192.0.2.7")


def soon() -> Deadline:
    return Deadline.after(30)


def test_the_controller_has_its_capabilities() -> None:
    for capability in (Power, GuestView, Screen, EventLog, NmiInjector):
        assert issubclass(VsphereController, capability)


@pytest.mark.parametrize(
    ("state", "power"),
    [("poweredOn", PowerState.ON), ("poweredOff", PowerState.OFF), ("suspended", PowerState.UNKNOWN)],
)
def test_power_is_read(
    double: VsphereDouble, app07: Vm, tmp_path: Path, state: str, power: PowerState
) -> None:
    app07.power = state
    with logged_in(double, tmp_path, "app07") as controller:
        assert controller.power_state(soon()) is power
    assert double.sessions == {}, "it logs out"


def test_the_guest_is_described(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    app07.question = "The disk is full. Retry?"
    app07.heartbeat = "red"
    with logged_in(double, tmp_path, "app07") as controller:
        guest = controller.guest(soon())
    assert (guest.power, guest.heartbeat, guest.tools) == (PowerState.ON, "red", "guestToolsRunning")
    assert (guest.question, guest.runs_on) == ("The disk is full. Retry?", ADDRESS)
    assert guest.boot_time == datetime(2026, 7, 1, 8, tzinfo=UTC)


def test_a_screenshot_is_taken_and_fetched(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        assert controller.screenshot(soon()) == app07.screen


def test_a_screenshot_that_is_never_taken_ends_by_the_deadline(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.task_seconds = 60.0
    with logged_in(double, tmp_path, "app07") as controller, pytest.raises(DeadlineError, match="screenshot"):
        controller.screenshot(Deadline.after(1.0))


def test_a_task_that_fails_says_why(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    double.task_fault = vim.fault.NoDiskSpace(msg="Insufficient disk space on datastore.", datastore="ds")
    with (
        logged_in(double, tmp_path, "app07") as controller,
        pytest.raises(PeerFailedError, match="NoDiskSpace"),
    ):
        controller.screenshot(soon())


def test_events_of_two_days_come_oldest_first(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    double.log_event(app07, now - timedelta(minutes=1), "reset by HA")
    double.log_event(app07, now - timedelta(hours=1), "heartbeat lost")
    double.log_event(app07, now - timedelta(days=9), "long ago")
    with logged_in(double, tmp_path, "app07") as controller:
        found = controller.events(soon())
    assert [event.text for event in found] == ["heartbeat lost", "reset by HA"]
    assert (found[0].sensor, found[0].time) == ("GeneralUserEvent", now - timedelta(hours=1))


@pytest.mark.parametrize("way", ["name", "path", "instance_uuid", "bios_uuid", "dns", "address"])
def test_a_machine_is_found_by(double: VsphereDouble, app07: Vm, tmp_path: Path, way: str) -> None:
    double.world.add_vm("other", power="poweredOff")
    wanted = {
        "name": "app07",
        "path": app07.path(),
        "instance_uuid": app07.instance_uuid.upper().lower(),
        "bios_uuid": app07.bios_uuid,
        "dns": "app07.example.com",
        "address": "192.0.2.7",
    }[way]
    with logged_in(double, tmp_path, wanted) as controller:
        controller.send_nmi(soon())
    assert len(app07.nmis) == 1


def test_two_machines_of_one_name_are_refused_and_told_apart(double: VsphereDouble, tmp_path: Path) -> None:
    twins = []
    for number in (1, 2):
        center = double.world.add_datacenter(f"DC{number}")
        double.world.add_datastore(f"store{number}", center)
        twins.append(double.world.add_vm("app07", center))
    with pytest.raises(InventoryError) as caught, logged_in(double, tmp_path, "app07"):
        pass
    for twin in twins:
        assert twin.instance_uuid in caught.value.message
    assert double.sessions == {}, "it logged out"
    with logged_in(double, tmp_path, "app07", datacenter="DC2") as controller:
        controller.send_nmi(soon())
    assert [len(twin.nmis) for twin in twins] == [0, 1]


def test_an_unknown_machine_or_datacenter_is_refused(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    with (
        pytest.raises(InventoryError, match="no virtual machine 'app08'"),
        logged_in(double, tmp_path, "app08"),
    ):
        pass
    with (
        pytest.raises(InventoryError, match="no datacenters"),
        logged_in(double, tmp_path, "app07", datacenter="Mars"),
    ):
        pass
    with (
        pytest.raises(InventoryError, match="which virtual machine"),
        VsphereController(endpoint(double), credential(tmp_path), soon()),
    ):
        pass


def test_a_name_is_looked_up_in_one_read_of_all_machines(double: VsphereDouble, tmp_path: Path) -> None:
    for number in range(40):
        double.world.add_vm(f"app{number:02}")
    double.reader.largest_page = 15
    with logged_in(double, tmp_path, "app39"):
        assert double.calls["RetrievePropertiesEx"] + double.calls["ContinueRetrievePropertiesEx"] == 3


def test_a_refused_login_is_tried_once(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    wrong = credential(tmp_path, password="wrong")
    with pytest.raises(LoginRefusedError, match="InvalidLogin"):
        VsphereController(endpoint(double, vm="app07"), wrong, soon()).__enter__()
    assert double.logins == [False]


# TLS


def test_a_certificate_that_nobody_knows_gets_no_password(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    stranger = make_certificate(tmp_path / "stranger.pem", address=ADDRESS)
    for trust in ({"ca_file": stranger}, {"certificate_sha256": "0" * 64}):
        keys = {"vm": "app07", "ca_file": None, **trust}
        with pytest.raises(HostKeyError):
            VsphereController(endpoint(double, **keys), credential(tmp_path), soon()).__enter__()
    assert double.logins == []


def test_a_pinned_certificate_is_believed_until_it_changes(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    pin = fingerprint(double.certificate)
    with logged_in(double, tmp_path, "app07", certificate_sha256=f"SHA256:{pin.upper()}") as controller:
        assert controller.power_state(soon()) is PowerState.ON
        double.present(make_certificate(tmp_path / "new.pem", address=ADDRESS))
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.NOT_SENT, "the NMI has a connection of its own, and it proves it, too"
    assert "certificate" in answer.detail
    assert app07.nmis == []


def test_an_unverified_certificate_is_told(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, "app07", insecure_accept_any_certificate=True) as controller:
        assert "NOT verified" in controller.notices[0]
    with logged_in(double, tmp_path, "app07") as controller:
        assert controller.notices == ()


def test_a_ca_file_that_is_none_is_a_mistake_in_the_settings(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigError), logged_in(double, tmp_path, "app07", ca_file=tmp_path / "empty.pem"):
        pass


@pytest.mark.parametrize("pin", ["", "abc", "0" * 63, "g" * 64])
def test_a_fingerprint_of_another_length_is_refused(pin: str) -> None:
    with pytest.raises(ValidationError):
        VsphereEndpoint(certificate_sha256=pin)


def test_two_proofs_are_refused() -> None:
    with pytest.raises(ValidationError):
        VsphereEndpoint(certificate_sha256="0" * 64, insecure_accept_any_certificate=True)


# Deadlines


@pytest.mark.parametrize(
    "step", ["GET /sdk/vimServiceVersions.xml", "RetrieveServiceContent", "Login", "RetrievePropertiesEx"]
)
@pytest.mark.parametrize("trouble", [Trouble.HANG_AFTER, Trouble.DRIP])
def test_a_server_that_falls_silent_while_we_log_in_costs_the_deadline_only(
    double: VsphereDouble, app07: Vm, tmp_path: Path, step: str, trouble: Trouble
) -> None:
    double.rules[step] = Rule(trouble)
    started = time.monotonic()
    with pytest.raises(DeadlineError), logged_in(double, tmp_path, "app07", seconds=1.0):
        pass
    assert time.monotonic() - started < 8.0


def test_a_port_that_accepts_and_is_silent_costs_the_deadline_only(tmp_path: Path) -> None:
    with socket.create_server((ADDRESS, 0)) as listener:
        place = VsphereEndpoint(address=ADDRESS, port=listener.getsockname()[1], vm="app07")
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            VsphereController(place, credential(tmp_path), Deadline.after(1.0)).__enter__()
        assert time.monotonic() - started < 8.0


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server((ADDRESS, 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError):
        VsphereController(
            VsphereEndpoint(address=ADDRESS, port=port, vm="app07"), credential(tmp_path), soon()
        ).__enter__()


@pytest.mark.parametrize("trouble", [Trouble.GARBAGE, Trouble.STATUS, Trouble.PAGE])
@pytest.mark.parametrize("step", ["RetrieveServiceContent", "Login", "CreateContainerView"])
def test_what_is_no_vsphere_says_so(
    double: VsphereDouble, app07: Vm, tmp_path: Path, step: str, trouble: Trouble
) -> None:
    double.rules[step] = Rule(trouble)
    with pytest.raises(PeerFailedError), logged_in(double, tmp_path, "app07"):
        pass


def test_a_connection_that_was_closed_in_between_is_made_anew(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        controller.power_state(soon())
        double.listener.hang_up()
        time.sleep(0.2)
        assert controller.power_state(soon()) is PowerState.ON


def test_a_session_that_ended_asks_for_a_new_login(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        double.sessions.clear()
        with pytest.raises(UnreachableError, match="session"):
            controller.power_state(soon())


def test_a_missing_privilege_is_named(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    double.denied = {"VirtualMachine.Interact.CreateScreenshot"}
    with logged_in(double, tmp_path, "app07") as controller, pytest.raises(ForbiddenError) as caught:
        controller.screenshot(soon())
    assert "VirtualMachine.Interact.CreateScreenshot" in caught.value.message
    assert "role" in caught.value.hint


def test_a_method_that_does_not_exist_is_unsupported(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.rules["CreateScreenshot_Task"] = Rule(Trouble.MISSING)
    with logged_in(double, tmp_path, "app07") as controller, pytest.raises(UnsupportedError):
        controller.screenshot(soon())


# The NMI


FAULTS = [
    (vmodl.fault.NotSupported(), NmiOutcome.NOT_SENT),
    (vmodl.fault.NotImplemented(), NmiOutcome.NOT_SENT),
    (vim.fault.RestrictedVersion(), NmiOutcome.NOT_SENT),
    (vim.fault.TaskInProgress(task=vim.Task("task-1")), NmiOutcome.NOT_SENT),
    (vmodl.fault.HostNotConnected(), NmiOutcome.NOT_SENT),
    (vmodl.fault.HostNotReachable(), NmiOutcome.UNCERTAIN),
    (vmodl.fault.SystemError(reason="?"), NmiOutcome.UNCERTAIN),
    (vim.fault.Timedout(), NmiOutcome.UNCERTAIN),
    (vmodl.RuntimeFault(), NmiOutcome.UNCERTAIN),
]


@pytest.mark.parametrize(("fault", "outcome"), FAULTS, ids=lambda each: str(type(each).__name__))
def test_a_fault_proves_a_refusal_or_nothing(
    double: VsphereDouble, app07: Vm, tmp_path: Path, fault: vmodl.MethodFault, outcome: NmiOutcome
) -> None:
    double.rules["SendNMI"] = Rule(Trouble.FAULT, fault=fault)
    double.cgi_status = 403
    with logged_in(double, tmp_path, "app07") as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is outcome
    assert type(fault).__name__.rpartition(".")[2] in answer.detail
    assert double.calls["SendNMI"] == 1


@pytest.mark.parametrize("trouble", [Trouble.PAGE, Trouble.STATUS, Trouble.CUT, Trouble.DROP_BEFORE])
def test_an_answer_that_is_none_leaves_it_open_whether_the_nmi_went_out(
    double: VsphereDouble, app07: Vm, tmp_path: Path, trouble: Trouble
) -> None:
    double.rules["SendNMI"] = Rule(trouble)
    with logged_in(double, tmp_path, "app07") as controller:
        assert controller.send_nmi(soon()).outcome is NmiOutcome.UNCERTAIN
    assert double.calls["SendNMI"] == 1


@pytest.mark.parametrize("state", ["poweredOff", "suspended"])
def test_a_machine_that_is_not_on_gets_no_nmi(
    double: VsphereDouble, app07: Vm, tmp_path: Path, state: str
) -> None:
    app07.power = state
    with logged_in(double, tmp_path, "app07") as controller:
        answer = controller.send_nmi(soon())
    assert (answer.outcome, app07.nmis) == (NmiOutcome.NOT_SENT, [])
    assert state in answer.detail


def test_an_nmi_without_the_right_to_it_names_the_privilege(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.denied = {"VirtualMachine.Interact.GuestControl"}
    with logged_in(double, tmp_path, "app07") as controller:
        answer = controller.send_nmi(soon())
    assert (answer.outcome, app07.nmis) == (NmiOutcome.NOT_SENT, [])
    assert "VirtualMachine.Interact.GuestControl" in answer.detail


def test_a_machine_that_was_removed_after_the_look_up_gets_no_nmi(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        del double.world.nodes[app07.moid]
        answer = controller.send_nmi(soon())
    assert (answer.outcome, app07.nmis) == (NmiOutcome.NOT_SENT, [])


def test_a_machine_that_moved_to_another_host_gets_its_nmi(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        app07.host = double.world.add_host("esx02.example.com")
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
        assert controller.guest(soon()).runs_on == "esx02.example.com"
    assert len(app07.nmis) == 1


def test_a_server_that_is_gone_before_the_nmi_gets_none(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    with logged_in(double, tmp_path, "app07") as controller:
        double.listener.socket.close()
        double.listener.hang_up()
        answer = controller.send_nmi(Deadline.after(2.0))
    assert (answer.outcome, app07.nmis) == (NmiOutcome.NOT_SENT, [])
    assert "nothing was put on the wire" in answer.detail


@pytest.mark.parametrize("version", ["5.5", "6.0"])
def test_a_server_older_than_the_method_is_told_so(tmp_path: Path, version: str) -> None:
    with VsphereDouble(tmp_path, api_version=version) as double:
        vm = double.world.add_vm("app07")
        double.world.host.name = ADDRESS
        with logged_in(double, tmp_path, "app07") as controller:
            answer = controller.send_nmi(soon())
    sent = version != "5.5"
    assert (answer.outcome, len(vm.nmis)) == (NmiOutcome.SENT if sent else NmiOutcome.NOT_SENT, int(sent))


def test_no_error_or_repr_holds_the_password(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    wrong = credential(tmp_path, password="hunter2-hunter2")
    controller = VsphereController(endpoint(double, vm="app07"), wrong, soon())
    with pytest.raises(AdapterError) as caught:
        controller.__enter__()
    assert "hunter2" not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r} {controller!r}"
