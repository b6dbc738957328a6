"""The plan of a pipelined read: every order, every lie."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.read_ahead import ReadAhead
from collector.errors import PeerFailedError


def serve(plan: ReadAhead, file: bytes, *, most: int, rng: random.Random) -> tuple[bytes, int]:
    """Answer a plan as a server with a file would, out of order; return what came out and the most asked."""
    waiting: list[tuple[int, int, int]] = []
    out, most_waiting = b"", 0
    while not plan.finished:
        waiting += plan.requests()
        most_waiting = max(most_waiting, len(waiting))
        number, offset, length = waiting.pop(rng.randrange(len(waiting)))
        data = file[offset : offset + min(length, rng.randint(1, most))]
        if data:
            plan.data(number, data)
        else:
            plan.end_of_file(number)
        out += b"".join(plan.ready())
    return out, most_waiting


@given(
    file=st.binary(max_size=400),
    offset=st.integers(0, 500),
    chunk=st.integers(1, 64),
    depth=st.integers(1, 8),
    most=st.integers(1, 80),
    size=st.integers(0, 600) | st.just(2**63),
    rng=st.randoms(use_true_random=False),
)
def test_any_order_any_short_answers_and_any_lie_about_its_size_give_the_file(
    *, file: bytes, offset: int, chunk: int, depth: int, most: int, size: int, rng: random.Random
) -> None:
    plan = ReadAhead(offset, chunk, depth, size)
    out, most_waiting = serve(plan, file, most=most, rng=rng)
    assert out == file[offset:]
    assert most_waiting <= depth


@pytest.mark.parametrize(("size", "requests"), [(0, 2), (5, 2), (20, 2), (70, 6), (75, 7), (1_000, 8)])
def test_what_the_file_should_take_is_asked_for_at_once(size: int, requests: int) -> None:
    assert len(list(ReadAhead(10, chunk=10, depth=8, size=size).requests())) == requests


def test_a_file_that_grows_ends_at_its_first_end() -> None:
    plan = ReadAhead(0, chunk=10, depth=2)
    (first, *_), (second, *_) = plan.requests()
    plan.end_of_file(first)
    plan.data(second, b"y" * 10)
    assert (list(plan.ready()), plan.finished) == ([], True)


def test_nothing_more_is_asked_for_behind_the_end() -> None:
    plan = ReadAhead(0, chunk=10, depth=8)
    (first, *_), (second, *_) = plan.requests()
    plan.end_of_file(second)
    assert list(plan.requests()) == []
    plan.data(first, b"x" * 10)
    assert (list(plan.ready()), plan.finished) == ([b"x" * 10], True)


def test_a_peer_that_withholds_the_first_answer_makes_us_keep_no_more_than_the_depth() -> None:
    plan = ReadAhead(0, chunk=10, depth=4)
    asked = list(plan.requests())
    kept = 0
    while len(asked) > 1:
        number, _, length = asked.pop()
        plan.data(number, b"x" * length)
        kept += length
        asked += plan.requests()
    assert list(plan.ready()) == []
    assert kept <= 40


@pytest.mark.parametrize("data", [b"", b"x" * 11])
def test_no_bytes_or_more_than_were_asked_for_are_refused(data: bytes) -> None:
    plan = ReadAhead(0, chunk=10, depth=16)
    number = next(plan.requests())[0]
    with pytest.raises(PeerFailedError):
        plan.data(number, data)


def test_an_answer_that_comes_twice_is_refused() -> None:
    plan = ReadAhead(0, chunk=10, depth=16)
    number = next(plan.requests())[0]
    plan.data(number, b"x" * 10)
    with pytest.raises(PeerFailedError, match="no request"):
        plan.data(number, b"x" * 10)
    with pytest.raises(PeerFailedError, match="no request"):
        plan.end_of_file(number)


def test_a_server_with_short_answers_is_asked_for_less() -> None:
    plan = ReadAhead(0, chunk=255 * 1024, depth=2)
    number = next(plan.requests())[0]
    plan.data(number, b"x" * 65_536)
    assert next(place for _, *place in plan.requests()) == [65_536, 255 * 1024 - 65_536]
    rest = list(plan.requests())
    assert all(length == 65_536 for _, _, length in rest)
