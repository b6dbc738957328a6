"""Who waits for whom: from a task that sleeps on a mutex or rw-semaphore to the end of the chain.

A task that waits for such a lock has its place in the lock's queue on its own stack: a `mutex_waiter` or
`rwsem_waiter`, in which it names itself. The queue leads to the lock, and the lock names its owner.
Source: Linux kernel/locking/mutex.h, mutex.c (owner and its three flag bits), rwsem.c (the same for writers;
the lowest bit says that the owner is one of the readers).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collector.errors import DumpError
from collector.triage.linux_kernel import Kernel
from collector.triage.linux_memory import damaged
from collector.triage.linux_result import Chain, Frame, Link, Lock, Task

_OWNER_FLAGS = 7
_STACK_BYTES = 1 << 14  # THREAD_SIZE on x86-64 (asm/page_64_types.h, without KASAN)
_MOST_QUEUE = 1 << 16
_SHOWN_CHAINS = 100

_WAITING = (
    "__schedule", "schedule", "io_schedule", "preempt_schedule", "__cond_resched", "__wait_for_common",
    "wait_for_completion", "__wait_for_completion", "__mutex_lock", "mutex_lock", "__ww_mutex_lock",
    "ww_mutex_lock", "down_", "__down", "rwsem_", "rt_mutex", "__rt_mutex", "msleep", "usleep_range",
    "fsleep", "do_nanosleep", "hrtimer_nanosleep", "wait_woken", "prepare_to_wait", "__wait_on_", "bit_wait",
    "out_of_line_wait_on_", "wait_on_", "folio_wait", "__folio_lock", "__lock_page", "do_wait_intr",
    "percpu_down", "__percpu_down", "percpu_rwsem_wait", "context_switch", "__switch_to",
)  # fmt: skip
"""Starts of the names of functions that only wait; the first function outside them says for what."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A lock whose queue lies on the stacks of those who wait."""

    name: str
    structure: str
    waiter: str
    waits_in: tuple[str, ...]
    reader_owned: int  # the bit of the owner that says it is one of several readers


_KINDS = (
    _Kind("mutex", "mutex", "mutex_waiter", ("__mutex_lock", "__ww_mutex_lock"), 0),
    _Kind("rw-semaphore", "rw_semaphore", "rwsem_waiter", ("rwsem_down_",), 1),
)


def function_of(stack: Iterable[Frame]) -> Frame | None:
    """Return the function that waits or works, past those that only wait and past interrupts."""
    frames = tuple(stack)
    start = next((index for index, frame in enumerate(frames) if frame.interrupted), 0)
    for frame in frames[start:]:
        if frame.function and not frame.function.startswith(_WAITING):
            return frame
    return None


