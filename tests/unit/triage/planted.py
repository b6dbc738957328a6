"""Threads with waits of our making: what is planted here must be what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.triage.model import (
    CriticalSection,
    DebuggerLog,
    Frame,
    LpcMessage,
    LpcWait,
    Resource,
    Stack,
    Thread,
    WaitKind,
    WaitObject,
)

KINDS = ("lpc", "mutant", "eresource", "critical_section", "process", "thread")

_WAITS = ("nt!KiSwapContext", "nt!KiSwapThread", "nt!KeWaitForSingleObject")
_USER = ("nt!NtWaitForSingleObject", "nt!KiFastCallEntry", "ntdll!KiFastSystemCallRet")
_SECTION = (*_WAITS, *_USER, "ntdll!RtlpWaitForCriticalSection", "ntdll!RtlEnterCriticalSection")


def frames(*names: str) -> tuple[Frame, ...]:
    parts = [name.partition("!") for name in names]
    return tuple(Frame(module, function, 0x1B) for module, _, function in parts)


def stack(*names: str, line: int = 1, args: dict[int, tuple[int, ...]] | None = None) -> Stack:
    return Stack(frames(*names), tuple(range(line, line + len(names))), args or {})


def waiting(*names: str) -> tuple[str, ...]:
    """The stack of a thread that entered a wait from these frames."""
    return (*_WAITS, *names)


def event(address: int, line: int) -> WaitObject:
    return WaitObject(line, address, WaitKind.EVENT, "SynchronizationEvent")


@dataclass
class Scene:
    """A log that grows; a thread's number is its place in line."""

    threads: list[Thread] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    sections: list[CriticalSection] = field(default_factory=list)
    messages: list[LpcMessage] = field(default_factory=list)

    def log(self) -> DebuggerLog:
        return DebuggerLog(
            lines=100_000,
            threads=tuple(self.threads),
            resources=tuple(self.resources),
            critical_sections=tuple(self.sections),
            lpc_messages=tuple(self.messages),
        )

    def chain(self, numbers: Sequence[int], kinds: Sequence[str], *, closed: bool = False) -> None:
        """Let each thread wait for the next by these kinds; the last waits in a driver, or for the first."""
        last = numbers[-1]
        for number, following, kind in zip(numbers, [*numbers[1:], numbers[0]], kinds, strict=False):
            if number != last or closed:
                self._link(number, following, kind)
        if not closed:
            self.threads.append(blocked(last))

    def idle(self, number: int) -> None:
        """A thread that waits for work, as most threads of a healthy system do."""
        names = waiting(*_USER, "ntdll!NtWaitForSingleObject", "app!Worker")
        self.threads.append(
            thread(number, stack=stack(*names, line=_line(number)), wait_objects=(event(7, _line(number)),))
        )

    def _link(self, number: int, following: int, kind: str) -> None:
        line, target = _line(number), address(following)
        if kind == "lpc":
            message = 0x5000_0000 + number
            self.threads.append(thread(number, lpc_wait=LpcWait(line + 1, message)))
            self.messages.append(LpcMessage(line + 2, message, server_thread=target))
        elif kind == "mutant":
            owned = WaitObject(line + 1, 0x6000_0000 + number, WaitKind.MUTANT, "Mutant", target)
            self.threads.append(thread(number, wait_objects=(owned,)))
        elif kind == "eresource":
            self.threads.append(thread(number, wait_objects=(event(9, line),)))
            self.resources.append(
                Resource(
                    line + 1,
                    0x7000_0000 + number,
                    exclusive=True,
                    owners=(target,),
                    exclusive_waiter_count=1,
                    exclusive_waiters=(address(number),),
                )
            )
        elif kind == "critical_section":
            lock = 0x3000_0000 + number
            self.threads.append(thread(number, stack=stack(*_SECTION, line=line, args={7: (lock,)})))
            self.sections.append(
                CriticalSection(line + 1, lock, locked=True, waiters=1, owner_id=following, process_id=1)
            )
        elif kind == "process":
            object_ = WaitObject(line + 1, process(following), WaitKind.PROCESS, "ProcessObject")
            self.threads.append(thread(number, wait_objects=(object_,)))
        else:
            object_ = WaitObject(line + 1, target, WaitKind.THREAD, "Thread")
            self.threads.append(thread(number, wait_objects=(object_,)))


def blocked(number: int) -> Thread:
    """A thread that a driver of another maker holds."""
    names = waiting("FooDrv!Wait", "FooDrv!Dispatch", "nt!IofCallDriver", "nt!NtReadFile", *_USER[1:])
    return thread(
        number,
        wait_mode="KernelMode",
        stack=stack(*names, line=_line(number)),
        wait_objects=(event(8, _line(number)),),
    )


def thread(number: int, **more: object) -> Thread:
    """Thread `number`; every second one belongs to a process of its own."""
    known: dict[str, object] = {
        "line": _line(number),
        "address": address(number),
        "process_id": 1,
        "thread_id": number,
        "process": process(number),
        "image": f"app{number}.exe",
        "state": "WAIT",
        "wait_seconds": 100.0 + number,
    }
    return Thread(**{**known, **more})  # type: ignore[arg-type]


def address(number: int) -> int:
    return 0x8000_0000 + number * 0x100


def process(number: int) -> int:
    return 0x9000_0000 + number * 0x100


def _line(number: int) -> int:
    return 10 + number * 20
