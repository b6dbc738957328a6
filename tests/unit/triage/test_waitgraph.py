from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.triage.edges import build
from collector.triage.model import (
    CriticalSection,
    DebuggerLog,
    LpcMessage,
    LpcWait,
    Resource,
    Thread,
    WaitKind,
    WaitObject,
)
from collector.triage.modules import load
from collector.triage.sightings import join
from collector.triage.waitgraph import Chain
from collector.triage.waits import WaitOn
from tests.unit.triage.planted import KINDS, Scene, address, blocked, stack, thread, waiting

planted_kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=12)


def chains(log: DebuggerLog) -> list[Chain]:
    return build(log, load()).chains()


def addresses(chain: Chain) -> list[int | None]:
    return [link.node.thread.address if link.node.thread else None for link in chain.links]


@settings(deadline=None)
@given(planted_kinds, st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_chain_that_was_planted_is_the_chain_that_is_found_and_nothing_else(
    kinds: list[str], idle: int, order: random.Random
) -> None:
    scene = Scene()
    numbers = list(range(1, len(kinds) + 2))
    order.shuffle(numbers)
    scene.chain(numbers, kinds)
    for number in range(100, 100 + idle):
        scene.idle(number)
    order.shuffle(scene.threads)
    (found,) = chains(scene.log())
    assert addresses(found) == [address(number) for number in numbers]
    assert [link.wait.on if link.wait else None for link in found.links] == [*kinds, WaitOn.DRIVER]
    assert found.behind == len(kinds)
    assert not found.cycle


@settings(deadline=None)
@given(planted_kinds, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_circle_is_a_deadlock_wherever_one_begins_to_read(
    kinds: list[str], idle: int, order: random.Random
) -> None:
    scene = Scene()
    numbers = list(range(1, len(kinds) + 2))
    scene.chain(numbers, [*kinds, "mutant"], closed=True)
    for number in range(100, 100 + idle):
        scene.idle(number)
    order.shuffle(scene.threads)
    (found,) = chains(scene.log())
    assert found.cycle
    start = numbers.index((found.links[0].node.thread or thread(0)).thread_id or 0)
    assert addresses(found) == [address(number) for number in [*numbers[start:], *numbers[:start]]]


def test_idle_threads_make_no_chain() -> None:
    scene = Scene()
    for number in range(200):
        scene.idle(number)
    assert chains(scene.log()) == []


def test_a_driver_that_waits_for_its_own_work_makes_no_chain() -> None:
    names = waiting("FooDrv!WorkerLoop", "nt!PspSystemThreadStartup", "nt!KiThreadStartup")
    worker = thread(1, wait_mode="KernelMode", stack=stack(*names))
    assert chains(DebuggerLog(threads=(worker,))) == []


def test_a_work_item_that_sleeps_in_a_driver_makes_one() -> None:
    names = waiting("NDIS!NdisMSleep", "FooDrv!Reset", "nt!ExpWorkerThread", "nt!PspSystemThreadStartup")
    worker = thread(1, wait_mode="KernelMode", stack=stack(*names))
    (found,) = chains(DebuggerLog(threads=(worker,)))
    assert addresses(found) == [address(1)]


def test_waits_of_a_moment_make_no_chain() -> None:
    scene = Scene()
    scene.chain([1, 2], ["mutant"])
    short = [replace(one, wait_seconds=0.015) for one in scene.threads]
    assert chains(DebuggerLog(threads=tuple(short))) == []


@pytest.mark.parametrize("closed", [False, True])
def test_thousands_of_threads_in_one_chain_are_followed_to_the_end(closed: bool) -> None:
    scene = Scene()
    numbers = list(range(1, 5001))
    scene.chain(numbers, ["mutant"] * 5000, closed=closed)
    (found,) = chains(scene.log())
    assert len(found.links) == 5000
    assert found.cycle is closed


def test_a_thousand_waiters_of_a_thousand_owners_end_in_bounded_time() -> None:
    owners, waiters = tuple(range(1, 2001)), tuple(range(5001, 7001))
    crowd = Resource(1, 99, owners=owners, shared_waiters=waiters, shared_waiter_count=len(waiters))
    found = chains(DebuggerLog(resources=(crowd,)))
    assert len(found) == 512
    assert found[0].behind == 2000


def test_the_threads_behind_a_root_are_counted_with_those_that_are_only_counted() -> None:
    section = CriticalSection(5, 0x30000, locked=True, waiters=104, owner_id=7)
    (found,) = chains(DebuggerLog(threads=(blocked(7),), critical_sections=(section,)))
    assert found.behind == 104
    assert found.links[0].node.count == 104
    assert found.links[0].wait is not None
    assert found.links[0].wait.on is WaitOn.CRITICAL_SECTION


def test_of_two_waiters_equally_near_the_one_that_is_shown_begins_the_chain() -> None:
    section = CriticalSection(5, 0x30000, locked=True, waiters=12, owner_id=7)
    sender = thread(1, lpc_wait=LpcWait(3, 0x99))
    message = LpcMessage(4, 0x99, server_thread=address(7))
    log = DebuggerLog(threads=(sender, blocked(7)), critical_sections=(section,), lpc_messages=(message,))
    (found,) = chains(log)
    assert addresses(found) == [address(1), address(7)]
    assert found.behind == 13


def test_an_owner_that_the_log_only_mentions_ends_the_chain() -> None:
    waiter = thread(1, wait_objects=(WaitObject(3, 4, WaitKind.MUTANT, "Mutant", 0xABCDEF),))
    (found,) = chains(DebuggerLog(threads=(waiter,)))
    assert addresses(found) == [address(1), 0xABCDEF]


def test_a_thread_that_owns_what_it_waits_for_is_no_deadlock() -> None:
    waiter = thread(1, wait_objects=(WaitObject(3, 4, WaitKind.MUTANT, "Mutant", address(1)),))
    assert chains(DebuggerLog(threads=(waiter,))) == []


def test_the_longest_wait_is_reported_beside_the_order_of_the_locks() -> None:
    scene = Scene()
    scene.chain([1, 2, 3], ["mutant", "lpc"])
    scene.threads[1] = replace(scene.threads[1], wait_seconds=9000.0)
    (found,) = chains(scene.log())
    assert found.longest == found.links[1]
    assert addresses(found)[-1] == address(3)


def test_a_user_dump_and_a_kernel_dump_of_one_process_are_joined_by_their_ids() -> None:
    kernel = thread(1, stack=stack("nt!KiSwapThread", "nt!KeWaitForSingleObject", "nt!NtDeviceIoControlFile"))
    user = Thread(
        9, process_id=1, thread_id=1, index=20, stack=stack("ntdll!NtDeviceIoControlFile", "app!Ask")
    )
    for sightings in ((kernel, user), (user, kernel)):
        (one,) = join(sightings, {})
        assert one.address == address(1)
        assert one.index == 20
        assert one.stack is not None
        assert [str(frame.module) for frame in one.stack.frames] == ["nt", "nt", "nt", "ntdll", "app"]


def test_a_kernel_stack_that_shows_user_mode_already_is_kept_as_it_is() -> None:
    kernel = thread(
        1, stack=stack("nt!KeWaitForSingleObject", "nt!KiSystemServiceCopyEnd", "ntdll!ZwWait", "app!A")
    )
    user = Thread(9, process_id=1, thread_id=1, stack=stack("ntdll!ZwWait"))
    (one,) = join((kernel, user), {})
    assert one.stack == kernel.stack


def test_the_gravest_chain_comes_first() -> None:
    scene = Scene()
    scene.chain([1, 2], ["mutant"])
    scene.chain([11, 12, 13, 14], ["mutant"] * 3)
    scene.chain([21, 22], ["mutant"] * 2, closed=True)
    found = chains(scene.log())
    assert [chain.cycle for chain in found] == [True, False, False]
    assert [chain.behind for chain in found[1:]] == [3, 1]
