"""The controllers that the contract suites run over, each with a peer that counts what arrives.

A new adapter adds one entry to `RIGS`: a context manager that takes the trouble its peer is to make and
yields the controller, logged in, and the count of NMIs that arrived at the peer.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pytest
from pyVmomi import vmodl

from collector.adapters.base import NmiInjector
from collector.adapters.fake import MACHINES, Answer, FakeController, FakeEndpoint, FakeMachine, Script
from collector.adapters.limits import Deadline
from collector.lab.bmc import Bmc, Board, Faults
from tests.peers import hyperv_login as hyperv
from tests.peers import qmp, wsman
from tests.peers.bmc import logged_in
from tests.peers.esxi_shell import esxi_shell
from tests.peers.govmomi import BUILD_S, MACHINE, govmomi
from tests.peers.hyperv_host import HypervHost, Machine, answered
from tests.peers.soap_server import Rule
from tests.peers.soap_server import Trouble as Mischief
from tests.peers.vsphere import logged_in as at_vcenter
from tests.peers.vsphere import one_machine
from tests.peers.wsman_powershell import Answer as Printed


class Trouble(StrEnum):
    """What the peer does with the one request for an NMI."""

    NONE = "none"
    ANSWER_LATE = "answer late by 3 s"
    FIRST_ANSWER_LOST = "first answer lost"
    ALL_ANSWERS_LOST = "all answers lost"
    CONNECTION_GONE = "connection gone after the act"
    WRONG_CODE = "acts and reports a failure"
    GARBAGE = "acts and answers garbage"
    REFUSED = "refuses without acting"


@dataclass(frozen=True)
class Rig:
    """A logged-in controller, how many NMIs its peer has received, and whether the peer will say nothing."""

    controller: NmiInjector
    arrived: Callable[[], int]
    silent: bool = False


@contextlib.contextmanager
def _ipmi(trouble: Trouble) -> Iterator[Rig]:
    faults = {
        Trouble.NONE: Faults(),
        Trouble.ANSWER_LATE: Faults(delay=3.0),
        Trouble.FIRST_ANSWER_LOST: Faults(lose=1),
        Trouble.ALL_ANSWERS_LOST: Faults(lose=math.inf),
        Trouble.CONNECTION_GONE: Faults(vanish=True),
        Trouble.WRONG_CODE: Faults(fail=0xFF),
        Trouble.GARBAGE: Faults(garbage=True),
        Trouble.REFUSED: Faults(refuse=0xD5),
    }
    with Bmc(Board(), faults=faults[trouble]) as bmc, logged_in(bmc.port) as controller:
        yield Rig(controller, lambda: len(bmc.nmis))


@contextlib.contextmanager
def _qmp(trouble: Trouble) -> Iterator[Rig]:
    def answer(number: int) -> bytes | None:
        if trouble is Trouble.ANSWER_LATE:
            time.sleep(3.0)
        return {
            Trouble.FIRST_ANSWER_LOST: b"",
            Trouble.ALL_ANSWERS_LOST: b"",
            Trouble.CONNECTION_GONE: None,
            Trouble.WRONG_CODE: qmp.FAILED % number + b"\r\n",
            Trouble.GARBAGE: b"\xff}{\r\n",
            Trouble.REFUSED: qmp.REFUSED % number + b"\r\n",
        }.get(trouble, qmp.OK % number + b"\r\n")

    acts = trouble is not Trouble.REFUSED
    with qmp.Monitor(answer, acts=acts) as monitor, qmp.logged_in(monitor.port) as controller:
        yield Rig(controller, lambda: monitor.nmis)


@contextlib.contextmanager
def _fake(trouble: Trouble) -> Iterator[Rig]:
    script = {
        Trouble.NONE: Script(),
        Trouble.ANSWER_LATE: Script(answer_after=3.0),
        Trouble.REFUSED: Script(answer=Answer.REFUSE),
    }.get(trouble, Script(answer=Answer.LOSE))
    name = f"contract {uuid.uuid4()}"
    machine = MACHINES.setdefault(name, FakeMachine(name, script))
    endpoint = FakeEndpoint(machine=name)
    with FakeController(endpoint, None, Deadline.after(5.0)) as controller:
        yield Rig(controller, lambda: len(machine.nmis), silent=script.answer is Answer.LOSE)


@contextlib.contextmanager
def _hyperv(trouble: Trouble) -> Iterator[Rig]:
    host = HypervHost(machines={"SQL01": [Machine("6f1d1b0e-0000-4000-8000-000000000001")]})
    with hyperv.served(host) as (server, controller):
        answers = {
            Trouble.ANSWER_LATE: answered({"outcome": "sent"}, after=3.0),
            Trouble.WRONG_CODE: answered(
                {"outcome": "failed", "asked": True, "category": "NotSpecified", "words": "Failed."}
            ),
            Trouble.GARBAGE: Printed(stdout=b"\xff}{"),
        }
        faults = {
            Trouble.FIRST_ANSWER_LOST: {"Send": wsman.lost_answer},
            Trouble.ALL_ANSWERS_LOST: {"Receive": wsman.silence},
            Trouble.CONNECTION_GONE: {"Send": wsman.reset_after},
        }
        if trouble in answers:
            host.answers["hyperv_nmi"] = answers[trouble]
        if trouble is Trouble.REFUSED:
            host.machines["SQL01"][0].state = "Saved"
        server.trouble |= faults.get(trouble, {})
        yield Rig(controller, lambda: len(host.nmis))


VSPHERE_RULES = {
    Trouble.ANSWER_LATE: Rule(Mischief.SLOW, seconds=3.0),
    Trouble.FIRST_ANSWER_LOST: Rule(Mischief.HANG_AFTER, times=1),
    Trouble.ALL_ANSWERS_LOST: Rule(Mischief.HANG_AFTER),
    Trouble.CONNECTION_GONE: Rule(Mischief.DROP_AFTER),
    Trouble.WRONG_CODE: Rule(Mischief.FAULT_AFTER, fault=vmodl.fault.SystemError(reason="failed")),
    Trouble.GARBAGE: Rule(Mischief.GARBAGE),
    Trouble.REFUSED: Rule(Mischief.FAULT, fault=vmodl.fault.NotSupported()),
}


@contextlib.contextmanager
def _vsphere(trouble: Trouble) -> Iterator[Rig]:
    rule = VSPHERE_RULES.get(trouble)
    with one_machine(replace(rule) if rule else None) as (controller, double):
        yield Rig(controller, double.nmis)


@contextlib.contextmanager
def _govmomi(trouble: Trouble) -> Iterator[Rig]:
    rule = VSPHERE_RULES.get(trouble)
    with tempfile.TemporaryDirectory() as folder, govmomi(Path(folder)) as double:
        double.rules({"SendNMI": rule} if rule else {})
        with at_vcenter(double, Path(folder), MACHINE) as controller:
            yield Rig(controller, double.nmis)


@contextlib.contextmanager
def _esxi_vm(trouble: Trouble) -> Iterator[Rig]:
    then = {
        Trouble.ANSWER_LATE: "sleep 3; echo Sending NMI to guest...",
        Trouble.FIRST_ANSWER_LOST: "sleep 60",
        Trouble.ALL_ANSWERS_LOST: "sleep 60",
        Trouble.CONNECTION_GONE: "kill -9 $(ps -o ppid= -p $PPID)",
        Trouble.WRONG_CODE: "echo Failed >&2; exit 1",
        Trouble.GARBAGE: "head -c 300 /dev/urandom",
    }.get(trouble, "echo Sending NMI to guest...")
    with (
        tempfile.TemporaryDirectory() as folder,
        esxi_shell(Path(folder), then=then) as host,
        host.controller() as controller,
    ):
        if trouble is Trouble.REFUSED:
            (host.folder / "vmdumper").unlink()
        yield Rig(controller, lambda: len(host.nmis()))


RIGS: Mapping[str, Callable[[Trouble], AbstractContextManager[Rig]]] = {
    "esxi-vm": _esxi_vm,
    "fake": _fake,
    "hyperv": _hyperv,
    "ipmi": _ipmi,
    "qmp": _qmp,
    "vsphere": _vsphere,
    "vsphere-govmomi": _govmomi,
}

BUILT = {"vsphere-govmomi"}
ADAPTERS = [pytest.param(name, marks=pytest.mark.timeout(BUILD_S) if name in BUILT else ()) for name in RIGS]
"""The names of the rigs; a peer that may have to be built first gets the time for it."""
