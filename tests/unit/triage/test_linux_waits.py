from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.triage.linux_btf import Btf
from collector.triage.linux_kernel import Kernel
from collector.triage.linux_result import Chain, Frame, Lock, Task
from collector.triage.linux_symbols import Symbol, Symbols
from collector.triage.linux_waits import Locks, build_chains, function_of
from tests.unit.triage.linux_image import Image, btf

HEAP, STACKS, MUTEX = 0xFFFF888000000000, 0xFFFFC90000000000, 0xFFFFFFFFC0003000
LIST = ("list_head", (16, [("next", "u64", 0), ("prev", "u64", 64)]))
TYPES = {
    "list_head": LIST[1],
    "thread_struct": (8, [("sp", "u64", 0)]),
    "task_struct": (16, [("stack", "u64", 0), ("thread", "thread_struct", 64)]),
    "mutex": (32, [("owner", "u64", 0), ("wait_list", "list_head", 128)]),
    "mutex_waiter": (24, [("list", "list_head", 0), ("task", "u64", 128)]),
}
SLOW_PATH = ("__schedule", "schedule", "__mutex_lock.constprop.0")


def task(address: int, state: str = "D", functions: tuple[str, ...] = (*SLOW_PATH, "wait_here")) -> Task:
    frames = tuple(Frame(1, function, "", 0) for function in functions)
    return Task(address, address, f"task{address}", state, True, 0, False, 5.0, frames)


def queue(image: Image, tasks: list[Task], owner: int) -> None:
    """Put every task into the queue of one mutex, each with its place on its own stack."""
    places = [STACKS + 0x10000 * index + 0x3F00 for index in range(len(tasks))]
    ring = [MUTEX + 16, *places, MUTEX + 16]
    image.words(MUTEX, owner, 0, ring[1], ring[-2])
    for index, one in enumerate(tasks):
        base = STACKS + 0x10000 * index
        image.words(one.address, base, base + 0x3E00)
        words = [0] * 64
        words[3] = one.address  # a stray copy, which is no waiter
        words[32:35] = ring[index + 2], ring[index], one.address
        image.words(base + 0x3E00, *words)


def locks_of(image: Image, tasks: list[Task]) -> Locks:
    symbols = Symbols([Symbol(MUTEX, "hang_mutex", "hang", 32)])
    return Locks(Kernel(image, symbols, Btf(btf(TYPES))), {one.address: one for one in tasks})


def test_a_waiter_on_the_stack_leads_to_the_lock_and_its_owner() -> None:
    waiters, holder = [task(HEAP + 0x100 * index) for index in range(3)], task(HEAP + 0x1000, "S", ("hold",))
    image = Image()
    queue(image, waiters, holder.address | 1)
    locks = locks_of(image, [*waiters, holder])
    expected = Lock("mutex", MUTEX, "hang_mutex [hang]", holder.address)
    assert [locks.of(one) for one in waiters] == [expected] * 3
    assert locks.of(holder) is None


def test_an_owner_that_is_no_task_is_unknown() -> None:
    image, waiter = Image(), task(HEAP)
    queue(image, [waiter], 0xDEAD0001)
    assert locks_of(image, [waiter]).of(waiter) == Lock("mutex", MUTEX, "hang_mutex [hang]", 0)


def test_a_queue_that_is_not_in_the_dump_gives_no_lock() -> None:
    image, waiter = Image(), task(HEAP)
    queue(image, [waiter], 0)
    del image.pieces[MUTEX]
    assert locks_of(image, [waiter]).of(waiter) is None


@given(st.lists(st.tuples(st.integers(0, 0x1FF), st.integers(0, 2**64 - 1)), max_size=6))
def test_a_hostile_stack_gives_a_lock_or_none(changes: list[tuple[int, int]]) -> None:
    image, waiter = Image(), task(HEAP)
    queue(image, [waiter], waiter.address)
    raw = bytearray(image.pieces[STACKS + 0x3E00])
    for at, value in changes:
        raw[at : at + 8] = value.to_bytes(8, "little")
    image.pieces[STACKS + 0x3E00] = bytes(raw[:512])
    locks_of(image, [waiter]).of(waiter)


def chains(waits: dict[int, int], states: dict[int, str] | None = None) -> tuple[Chain, ...]:
    known = {*waits, *waits.values()} - {0}
    tasks = [task(at, (states or {}).get(at, "D" if at in waits else "S")) for at in sorted(known)]
    return build_chains(tasks, {at: Lock("mutex", at, "", owner) for at, owner in waits.items()})


def test_the_longest_way_is_shown_and_all_are_counted() -> None:
    (chain,) = chains({1: 2, 2: 9, 3: 9})
    assert [link.task.pid for link in chain.links] == [1, 2, 9]
    assert (chain.waiting, chain.deadlock, chain.holder.task.pid) == (3, False, 9)


def test_a_cycle_is_a_deadlock_whoever_waits_behind_it() -> None:
    (chain,) = chains({1: 2, 2: 3, 3: 2})
    assert chain.deadlock
    assert {link.task.pid for link in chain.links} == {1, 2, 3}


def test_a_task_that_waits_for_itself_is_a_deadlock() -> None:
    (chain,) = chains({1: 1})
    assert chain.deadlock


def test_the_chain_with_most_behind_it_comes_first() -> None:
    assert [chain.holder.task.pid for chain in chains({1: 8, 2: 9, 3: 9})] == [9, 8]


def test_a_lock_of_unknown_owner_ends_the_chain() -> None:
    (chain,) = chains({1: 2, 2: 0})
    assert chain.holder.task.pid == 2
    assert chain.holder.lock


def test_a_chain_of_thousands_is_followed() -> None:
    (chain,) = chains({at: at + 1 for at in range(1, 2000)})
    assert chain.waiting == 1999


@given(st.dictionaries(st.integers(1, 12), st.integers(0, 12), max_size=12))
def test_every_waiter_is_counted_behind_one_end(waits: dict[int, int]) -> None:
    found = chains(waits)
    ends = sum(1 for chain in found if chain.deadlock or chain.holder.task.pid in waits)
    assert sum(chain.waiting for chain in found) + ends == len(waits)
    for chain in found:
        pids = [link.task.pid for link in chain.links]
        assert all(waits[pid] == following for pid, following in pairwise(pids))


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        ((*SLOW_PATH, "nfs_wait"), "nfs_wait"),
        (("__schedule", "io_schedule", "folio_wait_bit_common", "filemap_fault"), "filemap_fault"),
        (("schedule",), None),
        ((), None),
    ],
)
def test_functions_that_only_wait_are_passed(functions: tuple[str, ...], expected: str | None) -> None:
    frame = function_of(task(1, functions=functions).stack)
    assert (frame.function if frame else None) == expected


def test_what_the_nmi_came_upon_counts_and_not_its_handler() -> None:
    stack = (Frame(1, "exc_nmi", "", 0), Frame(2, "spin", "hang", 0, interrupted=True))
    assert str(function_of(stack)) == "spin [hang]"
