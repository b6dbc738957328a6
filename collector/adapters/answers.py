"""What a machine answers to the questions of `base.py`: frozen data, the same from every adapter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Chunk = bytes | memoryview
"""The next bytes of a file. They stay what they are for as long as they, or a part of them, are held."""


class PowerState(StrEnum):
    """What the controller says of the host's power."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class NmiOutcome(StrEnum):
    """What the one attempt to send an NMI came to."""

    SENT = "sent"  # the peer acknowledged it
    NOT_SENT = "not sent"  # the peer refused before acting: proven by its own answer
    UNCERTAIN = "uncertain"  # no answer, or one that proves nothing


@dataclass(frozen=True, slots=True)
class NmiAnswer:
    """The outcome of `send_nmi`, and the words of the peer that prove it."""

    outcome: NmiOutcome
    detail: str


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One record of a controller's event log. `time` is the controller's own clock, when it has one."""

    id: str
    time: datetime | None
    sensor: str
    text: str
    raw: str = ""


HA_RESET = "reset by vSphere HA"
"""What VM Monitoring does to a virtual machine that it takes for hung."""


@dataclass(frozen=True, slots=True)
class WatchdogState:
    """The controller's watchdog timer. Countdowns in seconds; None where the controller did not say."""

    running: bool
    action: str  # none, hard reset, power down, power cycle, or HA_RESET
    initial_s: float | None
    present_s: float | None


@dataclass(frozen=True, slots=True)
class LogRoom:
    """How full a controller's event log is. `free` in bytes; None where the controller did not say.

    `overflow` is True when events were dropped because it was full.
    """

    records: int
    free: int | None
    overflow: bool


@dataclass(frozen=True, slots=True)
class StopSensor:
    """A discrete sensor that tells that the operating system stopped, crashed or was interrupted."""

    name: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left behind. Output is bytes: it comes from a machine that may be broken."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class SnapshotPrice:
    """What writing the memory out costs: bytes of files, and a sentence on how the host suffers meanwhile.

    `free` is how many bytes there are for them; None where that is not known.
    """

    needed: int
    free: int | None
    suffering: str


class FileKind(StrEnum):
    """What a remote path is."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the host. `modified` is seconds since the epoch by the host's clock; size in bytes."""

    path: str
    kind: FileKind
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class GuestState:
    """What a hypervisor says of a virtual machine.

    Args:
        power: a suspended machine is neither on nor off.
        heartbeat: of the tools in the guest: green, yellow, red, or gray where there is none.
        tools: whether they run, in the hypervisor's word.
        boot_time: when the machine was started last, by the hypervisor's clock; moves on a reset.
        question: what the hypervisor waits for a person to answer; the machine stands still until then.
        connection: whether the hypervisor's host is connected, in its word.
        runs_on: the name of that host.
    """

    power: PowerState
    heartbeat: str
    tools: str
    boot_time: datetime | None
    question: str | None
    connection: str
    runs_on: str


class Connection(StrEnum):
    """How a vCenter gets on with one of its hosts, in its own words.

    A host's agent sends a heartbeat every 10 seconds, and after 60 without one the vCenter calls the host
    notResponding, also where only the heartbeats were lost (Broadcom KB 323612, KB 435077).
    """

    CONNECTED = "connected"
    NOT_RESPONDING = "notResponding"
    DISCONNECTED = "disconnected"  # a person disconnected it: what is known of it is old
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HostState:
    """What a vCenter says of an ESXi host. While it is not connected, the last that was known.

    Args:
        power: unknown while the host is not connected, unless the vCenter itself powered it off.
        connection: whether the host's agent still answers.
        standby: `none`, `entering`, `in` or `exiting`; `unknown` where it does not say.
        maintenance: whether nothing but its own services runs on it.
        boot_time: when it was started last, by its own clock.
        machines: the virtual machines on it.
        running: those of them that are powered on.
    """

    power: PowerState
    connection: Connection
    standby: str
    maintenance: bool
    boot_time: datetime | None
    machines: int
    running: int
