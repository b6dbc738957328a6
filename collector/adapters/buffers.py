"""Memory for what arrives, used again: a fresh megabyte for every answer costs more than to read it."""

from __future__ import annotations

from collections import deque


class Buffers:
    """Buffers of `size` bytes that go round. For one thread; what it hands out may be viewed by any.

    There are as many as are in use at the same time.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffers: deque[bytearray] = deque()

    def take(self) -> memoryview:
        """A buffer that nobody views, and not handed out again while this view, or a part of it, is held."""
        for _ in range(len(self._buffers)):
            self._buffers.rotate(-1)
            if _is_free(self._buffers[-1]):
                break
        else:
            self._buffers.append(bytearray(self._size))
        return memoryview(self._buffers[-1])


def _is_free(buffer: bytearray) -> bool:
    """Whether nobody views it: Python refuses to let a buffer grow that somebody does."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True
