"""Whoever writes the memory out without a crash, each with a peer that counts the snapshots it began.

A new adapter adds one entry to `RIGS`: a context manager that takes an empty folder and yields a rig. What
its peer can be made to do stands in the rig's `abilities` and `losses`; the suite asks for nothing else.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

import pytest
from pyVmomi import vim, vmodl

from collector.adapters.base import MemorySnapshot
from collector.adapters.fake import MACHINES, FakeController, FakeEndpoint, FakeMachine, Life, Script
from collector.adapters.limits import Deadline
from collector.adapters.live_dump import LiveDump, LiveDumpEndpoint
from collector.adapters.vsphere_tasks import result_of
from tests.peers.govmomi import BUILD_S, MACHINE, Govmomi, govmomi
from tests.peers.soap_server import Rule
from tests.peers.soap_server import Trouble as Mischief
from tests.peers.vsphere import logged_in, session
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.windows_dumper import Windows
from tests.peers.winrm_login import winrm_keys, winrm_login
from tests.peers.wsman import Wsman, lost_answer, reset_after, silence, status, wsman

HELD_S = 3.0
"""Seconds that a snapshot takes which is to be found under way."""


class Loss(StrEnum):
    """What becomes of the one request for a snapshot."""

    SWALLOWED = "neither act nor answer"
    NO_ANSWER = "act and no answer"
    GONE = "connection gone after the act"
    GARBAGE = "act and garbage"
    UNAVAILABLE = "act and HTTP 503"
    FAILURE = "act and a failure reported"


class Ability(StrEnum):
    """What a peer can be made to do, beside losing answers."""

    SLOW = "take a while"
    SILENT = "never answer"
    OFF = "have no memory"
    FULL = "have little room"
    REFUSE = "say that it cannot"


class Rig(Protocol):
    """One machine, and whoever takes its snapshots."""

    abilities: ClassVar[frozenset[Ability]]
    losses: ClassVar[frozenset[Loss]]

    def login(self) -> AbstractContextManager[MemorySnapshot]:
        """The adapter, logged in anew."""

    def begun(self) -> int:
        """How many snapshots the peer has begun to take, ever."""

    def there(self) -> list[str]:
        """The names of the snapshots that are there or under way, in order."""

    def somebody_takes(self, name: str) -> None:
        """Somebody else takes a snapshot."""

    def lose(self, loss: Loss) -> None:
        """Make this trouble with the next request for a snapshot."""

    def make(self, ability: Ability) -> None:
        """Be like that from now on."""

    def recover(self) -> None:
        """Make no more trouble."""


@dataclass
class _Fake:
    machine: FakeMachine
    abilities = frozenset({Ability.OFF, Ability.FULL})
    losses = frozenset({Loss.NO_ANSWER})

    def login(self) -> AbstractContextManager[FakeController]:
        return FakeController(FakeEndpoint(machine=self.machine.name), None, Deadline.after(5.0))

    def begun(self) -> int:
        return len(self.machine.snapshots)

    def there(self) -> list[str]:
        return sorted(path.split("/")[2] for path in self.machine.files if path.startswith("/snapshots/"))

    def somebody_takes(self, name: str) -> None:
        self.machine.files[f"/snapshots/{name}/memory"] = b"theirs"

    def lose(self, loss: Loss) -> None:
        self.machine.script = replace(self.machine.script, lose_snapshot=True)

    def make(self, ability: Ability) -> None:
        if ability is Ability.OFF:
            self.machine.life = Life.OFF
        else:
            self.machine.script = replace(self.machine.script, free=1)

    def recover(self) -> None:
        self.machine.script = replace(self.machine.script, lose_snapshot=False)


LOST = {
    Loss.SWALLOWED: Rule(Mischief.HANG_BEFORE, times=1),
    Loss.NO_ANSWER: Rule(Mischief.HANG_AFTER, times=1),
    Loss.GONE: Rule(Mischief.DROP_AFTER, times=1),
    Loss.GARBAGE: Rule(Mischief.GARBAGE, times=1),
    Loss.UNAVAILABLE: Rule(Mischief.STATUS, times=1),
    Loss.FAILURE: Rule(Mischief.FAULT_AFTER, fault=vmodl.fault.SystemError(reason="failed"), times=1),
}
REFUSED = Rule(Mischief.FAULT, fault=vim.fault.RestrictedVersion())
SILENT = Rule(Mischief.HANG_BEFORE)


@dataclass
class _Vsphere:
    double: VsphereDouble
    folder: Path
    abilities = frozenset(Ability)
    losses = frozenset(LOST)

    def __post_init__(self) -> None:
        self.vm = self.double.world.add_vm("app07")
        self.double.task_seconds = 0.05

    def login(self) -> AbstractContextManager[MemorySnapshot]:
        return logged_in(self.double, self.folder, "app07")

    def begun(self) -> int:
        tasks = [node for node in self.double.world.nodes.values() if node.kind is vim.Task]
        return sum(task.info.descriptionId == "VirtualMachine.createSnapshot" for task in tasks)

    def there(self) -> list[str]:
        return sorted(node.name for node in self.double.world.nodes.values() if node.kind is vim.vm.Snapshot)

    def somebody_takes(self, name: str) -> None:
        self.double.add_snapshot(self.vm, name)

    def lose(self, loss: Loss) -> None:
        self.double.rules["CreateSnapshot_Task"] = replace(LOST[loss])

    def make(self, ability: Ability) -> None:
        if ability is Ability.SLOW:
            self.double.task_seconds = HELD_S
        elif ability is Ability.SILENT:
            self.double.rules["RetrievePropertiesEx"] = SILENT
        elif ability is Ability.OFF:
            self.vm.power = "poweredOff"
        elif ability is Ability.FULL:
            self.double.world.datastore.free = 1
        else:
            self.double.rules["CreateSnapshot_Task"] = REFUSED

    def recover(self) -> None:
        self.double.rules.clear()


@dataclass
class _Govmomi:
    double: Govmomi
    folder: Path
    abilities = frozenset({Ability.SILENT, Ability.OFF, Ability.REFUSE})
    losses = frozenset(LOST)
    theirs = 0

    def login(self) -> AbstractContextManager[MemorySnapshot]:
        return logged_in(self.double, self.folder, MACHINE)

    def begun(self) -> int:
        return self.double.acts["CreateSnapshot_Task"] - self.theirs

    def there(self) -> list[str]:
        return sorted(self.double.snapshots.elements())

    def somebody_takes(self, name: str) -> None:
        self.theirs += 1
        self._do(lambda vm: vm.CreateSnapshot_Task(name, "", False, False))

    def lose(self, loss: Loss) -> None:
        self.double.rules({"CreateSnapshot_Task": LOST[loss]})

    def make(self, ability: Ability) -> None:
        if ability is Ability.OFF:
            self._do(lambda vm: vm.PowerOffVM_Task())
        elif ability is Ability.SILENT:
            self.double.rules({"RetrievePropertiesEx": SILENT})
        else:
            self.double.rules({"CreateSnapshot_Task": REFUSED})

    def recover(self) -> None:
        self.double.rules({})

    def _do(self, work: Callable[[vim.VirtualMachine], vim.Task]) -> None:
        soon = Deadline.after(30.0)
        with session(self.double, self.folder) as admin:
            with admin.asking(soon):
                task = work(admin.content.searchIndex.FindByInventoryPath(f"DC0/vm/{MACHINE}"))
            result_of(admin, task, "what a test needs", soon)


@dataclass
class _LiveDump:
    windows: Windows
    server: Wsman
    folder: Path
    abilities = frozenset({Ability.SLOW, Ability.SILENT, Ability.FULL, Ability.REFUSE})
    losses = frozenset({Loss.NO_ANSWER, Loss.GONE, Loss.GARBAGE, Loss.UNAVAILABLE})

    def login(self) -> AbstractContextManager[LiveDump]:
        endpoint = LiveDumpEndpoint.model_validate(winrm_keys(self.server))
        return LiveDump(endpoint, winrm_login(self.folder), Deadline.after(30.0))

    def begun(self) -> int:
        return self.windows.starts

    def there(self) -> list[str]:
        return sorted(self.windows.started)

    def somebody_takes(self, name: str) -> None:
        self.windows.started[name] = "windows"

    def lose(self, loss: Loss) -> None:
        made = {
            Loss.NO_ANSWER: lost_answer,
            Loss.GONE: reset_after,
            Loss.GARBAGE: status(200, acts=True, body=b"\xff}{"),
            Loss.UNAVAILABLE: status(503, acts=True),
        }[loss]

        def from_now_on() -> None:
            self.server.trouble["Receive"] = made

        self.windows.on_start = from_now_on

    def make(self, ability: Ability) -> None:
        if ability is Ability.SLOW:
            self.windows.looks = 1
        elif ability is Ability.SILENT:
            self.server.trouble["Any"] = silence
        elif ability is Ability.FULL:
            self.windows.free = 1
        else:
            self.windows.build = 9600  # Windows Server 2012 R2, which cannot do it by itself

    def recover(self) -> None:
        self.windows.on_start = lambda: None
        self.server.trouble.clear()


@contextlib.contextmanager
def _fake(folder: Path) -> Iterator[Rig]:
    name = f"snapshots {uuid.uuid4()}"
    yield _Fake(MACHINES.setdefault(name, FakeMachine(name, Script())))


@contextlib.contextmanager
def _vsphere(folder: Path) -> Iterator[Rig]:
    with VsphereDouble(folder) as double:
        yield _Vsphere(double, folder)


@contextlib.contextmanager
def _govmomi(folder: Path) -> Iterator[Rig]:
    with govmomi(folder) as double:
        yield _Govmomi(double, folder)


@contextlib.contextmanager
def _live_dump(folder: Path) -> Iterator[Rig]:
    windows = Windows(looks=0)
    with wsman(folder / "wsman", windows.answer) as server:
        yield _LiveDump(windows, server, folder)


RIGS: Mapping[str, tuple[type[Rig], Callable[[Path], AbstractContextManager[Rig]]]] = {
    "fake": (_Fake, _fake),
    "live-dump": (_LiveDump, _live_dump),
    "vsphere": (_Vsphere, _vsphere),
    "vsphere-govmomi": (_Govmomi, _govmomi),
}


def takers(ability: Ability | None = None) -> list[object]:
    """The names of the rigs whose peer has the ability, as parameters."""
    return [_named(name) for name, (kind, _) in RIGS.items() if ability is None or ability in kind.abilities]


def losing() -> list[object]:
    """Every rig with each of its losses, as parameters."""
    return [_named(name, loss) for name, (kind, _) in RIGS.items() for loss in Loss if loss in kind.losses]


def _named(name: str, *more: object) -> object:
    built = name == "vsphere-govmomi"
    return pytest.param(name, *more, marks=pytest.mark.timeout(BUILD_S) if built else ())
