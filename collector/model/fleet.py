"""The rows of a fleet: every host that goes in comes out as exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from collector.errors import CollectorError, defect
from collector.model.result import Outcome
from collector.model.verdict import Level

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Row(Generic[R_co]):
    """What came of the work for one host. `value` is there exactly when `outcome` is SUCCESS."""

    host: str
    outcome: Outcome
    value: R_co | None = None
    detail: str = ""
    hint: str = ""
    seconds: float = 0.0

    @classmethod
    def of_error(cls, host: str, error: BaseException, seconds: float) -> Row[R_co]:
        """The row of a host whose work ended in `error`; a defect is named without the values it met."""
        if isinstance(error, CollectorError):
            return cls(host, Outcome.of(error), None, error.message, error.hint, seconds)
        return cls(host, Outcome.FAILED, None, defect(error), "Please report it.", seconds)


@dataclass(frozen=True, slots=True)
class Change:
    """What one check says otherwise than before; `check` is empty for the verdict of the host itself.

    `before` is None where nothing was said before, `after` where the question no longer arises.
    """

    host: str
    check: str
    before: Level | None
    after: Level | None
    reason: str
