"""What goes from thread to thread: all of it, in order, and no more on the way than there is room for."""

from __future__ import annotations

import threading

import pytest

from collector.case.handover import Handover


@pytest.mark.parametrize("room", [1, 4])
def test_everything_arrives_in_order(room: int) -> None:
    handover, taken = Handover[int](room), list[int]()
    taker = threading.Thread(target=lambda: taken.extend(handover.get() for _ in range(10_000)))
    taker.start()
    for number in range(10_000):
        handover.put(number)
    taker.join()
    assert taken == list(range(10_000))


def test_the_giver_waits_for_room() -> None:
    handover, given = Handover[int](3), list[int]()

    def give() -> None:
        for number in range(5):
            handover.put(number)
            given.append(number)

    giver = threading.Thread(target=give)
    giver.start()
    giver.join(0.3)
    assert given == [0, 1, 2]
    assert [handover.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    giver.join(30)
    assert given == [0, 1, 2, 3, 4]
