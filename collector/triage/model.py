"""What a debugger log says, each thing with the number of the line that says it (the first line is 1).

Addresses, process and thread ids and message ids are integers: so upper case, leading zeros, `0x` and
backticks make no difference between them. Times are in seconds, memory in KiB unless it says bytes.
None means that the log does not say. Names are the debugger's own.

A thing that is shown twice (a thread by `!process` and again by `!thread`) is here once: the later
sighting fills in what the earlier one left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from collector.triage.machine import (
    DeviceStack,
    HandleTable,
    MemoryText,
    Minidriver,
    Miniport,
    Module,
    Notice,
    OidRequest,
    PoolTag,
    Processor,
    RawWord,
    StorageUnit,
    System,
    Vm,
    World,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One function on a stack. The same object stands in every stack that the function is on."""

    module: str  # as written: "nt", "NDIS", "spoolsv"; empty for an address in no known module
    function: str = ""  # "KeWaitForSingleObject"; empty when the module has no symbols
    offset: int = 0  # from the function, else from the module, else the address itself

    def __str__(self) -> str:
        name = "!".join(part for part in (self.module, self.function) if part)
        if not name:
            return f"{self.offset:#x}"
        return f"{name}+{self.offset:#x}" if self.offset else name


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames from the innermost outwards, at most `kd_stack.MOST_FRAMES` of them."""

    frames: tuple[Frame, ...] = ()
    lines: Sequence[int] = ()  # the line of each frame
    args: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Arguments by the frame's place, of functions that wait, lock, show a message or end the system."""
    doubtful_from: int | None = None
    """The place of the first frame under "Following frames may be wrong", or None."""


class WaitKind(StrEnum):
    """What kind of object a thread waits on, in the debugger's words."""

    EVENT = "Event"  # NotificationEvent, SynchronizationEvent
    MUTANT = "Mutant"
    SEMAPHORE = "Semaphore"
    TIMER = "Timer"
    PROCESS = "ProcessObject"
    THREAD = "Thread"
    GATE = "Gate"
    QUEUE = "QueueObject"
    OTHER = "Unknown"


@dataclass(frozen=True, slots=True)
class WaitObject:
    """One object in a thread's list of what it waits for."""

    line: int
    address: int
    kind: WaitKind
    text: str = ""  # "SynchronizationEvent", "Semaphore Limit 0x1", "Mutant - owning thread 866d63e8"
    owner: int | None = None  # the owning thread of a mutant


@dataclass(frozen=True, slots=True)
class LpcWait:
    """A reply that a thread waits for: an LPC message id, or the address of an ALPC message."""

    line: int
    message: int
    alpc: bool = False
    server_process: int | None = None  # the owner of the port it is queued at


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread, by its kernel address, or by its ids alone in a user dump (`address` is None)."""

    line: int
    address: int | None = None
    process_id: int | None = None
    thread_id: int | None = None
    index: int | None = None  # the number that `~` gives it in a user dump
    teb: int | None = None
    state: str = ""  # WAIT RUNNING READY STANDBY TERMINATED ...; from !stacks: Blocked Running Ready
    processor: int | None = None  # for a running thread
    wait_reason: str = ""  # Executive UserRequest WrLpcReply WrResource Suspended DelayExecution ...
    wait_mode: str = ""  # UserMode KernelMode
    suspend_count: int | None = None
    wait_objects: tuple[WaitObject, ...] = ()
    lpc_wait: LpcWait | None = None
    lpc_serving: int | None = None  # the message it works on: "LPC Server thread working on message Id"
    lpc_serving_line: int | None = None
    irps: tuple[int, ...] = ()  # addresses
    irps_line: int | None = None
    impersonating: bool | None = None
    process: int | None = None  # the owning process
    attached_process: int | None = None
    image: str = ""  # of the owning process: "spoolsv.exe"
    wait_start_ticks: int | None = None
    ticks: int | None = None  # since it began to wait
    ticks_line: int | None = None
    wait_seconds: float | None = None
    context_switches: int | None = None
    user_seconds: float | None = None
    kernel_seconds: float | None = None
    start_address: str = ""  # the Win32 start address, as a symbol where there is one
    priority: int | None = None
    stack_resident: bool = True  # False: "Kernel stack not resident"
    stack: Stack | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process, from `!process`, or from the list under `!vm` (then without an address)."""

    line: int
    address: int | None = None
    process_id: int | None = None
    parent_id: int | None = None
    session: int | None = None
    peb: int | None = None
    image: str = ""
    handle_count: int | None = None
    elapsed_seconds: float | None = None
    user_seconds: float | None = None
    kernel_seconds: float | None = None
    commit_kb: int | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """An executive resource (`!locks` in a kernel dump)."""

    line: int
    address: int
    symbol: str = ""  # "nt!CmpRegistryLock"
    exclusive: bool = False
    owners: tuple[int, ...] = ()  # threads
    owner_count: int = 0  # "Shared 10 owning threads", also where they are not listed
    contention_count: int = 0
    shared_waiter_count: int = 0
    exclusive_waiter_count: int = 0
    shared_waiters: tuple[int, ...] = ()
    exclusive_waiters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CriticalSection:
    """A critical section (`!cs`, `!locks` in a user dump)."""

    line: int
    address: int
    symbol: str = ""  # "ntdll!LdrpLoaderLock"
    locked: bool = False
    waiters: int = 0  # LockCount, as the debugger decodes it
    owner_id: int | None = None  # OwningThread: a thread id of the current process
    owner: int | None = None  # ".thread": the thread's kernel address
    process: int | None = None  # the process that `.process` had made current
    process_id: int | None = None  # in a user dump
    recursion_count: int | None = None
    contention_count: int | None = None
    debug_info: int | None = None


