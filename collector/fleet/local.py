"""Many hosts at once on this machine: one thread a host, and a deadline that holds against each of them.

Threads of our own, and neither an event loop nor an executor: every adapter blocks, so there is nothing to
await, and a library that ignores its deadline can only be left behind. An executor's threads are joined when
the interpreter ends, so one stuck BMC would keep the whole command from returning; daemon threads are not.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from collector.adapters.limits import Deadline
from collector.fleet.engine import Work
from collector.model.fleet import Row
from collector.model.host import Host
from collector.model.result import Outcome

R = TypeVar("R")

WORKERS = 32
"""Hosts at work at a time. Each waits for the network nearly all of its time; logins cost processor time."""

GRACE = 2.0
"""Seconds that work gets beyond its deadline to end by itself: it knows best what it was waiting for."""


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Threads of this process. `seconds` is what each host gets, counted from when its turn comes."""

    seconds: float
    workers: int = WORKERS

    def submit(self, hosts: Sequence[Host], work: Work[R]) -> LocalBatch[R]:
        """Take the hosts; the work begins when the rows are asked for."""
        return LocalBatch(hosts, work, self.seconds, self.workers)


class LocalBatch(Generic[R]):
    """Hosts at work. Whoever reads the rows drives it; `cancel` may come from any thread."""

    def __init__(self, hosts: Sequence[Host], work: Work[R], seconds: float, workers: int) -> None:
        self._waiting = deque(hosts)
        self._work = work
        self._seconds = seconds
        self._workers = workers
        self._running: dict[str, float] = {}  # host name to when it began, oldest first
        self._ended: queue.SimpleQueue[Row[R]] = queue.SimpleQueue()
        self._cancelled = ""

    def rows(self) -> Iterator[Row[R]]:
        """Every host's row, exactly one each, in the order in which they end."""
        while self._waiting or self._running:
            self._start_more()
            yield from self._skipped()
            yield from self._finished()
            yield from self._overdue()

    def cancel(self, reason: str) -> None:
        """Start no more hosts. Those that were not started come out as SKIPPED, with this reason."""
        self._cancelled = reason

    def _start_more(self) -> None:
        while self._waiting and len(self._running) < self._workers and not self._cancelled:
            host = self._waiting.popleft()
            self._running[host.name] = time.monotonic()
            threading.Thread(target=self._do, args=(host,), name=f"host {host.name}", daemon=True).start()

    def _do(self, host: Host) -> None:
        """The life of a host's thread: whatever happens in it ends as a row."""
        deadline, started = Deadline.after(self._seconds), time.monotonic()
        try:
            value = self._work(host, deadline)
            row = Row(host.name, Outcome.SUCCESS, value, seconds=time.monotonic() - started)
        except BaseException as error:  # noqa: BLE001 - a host that raises SystemExit is still one row
            row = Row.of_error(host.name, error, time.monotonic() - started)
        self._ended.put(row)

    def _skipped(self) -> Iterator[Row[R]]:
        while self._cancelled and self._waiting:
            yield Row(self._waiting.popleft().name, Outcome.SKIPPED, detail=self._cancelled)

    def _finished(self) -> Iterator[Row[R]]:
        """Wait for a row until the longest running host is overdue, then hand out all that are there.

        All of them: while the reader took its time over one row, others may have come in time.
        """
        if not self._running:
            return
        oldest = next(iter(self._running.values()))
        wait = max(0.0, oldest + self._seconds + GRACE - time.monotonic())
        with contextlib.suppress(queue.Empty):
            while True:
                row = self._ended.get(timeout=wait)
                wait = 0.0
                if self._running.pop(row.host, None) is not None:  # else it was given up, and has its row
                    yield row

    def _overdue(self) -> Iterator[Row[R]]:
        """The rows of hosts that ignore their deadline; their threads are left behind, their places free."""
        now = time.monotonic()
        for name, began in list(self._running.items()):
            if now - began < self._seconds + GRACE:
                return
            del self._running[name]
            yield Row(
                name,
                Outcome.TIMEOUT,
                detail=f"no result after {now - began:.3g} s, and the work did not stop by itself",
                hint="Something on the way accepts and never answers; ask its endpoints one by one.",
                seconds=now - began,
            )
