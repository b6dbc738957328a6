"""A scripted machine: hangs, loses answers, refuses, crashes, dumps slowly, reboots, never comes back.

A product class, not a mock: the demo of a playbook, the contract suites and the scenarios all use it.
It counts what reaches it (`nmis`, `mutations`, `logins`), so that "at most once" and "a dry run changes
nothing" are asserted at the peer.
"""

from __future__ import annotations

import fnmatch
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import (
    CommandResult,
    FileKind,
    LogEvent,
    NmiAnswer,
    NmiOutcome,
    PowerState,
    RemoteFile,
    SnapshotPrice,
    StopSensor,
    WatchdogState,
)
from collector.adapters.limits import Deadline
from collector.errors import DeadlineError, LoginRefusedError, PeerFailedError, UnreachableError
from collector.model.host import Credential, Endpoint

WATCHDOG_STOPPED = WatchdogState(running=False, action="none", initial_s=None, present_s=None)


class Answer(StrEnum):
    """What the fake's controller does with the one NMI request."""

    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"  # says no, and nothing reaches the machine
    LOSE = "lose"  # the NMI acts, the answer is lost
    SWALLOW = "swallow"  # neither the NMI nor an answer arrives
    EXPLODE = "explode"  # acts, then the library raises something unforeseen


class Life(StrEnum):
    """The phases of the machine."""

    RUNNING = "running"
    HUNG = "hung"
    DUMPING = "dumping"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Script:
    """How the machine behaves. Times in seconds from the NMI."""

    answer: Answer = Answer.ACKNOWLEDGE
    answer_after: float = 0.0
    refuse_login: bool = False
    controller_reachable: bool = True
    panics: bool = True  # False: the NMI is ignored and the hang goes on
    dump_after: float = 0.1  # seconds the capture kernel works; then the host is back
    comes_back: bool = True
    dump: bytes | None = b"KDUMP   "
    dump_name: str = "vmcore"
    dump_appears_after: float = 0.0  # seconds after the host is back
    cut_reads_after: int | None = None  # bytes after which the first read of a file is cut off
    watchdog: WatchdogState = WATCHDOG_STOPPED
    armed: bool = True
    free: int | None = 1 << 40  # bytes for a snapshot; None: not known
    lose_snapshot: bool = False  # it is taken, the answer is lost


@dataclass(slots=True)
class FakeMachine:
    """One machine, and the record of everything that reached it."""

    name: str
    script: Script = field(default_factory=Script)
    life: Life = Life.HUNG
    nmis: list[float] = field(default_factory=list)
    mutations: int = 0
    logins: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    commands: dict[str, bytes] = field(default_factory=dict)
    snapshots: list[str] = field(default_factory=list)
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _booted: float = field(default_factory=lambda: time.monotonic() - 86_400.0)
    _made: float = field(default_factory=time.monotonic)
    _crashed: float | None = None
    _written: dict[str, float] = field(default_factory=dict)
    _cuts: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def receive_nmi(self) -> None:
        """The interrupt arrives at the CPU. A second one during the dump destroys it, as on real hosts."""
        with self._lock:
            self.nmis.append(time.monotonic())
            self.mutations += 1
            if not self.script.panics:
                return
            if self.now() is Life.DUMPING:
                self.script = replace(self.script, dump=None)
                return
            self.life, self._crashed = Life.DUMPING, time.monotonic()

    def now(self) -> Life:
        """The phase at this moment; the machine reboots by itself when its dump is done."""
        with self._lock:
            if self.life is Life.DUMPING and self._crashed is not None and self.script.comes_back:
                back = self._crashed + self.script.dump_after
                if time.monotonic() >= back:
                    self.life, self._booted, self.boot_id = Life.RUNNING, back, str(uuid.uuid4())
            self._maybe_dump()
            return self.life

    def _maybe_dump(self) -> None:
        if self.life is not Life.RUNNING or self._crashed is None or self.script.dump is None:
            return
        appears = self._booted + self.script.dump_appears_after
        if time.monotonic() >= appears:
            stamp = time.strftime("%Y-%m-%d-%H:%M:%S", time.gmtime(self._wall(self._crashed)))
            folder = f"/var/crash/127.0.0.1-{stamp}"
            self.files[f"{folder}/{self.script.dump_name}"] = self.script.dump
            self.files[f"{folder}/vmcore-dmesg.txt"] = b"Kernel panic - not syncing: NMI\n"
            self._written |= {path: appears for path in self.files if path.startswith(folder)}
            self._crashed = None

    def uptime(self) -> float:
        """Seconds since the last boot."""
        return time.monotonic() - self._booted

    def modified(self, path: str) -> float:
        """Modification time: dumps were written when they appeared, all else an hour before."""
        return self._wall(self._written.get(path, self._made - 3600.0))

    @staticmethod
    def _wall(monotonic: float) -> float:
        return time.time() - (time.monotonic() - monotonic)


