"""Ask one host everything at once, on asyncio's callbacks.

Callbacks and not streams, because streams at high concurrency call living hosts dead; and the selector
loop on every system, because only it can watch plain sockets. In each turn the loop hands out what has
arrived before it looks at its timers, so an answer that came in time is never judged late.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence

from collector.probe.attempt import CONNECT_SECONDS, Attempt, Resolved
from collector.probe.observation import Observation, Target, untried


def observe(targets: Sequence[Target], deadline: float = 10.0) -> list[Observation]:
    """Ask all targets at once; return one observation for each, in their order, whatever fails.

    Blocks until all have answered, at most `deadline` seconds. Not to be called from a running event loop.

    Args:
        targets: what to ask; each name is resolved once.
        deadline: seconds for everything; raised to `CONNECT_SECONDS` if it is less.
    """
    if not targets:
        return []
    try:
        loop = asyncio.SelectorEventLoop()
    except OSError as error:
        return [untried(target, f"this machine cannot ask: {error}") for target in targets]
    with contextlib.closing(loop):
        return _Round(loop, targets, max(deadline, CONNECT_SECONDS)).run()


class _Round:
    """All attempts of one call, and what they share: the loop, the deadline, the resolver."""

    def __init__(self, loop: asyncio.AbstractEventLoop, targets: Sequence[Target], seconds: float) -> None:
        self._loop = loop
        ends = loop.time() + seconds
        self._attempts = [Attempt(loop, target, ends, self._resolve, self._finished) for target in targets]
        self._unfinished = len(self._attempts)
        self._waiting: dict[str, list[Attempt]] = {}

    def run(self) -> list[Observation]:
        for attempt in self._attempts:
            self._loop.call_soon(attempt.start)
        try:
            self._loop.run_forever()
        finally:
            for attempt in self._attempts:
                attempt.close()
        return [attempt.observation for attempt in self._attempts]

    def _finished(self) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._loop.stop()

    def _resolve(self, attempt: Attempt) -> None:
        """Find an address. A name is looked up in a thread: a resolver may block for longer than we wait."""
        name = attempt.target.address
        if name in self._waiting:
            self._waiting[name].append(attempt)
            return
        try:
            attempt.resolved(_address_of(name, socket.AI_NUMERICHOST))
        except socket.gaierror:  # not an IP address, so it is a name
            self._waiting[name] = [attempt]
            threading.Thread(target=self._look_up, args=(name,), daemon=True).start()

    def _look_up(self, name: str) -> None:
        result: Resolved | str
        try:
            result = _address_of(name)
        except (OSError, ValueError) as error:
            result = f"the name does not resolve: {error}"
        with contextlib.suppress(RuntimeError):  # the loop is closed: the round is over, nobody waits
            self._loop.call_soon_threadsafe(self._looked_up, name, result)

    def _looked_up(self, name: str, result: Resolved | str) -> None:
        for attempt in self._waiting.pop(name):
            attempt.resolved(result)


def _address_of(name: str, flags: int = 0) -> Resolved:
    """Return the address that this machine reaches best (RFC 6724).

    Raises:
        OSError: the name does not resolve.
        ValueError: nothing can have this name.
    """
    family, _, _, _, address = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=flags)[0]
    return Resolved(family, tuple(address))
