"""A snapshot of the memory is taken once, whatever happens to the answer, and only ours is removed.

Each costs the host as much disk as it has memory, and stops it for a while.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import FileKind
from collector.adapters.base import MemorySnapshot
from collector.adapters.limits import Deadline
from collector.errors import AdapterError, DeadlineError, PeerFailedError, UnsupportedError
from tests.contract.snapshots import RIGS, Ability, Loss, Rig, losing, takers

CASE, THEIRS = "app07-20260701T080000Z", "before-the-update"
EARLY_S = 1.5  # too little for what never answers
STRAGGLER_S = 0.3


@pytest.fixture
def rig(taker: str, tmp_path: Path) -> Iterator[Rig]:
    """The rig that the test's parameter `taker` names."""
    with RIGS[taker][1](tmp_path) as made:
        yield made


def soon() -> Deadline:
    return Deadline.after(60.0)


def settled(rig: Rig) -> tuple[int, list[str]]:
    """What the peer has, once whatever is still on its way has arrived."""
    time.sleep(STRAGGLER_S)
    return rig.begun(), rig.there()


@pytest.mark.parametrize("taker", takers())
def test_the_price_is_told_and_nothing_is_taken(rig: Rig) -> None:
    with rig.login() as taking:
        assert isinstance(taking, MemorySnapshot)
        price = taking.snapshot_price(soon())
    assert price.needed > 0
    assert price.free is None or price.free > price.needed
    assert price.suffering
    assert settled(rig) == (0, [])


@pytest.mark.parametrize("taker", takers(Ability.FULL))
def test_too_little_room_shows_in_the_price(rig: Rig) -> None:
    rig.make(Ability.FULL)
    with rig.login() as taking:
        price = taking.snapshot_price(soon())
    assert price.free is not None
    assert price.free < price.needed


@pytest.mark.parametrize("taker", takers())
def test_the_same_name_is_the_same_snapshot(rig: Rig) -> None:
    with rig.login() as taking:
        files = taking.take_snapshot(CASE, soon())
        again = taking.take_snapshot(CASE, soon())
    with rig.login() as taking:
        anew = taking.take_snapshot(CASE, soon())
    sizes = {file.path: file.size for file in files}
    assert sizes
    assert all({file.path: file.size for file in each} == sizes for each in (again, anew))
    assert all(file.path.startswith("/") and file.kind is FileKind.FILE for file in files)
    assert settled(rig) == (1, [CASE])


@pytest.mark.parametrize(("taker", "loss"), losing())
def test_a_lost_answer_makes_no_second_one(rig: Rig, loss: Loss) -> None:
    rig.lose(loss)
    for _ in range(5):  # a busy machine may not get as far as the request
        with rig.login() as taking, contextlib.suppress(AdapterError):
            taking.take_snapshot(CASE, Deadline.after(EARLY_S))
        if loss is Loss.SWALLOWED or rig.begun():
            break
    assert rig.begun() == (0 if loss is Loss.SWALLOWED else 1)
    rig.recover()
    with rig.login() as taking:
        assert taking.take_snapshot(CASE, soon())
        assert taking.take_snapshot(CASE, soon())
    assert settled(rig) == (1, [CASE])


@pytest.mark.parametrize("taker", takers(Ability.SLOW))
def test_one_that_is_under_way_is_awaited(rig: Rig) -> None:
    rig.make(Ability.SLOW)
    for _ in range(5):
        with rig.login() as taking, pytest.raises(DeadlineError):
            taking.take_snapshot(CASE, Deadline.after(EARLY_S))
        if rig.begun():
            break
    with rig.login() as taking:
        assert taking.take_snapshot(CASE, soon())
    assert settled(rig) == (1, [CASE])


@pytest.mark.parametrize("taker", takers(Ability.OFF))
def test_a_machine_that_is_off_has_no_memory_to_keep(rig: Rig) -> None:
    rig.make(Ability.OFF)
    with rig.login() as taking:
        with pytest.raises(PeerFailedError):
            taking.snapshot_price(soon())
        with pytest.raises(PeerFailedError):
            taking.take_snapshot(CASE, soon())
    assert settled(rig) == (0, [])


@pytest.mark.parametrize("taker", takers(Ability.REFUSE))
def test_a_peer_that_cannot_says_so_and_has_done_nothing(rig: Rig) -> None:
    rig.make(Ability.REFUSE)
    with rig.login() as taking, pytest.raises(UnsupportedError):
        taking.take_snapshot(CASE, soon())
    assert settled(rig) == (0, [])


@pytest.mark.parametrize("taker", takers())
def test_only_ours_is_removed(rig: Rig) -> None:
    rig.somebody_takes(THEIRS)
    with rig.login() as taking:
        taking.remove_snapshot(CASE, soon())
        assert rig.there() == [THEIRS]
        taking.take_snapshot(CASE, soon())
        assert rig.there() == sorted([CASE, THEIRS])
        taking.remove_snapshot(CASE, soon())
        taking.remove_snapshot(CASE, soon())
    assert rig.there() == [THEIRS]


@pytest.mark.parametrize("taker", takers(Ability.SILENT))
@pytest.mark.parametrize("question", ["price", "take", "remove"])
def test_a_silent_peer_costs_the_deadline_only(rig: Rig, question: str) -> None:
    with rig.login() as taking:
        taking.snapshot_price(soon())
        rig.make(Ability.SILENT)
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            {
                "price": taking.snapshot_price,
                "take": lambda deadline: taking.take_snapshot(CASE, deadline),
                "remove": lambda deadline: taking.remove_snapshot(CASE, deadline),
            }[question](Deadline.after(0.5))
        assert time.monotonic() - started < 10.0
        rig.recover()
    assert settled(rig) == (0, [])


@pytest.mark.parametrize("taker", takers())
def test_no_time_left_takes_nothing(rig: Rig) -> None:
    with rig.login() as taking, pytest.raises(DeadlineError):
        taking.take_snapshot(CASE, Deadline.after(0.0))
    assert settled(rig) == (0, [])
