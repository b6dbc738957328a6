"""What does one thread wait for? Read from its header and its stack, never guessed from its name.

The innermost frames say how it waits: the functions of the kernel and of ntdll that acquire, send or sleep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from collector.triage.model import Frame, LpcWait, Stack, Thread, WaitKind, WaitObject
from collector.triage.modules import Modules, stem


class WaitOn(StrEnum):
    """What kind of thing a thread waits on."""

    LPC = "lpc"
    ALPC = "alpc"
    MUTANT = "mutant"
    CRITICAL_SECTION = "critical_section"
    ERESOURCE = "eresource"
    FAST_MUTEX = "fast_mutex"
    PUSH_LOCK = "push_lock"
    SPINLOCK = "spinlock"
    PROCESS = "process"
    THREAD = "thread"
    MESSAGE_BOX = "message_box"
    NDIS_REQUEST = "ndis_miniport_request"
    REDIRECTOR = "remote_machine"
    DRIVER = "driver"
    EVENT = "event"
    SEMAPHORE = "semaphore"
    TIMER = "timer"
    QUEUE = "queue"
    SUSPENDED = "suspended"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Wait:
    """One thread's wait. `line` is where the log says so; `object` is an address or a message id."""

    on: WaitOn
    line: int
    object: int | None = None
    owner: int | None = None  # the owning thread of a mutant


_ENTERS_SECTION = (
    "RtlEnterCriticalSection",
    "RtlpEnterCriticalSectionContended",
    "RtlpWaitOnCriticalSection",
    "RtlpWaitForCriticalSection",
    "RtlpUnWaitCriticalSection",
)
_ACQUIRES_RESOURCE = (
    "ExpWaitForResource",
    "ExAcquireResource",
    "ExpAcquireResource",
    "ExAcquireSharedStarve",
)
_ACQUIRES_MUTEX = ("AcquireFastMutex", "AcquireGuardedMutex", "ExpAcquireFastMutex")
_ACQUIRES_PUSH_LOCK = ("ExfAcquirePushLock", "ExAcquirePushLock", "ExpAcquirePushLock", "ExBlockPushLock")
_ASKS_MINIPORT = (
    "ndisQuerySetMiniport",
    "ndisDoOidRequest",
    "ndisMDoRequest",
    "ndisQueryMiniport",
    "NdisFOidRequest",
)
_SHOWS_MESSAGE = (
    "MessageBox",
    "SoftModalMessageBox",
    "MessageBoxWorker",
    "NtRaiseHardError",
    "ZwRaiseHardError",
)
_FUNCTIONS = {
    WaitOn.CRITICAL_SECTION: _ENTERS_SECTION,
    WaitOn.ERESOURCE: _ACQUIRES_RESOURCE,
    WaitOn.PUSH_LOCK: _ACQUIRES_PUSH_LOCK,
    WaitOn.NDIS_REQUEST: _ASKS_MINIPORT,
    WaitOn.MESSAGE_BOX: _SHOWS_MESSAGE,
}
"""How the functions begin under which a thread waits for something."""

_RECEIVES = (
    "NtReplyWaitReceivePort",
    "ZwReplyWaitReceivePort",
    "NtRemoveIoCompletion",
    "ZwRemoveIoCompletion",
    "NtWaitForWorkViaWorkerFactory",
    "ZwWaitForWorkViaWorkerFactory",
    "NtAlpcSendWaitReceivePort",
)
_LOWEST = 0x1_0000
"""Windows maps nothing below 64 KiB: smaller numbers are no addresses."""

_SYSTEM_CALLS = ("KiFastCallEntry", "KiSystemService")
_REDIRECTORS = frozenset({"rdbss", "mrxsmb", "mrxsmb10", "mrxsmb20", "mrxdav", "mup"})
_OBJECTS = {
    WaitKind.EVENT: WaitOn.EVENT,
    WaitKind.SEMAPHORE: WaitOn.SEMAPHORE,
    WaitKind.TIMER: WaitOn.TIMER,
    WaitKind.QUEUE: WaitOn.QUEUE,
}


def wait(thread: Thread, modules: Modules) -> Wait | None:
    """Return what the thread waits for, or None when it does not wait or the log does not say.

    The order matters: what the debugger states outright comes before what the stack shows, and a named lock
    before the bare event that stands behind it.
    """
    return _stated(thread) or _shown(thread, modules) or _bare(thread)


def serves(thread: Thread) -> bool:
    """Whether it is in the middle of a request of another process, and not back at its port.

    A header keeps the last message's number after the answer is sent, so the stack decides.
    """
    if thread.lpc_serving is None or thread.stack is None:
        return False
    waiting = any(frame.module for frame in thread.stack.frames)
    return waiting and not any(frame.function in _RECEIVES for frame in thread.stack.frames[:12])


def blocked_in(thread: Thread, modules: Modules) -> tuple[int, Frame] | None:
    """Return the first foreign frame under the system's own, with its place; None when there is none."""
    if thread.stack is None:
        return None
    return next(
        ((n, frame) for n, frame in enumerate(thread.stack.frames) if modules.is_foreign(frame.module)), None
    )


