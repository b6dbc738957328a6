"""When so many hosts fail that it is not the hosts: stop asking."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from collector.fleet.engine import Batch
from collector.model.fleet import Row
from collector.model.result import Outcome

R = TypeVar("R")

_WRITTEN = re.compile(r"([0-9]{1,6})(%?)")


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """How many hosts may fail before no more are asked: a count, or a share of all in percent."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> MaxFailures:
        """Read `12` or `5%`.

        Raises:
            ValueError: it is neither.
        """
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is neither a count like 12 nor a share like 5%")
        return cls(int(match[1]), bool(match[2]))

    def exceeded(self, failed: int, hosts: int) -> bool:
        """True once `failed` of `hosts` are more than that."""
        return failed * 100 > self.number * hosts if self.percent else failed > self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


def stop_after(
    batch: Batch[R], hosts: int, limit: MaxFailures, failed: Callable[[Row[R]], bool]
) -> Iterator[Row[R]]:
    """Every row of `batch`; the hosts that were not started when the limit was exceeded come out SKIPPED.

    `failed` says whether a row counts. It must count the unreachable: a wrong route fails a whole fleet.
    """
    failures = 0
    for row in batch.rows():
        failures += row.outcome is not Outcome.SKIPPED and failed(row)
        if limit.exceeded(failures, hosts):
            batch.cancel(f"not asked: {failures} of {hosts} hosts failed, more than --max-failures {limit}")
        yield row
