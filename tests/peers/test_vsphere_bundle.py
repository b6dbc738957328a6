"""The second way to an NMI: the CGI for support bundles, where the first one is proved to be absent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl

from collector.adapters import vsphere_bundle
from collector.adapters.answers import NmiAnswer, NmiOutcome
from collector.adapters.limits import Deadline
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere import logged_in
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import Vm


@pytest.fixture(params=[True, False], ids=["vcenter", "esxi"])
def double(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VsphereDouble]:
    """One server is vCenter and the ESXi host at once; its method SendNMI does not exist."""
    with VsphereDouble(tmp_path, vcenter=request.param) as running:
        running.world.host.name = ADDRESS
        monkeypatch.setattr(vsphere_bundle, "_PORT", running.port)
        running.rules["SendNMI"] = Rule(Trouble.MISSING)
        yield running


@pytest.fixture
def app07(double: VsphereDouble) -> Vm:
    double.world.add_vm("app06")
    return double.world.add_vm("app07")


def send(double: VsphereDouble, folder: Path, seconds: float = 30.0) -> NmiAnswer:
    with logged_in(double, folder, "app07") as controller:
        return controller.send_nmi(Deadline.after(seconds))


def settled(double: VsphereDouble) -> int:
    """How many NMIs there were, once any that is still on its way has arrived."""
    time.sleep(double.cgi_delay + 0.3)
    return double.nmis()


def test_a_machine_gets_one_nmi_by_the_second_way(double: VsphereDouble, app07: Vm, tmp_path: Path) -> None:
    answer = send(double, tmp_path)
    assert (answer.outcome, settled(double), len(app07.nmis)) == (NmiOutcome.SENT, 1, 1)
    assert "MethodNotFound" in answer.detail
    assert double.tickets == {}, "the ticket was used up"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (404, NmiOutcome.NOT_SENT),
        (501, NmiOutcome.NOT_SENT),
        (401, NmiOutcome.NOT_SENT),
        (503, NmiOutcome.UNCERTAIN),
    ],
)
def test_a_status_proves_a_refusal_or_nothing(
    double: VsphereDouble, app07: Vm, tmp_path: Path, status: int, outcome: NmiOutcome
) -> None:
    double.cgi_status = status
    answer = send(double, tmp_path)
    assert answer.outcome is outcome
    assert str(status) in answer.detail


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.STALL, Trouble.HANG_AFTER, Trouble.DROP_AFTER])
def test_a_bundle_that_is_not_whole_leaves_it_open(
    double: VsphereDouble, app07: Vm, tmp_path: Path, trouble: Trouble
) -> None:
    double.rules["GET /cgi-bin"] = Rule(trouble)
    started = time.monotonic()
    answer = send(double, tmp_path, seconds=1.5)
    assert time.monotonic() - started < 10.0
    assert (answer.outcome, settled(double)) == (NmiOutcome.UNCERTAIN, 1)
    assert double.calls["GET /cgi-bin/vm-support.cgi"] == 1


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Trouble.HANG_AFTER),
        Rule(Trouble.DROP_AFTER),
        Rule(Trouble.PAGE),
        Rule(Trouble.FAULT_AFTER, fault=vmodl.fault.SystemError(reason="?")),
        Rule(Trouble.FAULT, fault=vim.fault.NoPermission()),
        Rule(Trouble.FAULT, fault=vim.fault.InvalidPowerState()),
    ],
    ids=lambda rule: str(rule.trouble),
)
def test_the_second_way_is_not_taken_unless_the_first_is_proved_absent(
    double: VsphereDouble, app07: Vm, tmp_path: Path, rule: Rule
) -> None:
    if rule.fault is not None and isinstance(rule.fault, vim.fault.NoPermission):
        rule.fault = vim.fault.NoPermission(
            object=app07.ref, privilegeId="VirtualMachine.Interact.GuestControl"
        )
    if rule.fault is not None and isinstance(rule.fault, vim.fault.InvalidPowerState):
        rule.fault = vim.fault.InvalidPowerState(existingState="poweredOff", requestedState="poweredOn")
    double.rules["SendNMI"] = rule
    send(double, tmp_path, seconds=1.5)
    assert double.calls["AcquireGenericServiceTicket"] == 0
    acts = rule.trouble is not Trouble.FAULT
    assert settled(double) == int(acts)


@pytest.mark.parametrize("trouble", [Trouble.MISSING, Trouble.HANG_AFTER, Trouble.DROP_BEFORE])
def test_without_a_ticket_nothing_is_sent(
    double: VsphereDouble, app07: Vm, tmp_path: Path, trouble: Trouble
) -> None:
    double.rules["AcquireGenericServiceTicket"] = Rule(trouble)
    answer = send(double, tmp_path, seconds=1.5)
    assert (answer.outcome, settled(double)) == (NmiOutcome.NOT_SENT, 0)


def test_a_host_that_is_not_the_one_vcenter_knows_gets_no_ticket(
    double: VsphereDouble, app07: Vm, tmp_path: Path
) -> None:
    double.fingerprint = "0" * 64
    answer = send(double, tmp_path)
    known_by_vcenter_only = double.vcenter
    expected = (NmiOutcome.NOT_SENT, 0) if known_by_vcenter_only else (NmiOutcome.SENT, 1)
    assert (answer.outcome, settled(double)) == expected
    assert double.calls["GET /cgi-bin/vm-support.cgi"] == expected[1]
