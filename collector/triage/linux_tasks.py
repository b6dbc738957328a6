"""Every thread of a stopped kernel, and what each CPU did.

Source: Linux include/linux/sched.h (task states and flags), fs/proc/array.c (their letters),
arch/x86/include/asm/switch_to.h (struct inactive_task_frame), kernel/crash_core.c (crash_save_cpu);
System V ABI, AMD64 supplement (struct elf_prstatus).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from collector.errors import DumpError
from collector.triage.linux_kernel import Kernel
from collector.triage.linux_memory import damaged, number
from collector.triage.linux_orc import OrcRules, Registers, registers_at, unwind
from collector.triage.linux_result import CRASH_FUNCTION, Cpu, Frame, Task

_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_DEAD, _IDLE = 0x30, 0x402  # EXIT_DEAD | EXIT_ZOMBIE; TASK_UNINTERRUPTIBLE | TASK_NOLOAD
_LETTERS = ((0x1, "S"), (0x2, "D"), (0x4, "T"), (0x8, "t"))
_NOTE_TO_REGS = 12 + 8 + 112  # note header, "CORE" padded, and pr_reg in struct elf_prstatus
_NOTE_NAME_AT, _NOTE_NAME = 12, b"CORE"
_CRASH_FRAME_BYTES = 1024  # its frame holds a struct pt_regs, and little more
_MOST_THREADS = 1 << 20
_CALL_OPCODE, _CALL_BYTES = 0xE8, 5  # Intel SDM volume 2, CALL rel32

Stack = tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a CPU was found in; `interrupts_on` is None where that is not known."""

    stack: Stack = ()
    interrupts_on: bool | None = None
    user_mode: bool = False


class Stacks:
    """The stacks of one dump. One that is not in it is empty."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._rules = OrcRules(kernel)

    def sleeping(self, task: int) -> Stack:
        """Return the stack of a task that is on no CPU: `__switch_to_asm` left its registers on it."""
        kernel, frame = self._kernel, "inactive_task_frame"
        try:
            at = kernel.value(task, "task_struct", "thread.sp")
            ip, bp = kernel.value(at, frame, "ret_addr"), kernel.value(at, frame, "bp")
        except DumpError:
            return ()
        start = Registers(ip, at + kernel.btf.size(frame), bp)
        return self._named(list(unwind(kernel.memory, self._rules, start)))

    def on_cpu(self, note: int) -> Stopped:
        """Return what a CPU did, from the note at which the crashing kernel saved its registers."""
        memory = self._kernel.memory
        place = note + _NOTE_TO_REGS
        try:
            if memory.read(note + _NOTE_NAME_AT, len(_NOTE_NAME)) != _NOTE_NAME:
                return Stopped()  # the CPU did not answer the NMI of the panic
            start = registers_at(memory, place)
        except DumpError:
            return Stopped()
        if caller := self._panic(start):
            steps = [start, *unwind(memory, self._rules, caller)]
        else:
            steps = list(unwind(memory, self._rules, start))
        # The panic itself runs in an NMI or interrupt: what that came upon is what the CPU really did.
        was = next((step for step in steps[1:] if step.exact), start)
        if was.user_mode:
            return Stopped(self._named(steps), user_mode=True)
        return Stopped(self._named(steps), was.interrupts_on)

    def _panic(self, start: Registers) -> Registers | None:
        """Return the caller of `__crash_kexec`, which has no ORC rules (STACK_FRAME_NON_STANDARD).

        It is the return address of a direct call to that very function. None for a CPU that is elsewhere.
        """
        memory, function = self._kernel.memory, self._kernel.symbols.address(CRASH_FUNCTION)
        symbol = self._kernel.symbols.at(start.ip)
        if symbol is None or symbol.address != function:
            return None
        for at in range(start.sp, start.sp + _CRASH_FRAME_BYTES, 8):
            try:
                back = number(memory, at)
                call = memory.read(back - _CALL_BYTES, _CALL_BYTES)
            except DumpError:
                continue
            if call[0] == _CALL_OPCODE and back + int.from_bytes(call[1:], "little", signed=True) == function:
                return Registers(back, at + 8, start.bp)
        return None

    def _named(self, steps: list[Registers]) -> Stack:
        """Name the functions of the kernel; a program's are unknown to it."""
        return tuple(
            self._frame(step, interrupted=step.exact and step is not steps[0])
            for step in steps
            if not step.user_mode
        )

    def _frame(self, step: Registers, *, interrupted: bool) -> Frame:
        symbol = self._kernel.symbols.at(step.ip if step.exact else step.ip - 1)
        if symbol is None:
            return Frame(step.ip, "", "", 0, interrupted)
        return Frame(step.ip, symbol.name, symbol.module, step.ip - symbol.address, interrupted)