MACHINES: dict[str, FakeMachine] = {}
"""Machines by name; a settings file with `type: fake` names one of them."""


class FakeEndpoint(Endpoint):
    """`machine` names a `FakeMachine` that lives in this process."""

    type: Literal["fake"] = Field(default="fake", description="The scripted machine of demos and tests.")
    machine: str = Field(description="Name of a machine in this process; made on first use, and hung.")


class _Fake:
    settings: ClassVar[type[Endpoint]] = FakeEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, FakeEndpoint)
        self.machine = MACHINES.setdefault(endpoint.machine, FakeMachine(endpoint.machine))

    def __exit__(self, *exc: object) -> None:
        return None


class FakeController(_Fake):
    """The machine's controller: power, NMI, event log, watchdog, sensors, screen."""

    def __enter__(self) -> Self:
        script = self.machine.script
        if not script.controller_reachable:
            raise UnreachableError(
                "the controller does not answer", hint="Check its address and the management network."
            )
        self.machine.logins += 1
        if script.refuse_login:
            raise LoginRefusedError(
                "the controller refused the login", hint="Correct the credential; it was tried once."
            )
        return self

    def power_state(self, deadline: Deadline) -> PowerState:
        """Off only when the machine is off."""
        return PowerState.OFF if self.machine.now() is Life.OFF else PowerState.ON

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """Act and answer as the script says."""
        script = self.machine.script
        if deadline.expired:
            return NmiAnswer(NmiOutcome.NOT_SENT, "nothing was sent: the time was up")
        if script.answer is Answer.REFUSE:
            return NmiAnswer(NmiOutcome.NOT_SENT, "the controller refused: not supported in present state")
        if script.answer is not Answer.SWALLOW:
            self.machine.receive_nmi()
        if script.answer is Answer.EXPLODE:
            raise RuntimeError("unforeseen")
        if script.answer is Answer.ACKNOWLEDGE and script.answer_after <= deadline.remaining():
            time.sleep(script.answer_after)
            return NmiAnswer(NmiOutcome.SENT, "the controller acknowledged the NMI")
        time.sleep(deadline.remaining())
        return NmiAnswer(NmiOutcome.UNCERTAIN, f"no answer in {deadline.seconds:g} s")

    def snapshot_price(self, deadline: Deadline) -> SnapshotPrice:
        """As large as the dump."""
        self._require_memory(deadline)
        return SnapshotPrice(
            len(self.machine.script.dump or b""), self.machine.script.free, "it stands still"
        )

    def take_snapshot(self, name: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """The dump as a file of the snapshot's name; the answer is lost once if the script says so."""
        self._require_memory(deadline)
        path = f"/snapshots/{name}/memory"
        if path not in self.machine.files:
            self.machine.mutations += 1
            self.machine.snapshots.append(name)
            self.machine.files[path] = self.machine.script.dump or b""
            if self.machine.script.lose_snapshot:
                raise DeadlineError("no answer in time", hint="It may have been taken.")
        data = self.machine.files[path]
        return [RemoteFile(path, FileKind.FILE, len(data), self.machine.modified(path))]

    def remove_snapshot(self, name: str, deadline: Deadline) -> None:
        """Remove its file."""
        self.machine.mutations += 1
        self.machine.files.pop(f"/snapshots/{name}/memory", None)

    def _require_memory(self, deadline: Deadline) -> None:
        if deadline.expired:
            raise DeadlineError("no time is left", hint="Give the step a longer deadline.")
        if self.machine.now() is Life.OFF:
            raise PeerFailedError("the machine is off: it has no memory to keep", hint="Switch it on.")

    def events(self, deadline: Deadline) -> Sequence[LogEvent]:
        """One record per NMI that arrived."""
        return [
            LogEvent(str(number), None, "Critical Interrupt", "NMI/Diag Interrupt")
            for number, _ in enumerate(self.machine.nmis, 1)
        ]

    def watchdog(self, deadline: Deadline) -> WatchdogState:
        """The script's."""
        return self.machine.script.watchdog

    def stop_sensors(self, deadline: Deadline) -> Sequence[StopSensor]:
        """Never any: most BMCs notice nothing."""
        return []

    def screenshot(self, deadline: Deadline) -> bytes:
        """The smallest PNG there is: one black pixel."""
        return _BLACK_PIXEL


class FakeChannel(_Fake):
    """A shell and files on the machine, while user mode lives."""

    def __enter__(self) -> Self:
        life = self.machine.now()
        if life is Life.HUNG:
            raise DeadlineError(
                "the host accepts connections but says nothing", hint="It may be hung; probe it."
            )
        if life is not Life.RUNNING:
            raise UnreachableError("the host does not answer", hint="Wait, or look at its console.")
        self.machine.logins += 1
        return self

    def run(self, command: str, deadline: Deadline, *, limit: int = 16 * 1024 * 1024) -> CommandResult:
        """Answer from the machine's table of commands; anything else is not found."""
        self._require_life()
        if command in self.machine.commands:
            output = self.machine.commands[command]
            return CommandResult(0, output[:limit], b"", truncated=len(output) > limit)
        if "boot_id" in command:
            return CommandResult(0, self._facts(), b"")
        return CommandResult(127, b"", b"not found\n")

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Direct children, files and folders."""
        self._require_life()
        prefix = folder.rstrip("/") + "/"
        inside = [path for path in self.machine.files if path.startswith(prefix)]
        if not inside:
            raise FileNotFoundError(folder)
        names = sorted({path[len(prefix) :].split("/", 1)[0] for path in inside})
        return [self._entry(prefix + name) for name in names]

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """Size and time of one path."""
        self._require_life()
        return self._entry(path)

    def read(self, path: str, offset: int, stall: float) -> Iterator[bytes]:
        """The file's bytes, cut off once if the script says so."""
        self._require_life()
        if path not in self.machine.files:
            raise FileNotFoundError(path)
        data, chunk = self.machine.files[path], 64 * 1024
        cut = self.machine.script.cut_reads_after
        for start in range(offset, len(data), chunk):
            if cut is not None and self.machine._cuts == 0 and start >= cut:
                self.machine._cuts += 1
                raise UnreachableError("the connection was cut", hint="It is resumed by itself.")
            yield data[start : start + chunk]

    def _require_life(self) -> None:
        if self.machine.now() is not Life.RUNNING:
            raise PeerFailedError("the machine stopped answering", hint="Probe it again.")

    def _entry(self, path: str) -> RemoteFile:
        if path in self.machine.files:
            return RemoteFile(path, FileKind.FILE, len(self.machine.files[path]), self.machine.modified(path))
        if any(fnmatch.fnmatchcase(name, path.rstrip("/") + "/*") for name in self.machine.files):
            return RemoteFile(path, FileKind.FOLDER, 0, self.machine.modified(path))
        raise FileNotFoundError(path)

    def _facts(self) -> bytes:
        machine = self.machine
        armed = int(machine.script.armed)
        facts = {
            "boot_id": machine.boot_id,
            "uptime": f"{machine.uptime():.2f} 0.00",
            "clock": f"{int(time.time())}",
            "release": "4.18.0-553.el8_10.x86_64",
            "kexec_crash_loaded": str(armed),
            "kexec_crash_size": str(armed * 268435456),
            "unknown_nmi_panic": str(int(machine.script.panics)),
            "panic_on_unrecovered_nmi": "0",
            "cmdline": "root=/dev/vda1 crashkernel=256M",
        }
        return "".join(f"{key}={value}\n" for key, value in facts.items()).encode()


_BLACK_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
