"""The answer of a check: a level, why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The four words of a monitoring plugin, in the plugin guidelines' order of exit codes."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """For sorting, worst first: critical, warning, unknown, ok."""
        return _WORST_FIRST.index(self)


_WORST_FIRST = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says of one host. A missing fact is UNKNOWN with its reason, never OK."""

    check: str
    level: Level
    reason: str
    remedy: str = ""
