"""What came of a step, a host, a fleet. Unreachable, denied and failed are three things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from collector import errors


class Outcome(StrEnum):
    """How one piece of work ended."""

    SUCCESS = "success"
    EMPTY = "empty"  # it worked, and there was nothing
    MISSING = "missing"  # the thing asked for does not exist there
    SKIPPED = "skipped"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    TIMEOUT = "timeout"
    FAILED = "failed"
    UNCERTAIN = "uncertain"

    @classmethod
    def of(cls, error: Exception) -> Outcome:
        """Translate an exception into the one word that stands in a row."""
        for kind, outcome in _OUTCOMES:
            if isinstance(error, kind):
                return outcome
        return cls.FAILED


_OUTCOMES: tuple[tuple[type[Exception], Outcome], ...] = (
    (errors.UnreachableError, Outcome.UNREACHABLE),
    (errors.LoginRefusedError, Outcome.DENIED),
    (errors.NotTriedError, Outcome.DENIED),
    (errors.ForbiddenError, Outcome.DENIED),
    (errors.DeadlineError, Outcome.TIMEOUT),
    (errors.WaitDeadlineError, Outcome.TIMEOUT),
    (errors.UnsupportedError, Outcome.SKIPPED),
    (errors.MissingExtraError, Outcome.SKIPPED),
    (errors.NoDumpError, Outcome.MISSING),
    (errors.UncertainError, Outcome.UNCERTAIN),
)


@dataclass(frozen=True, slots=True)
class StepResult:
    """One row of a run: which step, how it ended, why, and the figures that prove it."""

    step: str
    outcome: Outcome
    detail: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True when the step did what it was asked to."""
        return self.outcome in (Outcome.SUCCESS, Outcome.EMPTY, Outcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class HostResult:
    """The one row that a host which went in comes out as.

    `code` is the kebab-case code of the error that ended the run (`CollectorError.code`), empty when
    everything that was asked for is there.
    """

    host: str
    outcome: Outcome
    detail: str
    hint: str = ""
    code: str = ""
    case: Path | None = None
    steps: tuple[StepResult, ...] = ()
