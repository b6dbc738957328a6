"""Writes debugger logs: what is planted is known, so what is read of it can be compared.

The text is in the debugger's formats, for 32 and 64 bits, with or without arguments, and can be damaged the
way the web damages it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

NOW = 1 << 31  # ticks since the start; 64 in a second, the clock of a multiprocessor Windows

KERNEL_WAIT = ("nt!KiSwapContext+0x7a", "nt!KiCommitThreadWait+0x1d2", "nt!KeWaitForSingleObject+0x19f")
USER_CODE = (
    "nt!NtWaitForSingleObject+0xde",
    "nt!KiSystemServiceCopyEnd+0x13",
    "ntdll!NtWaitForSingleObject+0xa",
    "KERNELBASE!WaitForSingleObjectEx+0x79",
    "MSVCR100!_threadstartex+0x8b",
    "kernel32!BaseThreadInitThunk+0xd",
    "ntdll!RtlUserThreadStart+0x1d",
)


@dataclass(frozen=True, slots=True)
class PlantedThread:
    """A thread to write. `waits_on` are lines below the header: ("Mutant - owning thread {}", owner)."""

    address: int
    process_id: int
    thread_id: int
    process: int
    image: str
    ticks: int = 0
    reason: str = "Executive"
    mode: str = "KernelMode"
    running_on: int | None = None
    waits_on: tuple[tuple[int, str], ...] = ()
    reply_to: int | None = None  # the LPC message whose reply it waits for
    works_on: int | None = None  # the LPC message it serves
    irps: tuple[int, ...] = ()
    stack: tuple[str, ...] = (*KERNEL_WAIT, *USER_CODE)
    resident: bool = True


@dataclass(frozen=True, slots=True)
class PlantedProcess:
    """A process to write, with its threads."""

    address: int
    process_id: int
    image: str
    parent_id: int = 4
    handles: int = 100
    threads: tuple[PlantedThread, ...] = ()


@dataclass(frozen=True, slots=True)
class PlantedResource:
    """An executive resource to write."""

    address: int
    owners: tuple[int, ...]
    waiters: tuple[int, ...] = ()
    exclusive: bool = True
    contention: int = 0
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """How a debugger prints."""

    bits: int = 64
    args: bool = False
    frame_numbers: bool = False
    upper_case: bool = False

    def address(self, value: int) -> str:
        """Print an address as headers and fields do."""
        text = f"{value:0{self.bits // 4}x}"
        return text.upper() if self.upper_case else text

    def split(self, value: int) -> str:
        """Print an address as stacks do: with a backtick in the middle of 64 bits."""
        text = self.address(value)
        return f"{text[:8]}`{text[8:]}" if self.bits == 64 else text


@dataclass(slots=True)
class Writer:
    """Writes blocks in one style."""

    style: Style = field(default_factory=Style)

    def process(self, process: PlantedProcess) -> Iterator[str]:
        """Write a process as `!process ADDRESS 1f` does."""
        a = self.style.address
        yield f"PROCESS {a(process.address)}"
        yield (
            f"    SessionId: 0  Cid: {process.process_id:04x}    Peb: {a(0x7FFDF000)}"
            f"  ParentCid: {process.parent_id:04x}"
        )
        yield f"    DirBase: 3705e000  ObjectTable: {a(0xE1003880)}  HandleCount: {process.handles:3d}."
        yield f"    Image: {process.image}"
        yield ""
        for thread in process.threads:
            yield from self.thread(thread)

    def thread(self, thread: PlantedThread) -> Iterator[str]:
        """Write a thread as `!thread` does."""
        a = self.style.address
        if thread.running_on is None:
            state = f"WAIT: ({thread.reason}) {thread.mode} Non-Alertable"
        else:
            state = f"RUNNING on processor {thread.running_on}"
        yield (
            f"        THREAD {a(thread.address)}  Cid {thread.process_id:04x}.{thread.thread_id:04x}"
            f"  Teb: {a(0x7FFDE000)} Win32Thread: {a(0)} {state}"
        )
        for where, what in thread.waits_on:
            yield f"            {a(where)}  {what}"
        if thread.reply_to is not None:
            yield f"        Waiting for reply to LPC MessageId {thread.reply_to:08x}:"
            yield f"        Current LPC port {a(0xD676E560)}"
        if thread.irps:
            yield "        IRP List:"
            for irp in thread.irps:
                yield f"            {a(irp)}: (0006,0094) Flags: 00000000  Mdl: {a(0)}"
        yield "        Not impersonating"
        yield f"        DeviceMap                 {a(0xE16DC398)}"
        yield f"        Owning Process            {a(thread.process)}       Image:         {thread.image}"
        yield "        Attached Process          N/A            Image:         N/A"
        yield (
            f"        Wait Start TickCount      {NOW - thread.ticks}"
            f"         Ticks: {thread.ticks} ({waiting_time(thread.ticks)})"
        )
        yield "        Context Switch Count      121867             "
        yield "        UserTime                  00:00:25.093"
        yield "        KernelTime                00:00:01.968"
        yield f"        Win32 Start Address MSVCR100!_threadstartex (0x{a(0x7C3494F6)})"
        if thread.works_on is not None:
            yield f"        LPC Server thread working on message Id {thread.works_on:x}"
        yield f"        Stack Init {a(0xF3A9C000)} Current {a(0xF3A9B548)}"
        yield f"        Base {a(0xF3A9C000)} Limit {a(0xF3A99000)} Call 0"
        yield "        Priority 10 BasePriority 8 UnusualBoost 0 ForegroundBoost 0 IoPriority 2"
        if not thread.resident:
            yield "        Kernel stack not resident."
        yield from self.stack(thread.stack, arg=thread.address)
        yield ""

    def stack(self, symbols: Sequence[str], *, arg: int = 0) -> Iterator[str]:
        """Write a stack as `k` or, with arguments, `kv` does."""
        style = self.style
        pointer = "Child-SP" if style.bits == 64 else "ChildEBP"
        args_header = " : Args to Child" if style.args else ""
        before = " # " if style.frame_numbers else ""
        yield f"        {before}{pointer}          RetAddr {args_header} : Call Site"
        for place, symbol in enumerate(symbols):
            base = 0xFFFFF880_0A1B2000 if style.bits == 64 else 0xB6E8A000
            code = 0xFFFFF800_02800000 if style.bits == 64 else 0x80800000
            columns = f"{style.split(base + place * 0x60)} {style.split(code + place * 0x1234)}"
            number = f"{place:02x} " if style.frame_numbers else ""
            yield f"        {number}{columns} {self._args(arg)}{symbol}"

    def _args(self, arg: int) -> str:
        if not self.style.args:
            return ""
        split = self.style.split
        if self.style.bits == 32:
            return f"{split(arg)} {split(0)} {split(1)} "
        return f": {split(arg)} {split(0)} {split(1)} {split(0)} : "

    def resource(self, resource: PlantedResource) -> Iterator[str]:
        """Write an executive resource as `!locks` does."""
        a = self.style.address
        name = (
            f"{resource.symbol} (0x{a(resource.address)})" if resource.symbol else f"0x{a(resource.address)}"
        )
        held = "Exclusively owned" if resource.exclusive else f"Shared {len(resource.owners)} owning threads"
        yield f"Resource @ {name}    {held}"
        yield f"    Contention Count = {resource.contention}"
        yield f"    NumberOfExclusiveWaiters = {len(resource.waiters)}"
        yield "     Threads: " + "    ".join(f"{a(owner)}-01<*>" for owner in resource.owners)
        if resource.waiters:
            yield "     Threads Waiting On Exclusive Access:"
            for start in range(0, len(resource.waiters), 3):
                yield "              " + "       ".join(map(a, resource.waiters[start : start + 3]))
        yield ""


def waiting_time(ticks: int) -> str:
    """Print ticks as D:HH:MM:SS.mmm, rounded down as the debugger does."""
    thousandths = ticks * 1000 // 64
    seconds, thousandths = divmod(thousandths, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}:{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"


def damaged(lines: Sequence[str], seed: int, *, double: bool = False) -> list[str]:
    """Return the lines as a web page shows them: `0\u00d7`, dashes, cuts, remarks, unbreakable spaces."""
    chance = random.Random(seed)
    shown: list[str] = []
    for line in lines:
        text = line.replace("0x", "0\u00d7").replace(" - ", " \u2013 ").replace("'", "\u2019")
        shown.append(text.replace("    ", "\u00a0   ") if chance.random() < 0.3 else text)
        if double:
            shown.append("")
        if chance.random() < 0.05:
            shown.append(
                chance.choice(
                    [
                        "[\u2026]",
                        "",
                        "*** ERROR: Module load completed but symbols could not be loaded for Foo.sys",
                    ]
                )
            )
    return shown
