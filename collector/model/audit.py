"""What an audit says of a host: if it hung tonight, would an NMI end in a usable dump?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collector.model.host import Platform
from collector.model.result import Outcome, StepResult
from collector.model.verdict import Level


class Severity(StrEnum):
    """How much a check that fails takes away."""

    BLOCKER = "blocker"  # no usable dump is to be expected
    HIGH = "high"  # the dump is in danger
    MEDIUM = "medium"  # it costs time or evidence
    INFO = "info"  # worth knowing; never a warning


class Link(StrEnum):
    """The chain from the NMI to the dump at home, in the order of time."""

    TRIGGER = "trigger path"
    CRASH = "becomes a crash"
    CAPTURE = "capture armed"
    FITS = "fits"
    SURVIVES = "survives watchdogs and fencing"
    FETCH = "can be fetched"


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One check's answer, with what the catalog knows of it.

    `remedy` says what to do in words; `commands` do it on this host's distribution, one shell line each,
    and are empty where no command can, or nothing is to be done.
    """

    id: str
    title: str
    link: Link
    severity: Severity
    level: Level
    reason: str
    remedy: str = ""
    commands: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class LinkVerdict:
    """How one link of the chain holds: the level of its worst check, and that check's reason."""

    link: Link
    level: Level
    reason: str


@dataclass(frozen=True, slots=True)
class DumpEstimate:
    """How large the dump would be, in bytes, and how many seconds it would take to write."""

    bytes: int
    seconds: float
    how: str


@dataclass(frozen=True, slots=True)
class HostAudit:
    """The one row of a host: the answer, and the chain behind it.

    `reason` names the weakest link first. `gathered` says of each gatherer how it ended; a host that
    could not be asked still is a row, whose checks are UNKNOWN. `time` is when the audit ended, in UTC.
    """

    host: str
    platform: Platform
    time: datetime
    level: Level
    reason: str
    links: tuple[LinkVerdict, ...] = ()
    verdicts: tuple[CheckVerdict, ...] = ()
    estimate: DumpEstimate | None = None
    gathered: tuple[StepResult, ...] = ()

    @property
    def answered(self) -> bool:
        """True when at least one gatherer came back with facts of tonight."""
        return any(step.outcome is Outcome.SUCCESS for step in self.gathered)