@dataclass(frozen=True, slots=True)
class LpcMessage:
    """What `!lpc message` or `!alpc /m` found out about one message."""

    line: int
    message: int
    alpc: bool = False
    server_thread: int | None = None
    client_thread: int | None = None
    server_process: int | None = None
    server_image: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class IrpLocation:
    """One driver's place in an IRP."""

    line: int
    major: str = ""  # as written: "e", "IRP_MJ_READ(3)"
    device: int | None = None
    driver: str = ""  # "\\Driver\\disk"
    current: bool = False
    pending: bool = False
    completion: str = ""  # the completion routine's symbol


@dataclass(frozen=True, slots=True)
class Irp:
    """An I/O request packet (`!irp`, `!irpfind`)."""

    line: int
    address: int
    thread: int | None = None
    locations: tuple[IrpLocation, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """What `!analyze -v` or `.bugcheck` says. `fields` are its NAME: value lines."""

    line: int
    code: int | None = None
    name: str = ""  # "DPC_WATCHDOG_VIOLATION"
    args: tuple[int, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    field_lines: Mapping[str, int] = field(default_factory=dict)
    stack: Stack | None = None


@dataclass(frozen=True, slots=True)
class Psod:
    """A purple screen of ESXi."""

    line: int
    message: str  # "Spin count exceeded (iplLock) - possible deadlock"
    version: str = ""
    build: str = ""
    lock: str = ""
    cr2: int | None = None
    cpu: int | None = None  # the CPU that stopped
    world: World | None = None
    worlds: tuple[World, ...] = ()
    uptime_seconds: float | None = None
    stack: Stack | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetContextStack:
    """A stack that is not the thread's own: shown after `.cxr`, or from a given frame (`k L=`)."""

    line: int
    command: str
    thread: int | None
    stack: Stack


@dataclass(frozen=True, slots=True)
class Command:
    """A command at the prompt, without the prompt."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class DebuggerLog:
    """Everything of a log that a rule may ask for."""

    lines: int = 0  # how many lines were read
    system: System = field(default_factory=System)
    commands: tuple[Command, ...] = ()
    notices: tuple[Notice, ...] = ()
    processes: tuple[Process, ...] = ()
    threads: tuple[Thread, ...] = ()
    resources: tuple[Resource, ...] = ()
    critical_sections: tuple[CriticalSection, ...] = ()
    lpc_messages: tuple[LpcMessage, ...] = ()
    irps: tuple[Irp, ...] = ()
    device_stacks: tuple[DeviceStack, ...] = ()
    storage_units: tuple[StorageUnit, ...] = ()
    vm: Vm | None = None
    pool_tags: tuple[PoolTag, ...] = ()
    modules: tuple[Module, ...] = ()
    processors: tuple[Processor, ...] = ()
    handle_tables: tuple[HandleTable, ...] = ()
    idle_processors: int | None = None  # the mask of `!running`
    idle_processors_line: int | None = None
    miniports: tuple[Miniport, ...] = ()
    oid_requests: tuple[OidRequest, ...] = ()
    minidrivers: tuple[Minidriver, ...] = ()
    analysis: Analysis | None = None
    psod: Psod | None = None
    context_stacks: tuple[SetContextStack, ...] = ()
    raw_words: tuple[RawWord, ...] = ()
    texts: tuple[MemoryText, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many things of a kind were left out because the log had more than are kept."""
