"""Which function hung the machine? What the chains, the CPUs and the kernel's own complaints point to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from collector.triage.linux_result import CRASH_FUNCTION, Chain, Cpu, Frame, Highlight, LogLine, Suspect
from collector.triage.linux_waits import function_of

_LONG = 2.0
"""Seconds that no kernel code stays on a CPU, or waits uninterruptibly, when all is well. The kernel's own
watchdogs complain of 20 s and 120 s by default."""


def find_suspects(
    cpus: Sequence[Cpu], chains: Iterable[Chain], log: Iterable[LogLine]
) -> tuple[Suspect, ...]:
    """Return what may have hung the machine, the surest first: stuck CPUs, holders of locks, long waits."""
    locked_up = {line.highlight for line in log if line.highlight} & {
        Highlight.SOFT_LOCKUP,
        Highlight.HARD_LOCKUP,
    }
    return (*_stuck(cpus, bool(locked_up)), *_ends(chains))


def _stuck(cpus: Iterable[Cpu], locked_up: bool) -> Iterator[Suspect]:
    for cpu in cpus:
        task = cpu.task
        if task.pid == 0 or cpu.user_mode or _crashed_itself(task.stack):
            continue
        frame = function_of(task.stack)
        long = (task.idle_seconds or 0.0) >= _LONG
        # A clock that the tick drives stands still while interrupts are off, so that counts without the time.
        if frame is None or not (long or cpu.interrupts_on is False):
            continue
        reason = f"was on CPU {cpu.number} without a break"
        if task.idle_seconds is not None:
            reason += f" for {task.idle_seconds:.0f} s"
        if cpu.interrupts_on is not None:
            reason += f", with interrupts {'on' if cpu.interrupts_on else 'off'}"
        if locked_up:
            reason += "; the kernel's log speaks of a lockup"
        yield Suspect(task.label, str(frame), reason)


def _crashed_itself(stack: Sequence[Frame]) -> bool:
    """True if the kernel panicked in what it did, and was not interrupted in it by the NMI."""
    return bool(stack) and stack[0].function == CRASH_FUNCTION and not any(f.interrupted for f in stack)


def _ends(chains: Iterable[Chain]) -> Iterator[Suspect]:
    for chain in chains:
        holder = chain.holder
        since = "" if holder.task.idle_seconds is None else f" for {holder.task.idle_seconds:.0f} s"
        if chain.deadlock:
            names = " -> ".join(link.task.label for link in chain.links)
            yield Suspect(holder.task.label, holder.function, f"deadlock: each waits for the next: {names}")
        elif chain.waiting:
            lock = chain.links[-2].lock
            count = f"{chain.waiting} task{'s wait' if chain.waiting > 1 else ' waits'}"
            yield Suspect(
                holder.task.label,
                holder.function,
                f"holds {lock}, behind which {count}, and is itself in state {holder.task.state}{since}",
            )
        elif holder.lock:
            reason = f"waits for {holder.lock}{since}; who holds it is not known"
            yield Suspect(holder.task.label, holder.function, reason)
        elif (holder.task.idle_seconds or _LONG) >= _LONG:
            reason = f"waits uninterruptibly{since}, not for a mutex or rw-semaphore"
            yield Suspect(holder.task.label, holder.function, reason)
