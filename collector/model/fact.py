"""An observed value with its source and time, or the reason why it is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """One value that was read from a host. `value` is None exactly when `missing` says why."""

    name: str
    value: str | None
    source: str
    time: datetime
    missing: str = ""


Facts = Mapping[str, Fact]
"""The facts of one host by name."""


def value(facts: Facts, name: str) -> str | None:
    """The value of a fact, or None when it was not asked for or could not be read."""
    fact = facts.get(name)
    return fact.value if fact else None


def number(facts: Facts, name: str) -> float | None:
    """The value of a fact as a number; None when it is missing or is none."""
    text = value(facts, name)
    try:
        found = float(text.split()[0]) if text else math.nan
    except (ValueError, IndexError):
        return None
    return found if math.isfinite(found) else None
