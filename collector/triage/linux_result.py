"""What a Linux dump says of a hang: frozen data, in the order in which a person asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CRASH_FUNCTION = "__crash_kexec"
"""Where the CPU that panics ends (kernel/kexec_core.c)."""


class Highlight(StrEnum):
    """Why a line of the kernel log is pulled up."""

    PANIC = "panic"
    NMI = "NMI"
    HARD_LOCKUP = "hard lockup"
    SOFT_LOCKUP = "soft lockup"
    HUNG_TASK = "hung task"
    RCU_STALL = "RCU stall"
    OOPS = "oops"
    OUT_OF_MEMORY = "out of memory"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the kernel log; `seconds` since boot."""

    seconds: float
    text: str
    highlight: Highlight | None = None


@dataclass(frozen=True, slots=True)
class Panic:
    """Why the kernel stopped. `cpu` is None where the dump does not say on which CPU."""

    reason: str
    cpu: int | None
    by_nmi: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One function of a stack.

    Args:
        address: of the instruction that runs, or to which the call returns.
        function: as kallsyms names it; empty where it does not.
        module: empty for the kernel proper.
        offset: bytes from the start of the function.
        interrupted: an interrupt or NMI came here, and every frame before is its handler.
    """

    address: int
    function: str
    module: str
    offset: int
    interrupted: bool = False

    def __str__(self) -> str:
        return f"{self.function or hex(self.address)} [{self.module}]" if self.module else self.function


@dataclass(frozen=True, slots=True)
class Task:
    """A thread.

    Args:
        pid: its own id, which `ps` calls LWP.
        name: its comm.
        state: one letter, as `ps` shows it.
        kernel_thread: it has no user space.
        cpu: where it runs, or ran last.
        running: it was on that CPU when the kernel stopped.
        idle_seconds: since it last came on a CPU; None where the kernel does not keep it.
        stack: innermost function first; empty where it could not be read.
    """

    address: int
    pid: int
    name: str
    state: str
    kernel_thread: bool
    cpu: int
    running: bool
    idle_seconds: float | None
    stack: tuple[Frame, ...]

    @property
    def label(self) -> str:
        """Name and id for a person."""
        return f"{self.name} ({self.pid})"


@dataclass(frozen=True, slots=True)
class Cpu:
    """What a CPU did when the kernel stopped.

    Args:
        task: the one on it.
        interrupts_on: in what was interrupted; None where the registers are not in the dump.
        user_mode: it ran a program, not the kernel.
    """

    number: int
    task: Task
    interrupts_on: bool | None
    user_mode: bool


@dataclass(frozen=True, slots=True)
class Lock:
    """What is waited for. `name` is empty for a lock inside a structure; `owner` is 0 where nobody knows."""

    kind: str
    address: int
    name: str
    owner: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name or hex(self.address)}"


@dataclass(frozen=True, slots=True)
class Link:
    """A task of a chain, the function it sleeps or runs in, and the lock it waits for."""

    task: Task
    function: str
    lock: Lock | None


@dataclass(frozen=True, slots=True)
class Chain:
    """Who waits for whom, up to who holds them all.

    Args:
        links: the longest way: each waits for the next.
        waiting: how many tasks wait behind the last one, on every way.
        deadlock: the last one waits for one before it.
    """

    links: tuple[Link, ...]
    waiting: int
    deadlock: bool

    @property
    def holder(self) -> Link:
        """The end of the chain."""
        return self.links[-1]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A function that may have hung the machine, whose it is, and why we say so."""

    task: str
    function: str
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The load averages of 1, 5 and 15 minutes, and the memory in bytes; None where the dump does not say."""

    load: tuple[float, float, float] | None
    total_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class LinuxTriage:
    """All that a dump says without debug packages; `missing` says what it could not, and why."""

    release: str
    crash_time: datetime | None
    uptime_seconds: float | None
    panic: Panic | None
    suspects: tuple[Suspect, ...]
    log: tuple[LogLine, ...]
    cpus: tuple[Cpu, ...]
    tasks: tuple[Task, ...]
    chains: tuple[Chain, ...]
    usage: Usage
    missing: tuple[str, ...]

    @property
    def highlights(self) -> tuple[LogLine, ...]:
        """The lines of the log that a person reads first."""
        return tuple(line for line in self.log if line.highlight)