def read_cpus(kernel: Kernel, stacks: Stacks | None, now: int) -> Iterator[Cpu]:
    """Yield every CPU with the task on it.

    Args:
        kernel: the kernel.
        stacks: None leaves all stacks empty.
        now: when the kernel stopped, in nanoseconds of its scheduler's clock.

    Raises:
        DumpError: this CPU's data, or where it is, is not in the dump.
    """
    notes = dict(kernel.per_cpu(kernel.number(kernel.symbols.address("crash_notes"))))
    for cpu, queue in kernel.per_cpu(kernel.symbols.address("runqueues")):
        stopped = stacks.on_cpu(notes[cpu]) if stacks else Stopped()
        task = _task(kernel, kernel.value(queue, "rq", "curr"), now, stopped.stack, running=True)
        yield Cpu(cpu, task, stopped.interrupts_on, stopped.user_mode)


def read_others(kernel: Kernel, stacks: Stacks | None, now: int, running: Collection[int]) -> Iterator[Task]:
    """Yield every thread but those at the addresses `running`. Raises DumpError where the list breaks off."""
    for address in threads(kernel):
        if address not in running:
            stack = stacks.sleeping(address) if stacks else ()
            yield _task(kernel, address, now, stack, running=False)


def threads(kernel: Kernel) -> Iterator[int]:
    """Yield the address of each thread of each process but the idle ones. Raises: DumpError."""
    head = kernel.symbols.address("init_task") + kernel.field("task_struct", "tasks").offset
    thread_head = kernel.field("signal_struct", "thread_head").offset
    seen = 0
    for leader in kernel.items(head, "task_struct", "tasks"):
        signals = kernel.value(leader, "task_struct", "signal")
        for thread in kernel.items(signals + thread_head, "task_struct", "thread_node"):
            seen += 1
            if seen > _MOST_THREADS:
                raise damaged("the lists of threads do not end")
            yield thread


def state_letter(state: int, exit_state: int) -> str:
    """Return the letter that `ps` shows for a task's state."""
    if exit_state & _DEAD:
        return "Z"
    if state & _IDLE == _IDLE:
        return "I"
    return next((letter for bit, letter in _LETTERS if state & bit), "R")


def _task(kernel: Kernel, at: int, now: int, stack: Stack, *, running: bool) -> Task:
    def value(*paths: str) -> int:
        return kernel.value(at, "task_struct", *paths)

    try:
        ran: int | None = value("sched_info.last_arrival")
    except DumpError:
        ran = None  # a kernel without CONFIG_SCHED_INFO
    return Task(
        address=at,
        pid=value("pid"),
        name=kernel.string(at, "task_struct", "comm"),
        state=state_letter(value("__state", "state"), value("exit_state")),
        kernel_thread=bool(value("flags") & _KERNEL_THREAD),
        cpu=value("thread_info.cpu", "cpu"),
        running=running,
        idle_seconds=max(now - ran, 0) / 1e9 if ran else None,
        stack=stack,
    )
