"""The seam between what is asked of a host and how many are asked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from collector.adapters.limits import Deadline
from collector.model.fleet import Row
from collector.model.host import Host

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Work = Callable[[Host, Deadline], R]
"""What is done for one host, by the deadline. It may block, and it may raise: the error is then the row."""


class Batch(Protocol[R_co]):
    """Hosts at work."""

    def rows(self) -> Iterator[Row[R_co]]:
        """Every host's row, exactly one each, in the order in which they end."""
        ...

    def cancel(self, reason: str) -> None:
        """Start no more hosts. Those that were not started come out as SKIPPED, with this reason."""
        ...


class Engine(Protocol):
    """Does the same work for many hosts, on this machine or on others."""

    def submit(self, hosts: Sequence[Host], work: Work[R]) -> Batch[R]:
        """Take the hosts; their names differ. The work begins when the rows are asked for."""
        ...