class Locks:
    """What the tasks of one dump wait for.

    Args:
        kernel: the kernel.
        tasks: every task by its address.
    """

    def __init__(self, kernel: Kernel, tasks: Mapping[int, Task]) -> None:
        self._kernel = kernel
        self._tasks = tasks
        self._heads: dict[int, int] = {}  # by each waiter that led there: queues may be long

    def of(self, task: Task) -> Lock | None:
        """Return the lock that a task waits for; None if it waits for something else, or its data is gone."""
        for kind in _KINDS:
            if any(frame.function.startswith(kind.waits_in) for frame in task.stack):
                try:
                    return self._find(task, kind)
                except DumpError:
                    return None  # a part of the queue is not in the dump
        return None

    def _find(self, task: Task, kind: _Kind) -> Lock | None:
        kernel = self._kernel
        task_at, list_at = (kernel.field(kind.waiter, member).offset for member in ("task", "list"))
        top, words = self._stack(task)
        for index, word in enumerate(words):
            if word == task.address:
                head = self._head(top + 8 * index - task_at + list_at, task_at - list_at)
                if head:
                    return self._lock(kind, head - kernel.field(kind.structure, "wait_list").offset)
        return None

    def _stack(self, task: Task) -> tuple[int, tuple[int, ...]]:
        """Return where the stack of a sleeping task starts, and the words on it."""
        base = self._kernel.value(task.address, "task_struct", "stack")
        top = self._kernel.value(task.address, "task_struct", "thread.sp")
        if top % 8 or not base <= top < base + _STACK_BYTES:
            raise damaged(f"the stack pointer of {task.label} is outside its stack")
        count = (base + _STACK_BYTES - top) // 8
        return top, struct.unpack(f"<{count}Q", self._kernel.memory.read(top, 8 * count))

    def _head(self, entry: int, to_task: int) -> int:
        """Follow a queue to the one entry that is no waiter: the head, in the lock. 0 if it is no queue."""
        place, number = entry, self._kernel.number
        way: list[int] = []
        head = self._heads.get(entry)
        try:
            while head is None and len(way) < _MOST_QUEUE:
                way.append(place)
                following = number(place)
                if number(following + 8) != place or following == entry:
                    return 0
                if not self._is_waiter(following, to_task):
                    head = following
                else:
                    head, place = self._heads.get(following), following
        except DumpError:
            return 0  # the task's own address was on its stack, but no waiter around it
        if head is not None:
            self._heads.update(dict.fromkeys(way, head))
        return head or 0

    def _is_waiter(self, entry: int, to_task: int) -> bool:
        try:
            return self._kernel.number(entry + to_task) in self._tasks
        except DumpError:
            return False  # a lock may end where the dump does; a waiter lies on a stack

    def _lock(self, kind: _Kind, address: int) -> Lock:
        symbol = self._kernel.symbols.at(address)
        name = str(symbol) if symbol and symbol.address == address else ""
        owner = self._kernel.value(address, kind.structure, "owner")
        # Readers do not all sign: the last one that did is the best the kernel knows.
        label = f"{kind.name} held by readers" if owner & kind.reader_owned else kind.name
        owner &= ~_OWNER_FLAGS
        return Lock(label, address, name, owner if owner in self._tasks else 0)


def build_chains(tasks: Iterable[Task], locks: Mapping[int, Lock]) -> tuple[Chain, ...]:
    """Return a chain for each task at the end of one, the one with most waiters first.

    Args:
        tasks: all tasks.
        locks: what tasks wait for, by the task's address. A task in state D without a lock is a chain of one.
    """
    known = {task.address: task for task in tasks}
    waits = {at: lock.owner for at, lock in locks.items() if at in known}
    ends: Counter[int] = Counter()
    longest: dict[int, tuple[int, ...]] = {}
    deadlocks = set()
    for start in [*waits, *(at for at, task in known.items() if task.state == "D" and at not in waits)]:
        way, closed = _follow(start, waits, known)
        end = min(way[way.index(closed) :]) if closed else way[-1]
        if closed:
            deadlocks.add(end)
        ends[end] += start != end
        if end not in longest or len(way) > len(longest[end]):
            longest[end] = way
    chains = [
        Chain(
            tuple(_link(known[at], locks.get(at)) for at in way),
            waiting=ends[end],
            deadlock=end in deadlocks,
        )
        for end, way in longest.items()
    ]
    chains.sort(key=lambda chain: (-chain.waiting, -(chain.holder.task.idle_seconds or 0.0)))
    return tuple(chains[:_SHOWN_CHAINS])


def _follow(start: int, waits: Mapping[int, int], known: Mapping[int, Task]) -> tuple[tuple[int, ...], int]:
    """Return the way from a task to the end, and the task at which it closes; 0 when it does not."""
    way, seen, at = [start], {start}, start
    while (following := waits.get(at, 0)) in known:
        if following in seen:
            return tuple(way), following
        way.append(following)
        seen.add(following)
        at = following
    return tuple(way), 0


def _link(task: Task, lock: Lock | None) -> Link:
    frame = function_of(task.stack)
    return Link(task, str(frame) if frame else "", lock)