def kernel_frames(stack: Stack) -> tuple[Frame, ...]:
    """Return the frames up to the border of user mode; all of them for a thread of the kernel alone."""
    border = next((n for n, frame in enumerate(stack.frames) if _is_border(frame)), len(stack.frames))
    return stack.frames[:border]


def _is_border(frame: Frame) -> bool:
    return stem(frame.module) in {"ntdll", "wow64cpu"} or frame.function.startswith(_SYSTEM_CALLS)


def own_thread_of_driver(thread: Thread) -> bool:
    """Whether a driver made this thread to wait for its own work: idle, however long it waits."""
    if thread.stack is None:
        return False
    functions = {frame.function for frame in thread.stack.frames}
    return "PspSystemThreadStartup" in functions and "ExpWorkerThread" not in functions


def section_candidates(stack: Stack, *, wide: bool) -> tuple[int, ...]:
    """Return the addresses that the stack's arguments offer for a critical section, the best one first.

    On x86 the first argument of RtlEnterCriticalSection is the section. On x64 arguments travel in registers
    and what is printed is whatever the callee spilled, so any of them is only a candidate.
    """
    places = [n for n, frame in enumerate(stack.frames) if frame.function in _ENTERS_SECTION]
    places.sort(key=lambda n: stack.frames[n].function.startswith("RtlEnter") == wide)
    offered = [value for n in places for value in stack.args.get(n, ())[: 4 if wide else 1]]
    return tuple(dict.fromkeys(value for value in offered if value >= _LOWEST))


def _stated(thread: Thread) -> Wait | None:
    if thread.lpc_wait is not None:
        reply: LpcWait = thread.lpc_wait
        return Wait(WaitOn.ALPC if reply.alpc else WaitOn.LPC, reply.line, reply.message)
    for one in thread.wait_objects:
        if one.kind is WaitKind.MUTANT and one.owner is not None:
            return Wait(WaitOn.MUTANT, one.line, one.address, one.owner)
    for kind, on in ((WaitKind.PROCESS, WaitOn.PROCESS), (WaitKind.THREAD, WaitOn.THREAD)):
        for one in thread.wait_objects:
            if one.kind is kind and one.address not in (thread.address, thread.process):
                return Wait(on, one.line, one.address)
    return None


def _shown(thread: Thread, modules: Modules) -> Wait | None:
    stack = thread.stack
    if stack is None:
        return None
    first = _first_object(thread)
    address = first.address if first else None
    for n, frame in _innermost(stack, modules):
        line = stack.lines[n] if n < len(stack.lines) else thread.line
        on = _by_function(frame)
        if on is not None:
            bare = on in (WaitOn.CRITICAL_SECTION, WaitOn.ERESOURCE)  # the event is the lock's, not the lock
            return Wait(on, line, None if bare else address)
    return _in_driver(thread, stack, modules, address)


def _innermost(stack: Stack, modules: Modules) -> Iterator[tuple[int, Frame]]:
    """The frames down to the first foreign one: they say how the thread waits."""
    for n, frame in enumerate(stack.frames):
        if modules.is_foreign(frame.module):
            return
        yield n, frame


def _by_function(frame: Frame) -> WaitOn | None:
    name, module = frame.function, stem(frame.module)
    if module in _REDIRECTORS:
        return WaitOn.REDIRECTOR
    if any(part in name for part in _ACQUIRES_MUTEX):
        return WaitOn.FAST_MUTEX
    return next((on for on, prefixes in _FUNCTIONS.items() if name.startswith(prefixes)), None)


def asks_miniport(frame: Frame) -> bool:
    """Whether it is one of the functions in which NDIS waits for a network adapter's driver."""
    return _by_function(frame) is WaitOn.NDIS_REQUEST


def _in_driver(thread: Thread, stack: Stack, modules: Modules, address: int | None) -> Wait | None:
    kernel = kernel_frames(stack)
    place = next((n for n, frame in enumerate(kernel) if modules.is_foreign(frame.module)), None)
    waits = any(frame.function.startswith(("KeWait", "KeDelay", "NdisMSleep")) for frame in kernel[:place])
    if place is None or not waits or thread.wait_mode == "UserMode" or own_thread_of_driver(thread):
        return None
    return Wait(WaitOn.DRIVER, stack.lines[place] if place < len(stack.lines) else thread.line, address)


def _bare(thread: Thread) -> Wait | None:
    if thread.wait_reason == "Suspended" or thread.suspend_count:
        return Wait(WaitOn.SUSPENDED, thread.line)
    first = _first_object(thread)
    return None if first is None else Wait(_OBJECTS.get(first.kind, WaitOn.OTHER), first.line, first.address)


def _first_object(thread: Thread) -> WaitObject | None:
    """What it waits for rather than its time-out."""
    objects = thread.wait_objects
    return next((one for one in objects if one.kind is not WaitKind.TIMER), objects[0] if objects else None)
