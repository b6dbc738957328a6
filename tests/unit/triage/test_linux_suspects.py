from __future__ import annotations

import pytest

from collector.triage.linux_result import Chain, Cpu, Frame, Highlight, Link, Lock, LogLine, Task
from collector.triage.linux_suspects import find_suspects

HANDLER = (Frame(1, "__crash_kexec", "", 0), Frame(1, "panic", "", 0))
SPIN = Frame(2, "spin", "hang", 0, interrupted=True)


def task(pid: int = 7, seconds: float | None = 30.0, stack: tuple[Frame, ...] = (*HANDLER, SPIN)) -> Task:
    return Task(pid, pid, "busy", "R", False, 0, True, seconds, stack)


def cpu(on: Task, *, interrupts_on: bool | None = True, user_mode: bool = False) -> Cpu:
    return Cpu(0, on, interrupts_on, user_mode)


def test_a_cpu_that_is_kept_for_long_is_suspect() -> None:
    log = [LogLine(1.0, "soft lockup", Highlight.SOFT_LOCKUP)]
    (suspect,) = find_suspects([cpu(task())], [], log)
    assert (suspect.task, suspect.function) == ("busy (7)", "spin [hang]")
    assert suspect.reason == (
        "was on CPU 0 without a break for 30 s, with interrupts on; the kernel's log speaks of a lockup"
    )


def test_interrupts_off_are_suspect_at_once() -> None:
    (suspect,) = find_suspects([cpu(task(seconds=0.1), interrupts_on=False)], [], [])
    assert "with interrupts off" in suspect.reason


@pytest.mark.parametrize(
    "innocent",
    [
        cpu(task(seconds=0.1)),
        cpu(task(pid=0)),
        cpu(task(), user_mode=True),
        cpu(task(stack=()), interrupts_on=None),
        cpu(task(stack=(*HANDLER, Frame(3, "sysrq_handle_crash", "", 0))), interrupts_on=False),
    ],
    ids=["short", "idle", "a program", "unknown", "panicked by itself"],
)
def test_a_cpu_that_did_nothing_wrong_is_not_suspect(innocent: Cpu) -> None:
    assert find_suspects([innocent], [], []) == ()


def test_the_ends_of_chains_are_told_with_what_is_behind_them() -> None:
    lock = Lock("mutex", 1, "m", 2)
    waiter, holder = Link(task(1), "wait", lock), Link(task(2), "hold", None)
    (suspect,) = find_suspects([], [Chain((waiter, holder), 1, deadlock=False)], [])
    assert (suspect.function, suspect.reason) == (
        "hold",
        "holds mutex m, behind which 1 task waits, and is itself in state R for 30 s",
    )
    (suspect,) = find_suspects([], [Chain((waiter, waiter), 1, deadlock=True)], [])
    assert suspect.reason.startswith("deadlock")
    (suspect,) = find_suspects([], [Chain((waiter,), 0, deadlock=False)], [])
    assert "who holds it is not known" in suspect.reason


def test_a_short_uninterruptible_wait_is_how_machines_work() -> None:
    alone = Link(task(1, seconds=0.2), "read", None)
    assert find_suspects([], [Chain((alone,), 0, deadlock=False)], []) == ()
