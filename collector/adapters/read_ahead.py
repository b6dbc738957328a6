"""The plan of a pipelined read, whatever the protocol: what to ask for, and the answers in order.

Nothing here waits or sends, so that it can be tested with every order and every lie of a peer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from collector.adapters.answers import Chunk
from collector.errors import PeerFailedError

MIN_CHUNK = 32 * 1024
"""Bytes that every server must be able to answer with (draft-ietf-secsh-filexfer-02, section 3)."""


@dataclass(slots=True)
class _Range:
    """A piece of the file that was asked for, and what came of it."""

    offset: int
    length: int
    data: Chunk = b""
    last: bool = False  # the file ends here


class ReadAhead:
    """Plans a read with many requests outstanding, and puts the answers back into order.

    It starts with two requests, or as many as the file should take, and allows one more with every answer, so
    that a small file costs no flood. A server that answers with less than it was asked for is asked for the
    rest, and then for less.

    Args:
        offset: first byte wanted.
        chunk: bytes to ask for at a time.
        depth: requests outstanding, at most.
        size: bytes of the file, if the server has told; it is not believed to end there.
    """

    def __init__(self, offset: int, chunk: int, depth: int, size: int = 0) -> None:
        self.finished = False
        self._next = offset
        self._chunk = chunk
        self._depth = depth
        self._allowed = min(max(2, -((offset - size) // chunk)), depth)
        self._ended = False  # somewhere the server said: end of file
        self._number = 0
        self._ranges: deque[_Range] = deque()
        self._outstanding: dict[int, _Range] = {}
        self._unfinished: deque[_Range] = deque()

    def requests(self) -> Iterator[tuple[int, int, int]]:
        """What to ask for now: id, offset, and length of each request."""
        while self._unfinished:
            yield self._ask(self._unfinished.popleft())
        while len(self._ranges) < self._allowed and not self._ended:
            wanted = _Range(self._next, self._chunk)
            self._next += self._chunk
            self._ranges.append(wanted)
            yield self._ask(wanted)

    def data(self, number: int, data: Chunk) -> None:
        """Take the bytes that came for a request.

        Raises:
            PeerFailedError: they were not asked for, are none, or are more than were asked for.
        """
        answered = self._answered(number)
        missing = answered.length - len(answered.data)
        if not 0 < len(data) <= missing:
            raise _malformed(f"{len(data)} bytes where 1 to {missing} were asked for")
        answered.data = b"".join((answered.data, data)) if answered.data else data
        if len(data) < missing:
            self._unfinished.append(answered)
            self._chunk = min(self._chunk, max(MIN_CHUNK, len(data)))
        else:
            self._allowed = min(self._allowed + 1, self._depth)

    def end_of_file(self, number: int) -> None:
        """There is nothing at the place that was asked for.

        Raises:
            PeerFailedError: it was not asked for.
        """
        answered = self._answered(number)
        answered.length, answered.last = len(answered.data), True
        self._ended = True

    def ready(self) -> Iterator[Chunk]:
        """Bytes of the file that can be handed on, in order. The first end of file, in order, is the end."""
        while self._ranges and len(self._ranges[0].data) == self._ranges[0].length:
            first = self._ranges.popleft()
            if first.data:
                yield first.data
            if first.last:
                self.finished = True
                self._ranges.clear()

    def _ask(self, wanted: _Range) -> tuple[int, int, int]:
        self._number = self._number + 1 & 0xFFFFFFFF
        self._outstanding[self._number] = wanted
        done = len(wanted.data)
        return self._number, wanted.offset + done, wanted.length - done

    def _answered(self, number: int) -> _Range:
        try:
            return self._outstanding.pop(number)
        except KeyError:
            raise _malformed("an answer to no request") from None


def _malformed(what: str) -> PeerFailedError:
    return PeerFailedError(f"the server sent {what}", hint="Do not trust this host's files.")
