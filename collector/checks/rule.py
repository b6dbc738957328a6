"""What a rule is, and the three ways in which it answers."""

from __future__ import annotations

from collections.abc import Callable

from collector.checks.catalog import CHECKS
from collector.model.audit import Severity
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict

Rule = Callable[[Facts], Verdict | None]
"""Judges one thing; None where the question does not arise on this host."""

_FAILED = {
    Severity.BLOCKER: Level.CRITICAL,
    Severity.HIGH: Level.WARNING,
    Severity.MEDIUM: Level.WARNING,
    Severity.INFO: Level.OK,
}


_SHOWN = 40  # characters of an answer that makes no sense


def good(check: str, reason: str) -> Verdict:
    """It is as it should be."""
    return Verdict(check, Level.OK, reason)


def bad(check: str, reason: str, level: Level | None = None) -> Verdict:
    """It is not; the level follows from the catalog's severity unless the rule knows better."""
    return Verdict(check, level or _FAILED[CHECKS[check].severity], reason, CHECKS[check].remedy)


def unknown(check: str, facts: Facts, *names: str) -> Verdict:
    """It cannot be told, because these facts are missing; each says why, and equal reasons stand once."""
    missing = [name for name in names if value(facts, name) is None] or names
    reasons = dict.fromkeys(why_missing(facts, name) for name in missing)
    if len(reasons) == 1:
        return Verdict(check, Level.UNKNOWN, f"{', '.join(missing)}: {next(iter(reasons))}")
    each = (f"{name}: {why_missing(facts, name)}" for name in missing)
    return Verdict(check, Level.UNKNOWN, "; ".join(each))


def told(check: str, facts: Facts, name: str) -> str | Verdict | None:
    """What a controller told; None where its kind has no such thing; else UNKNOWN and why."""
    fact = facts.get(name)
    if fact is not None and fact.missing == "the controller does not tell":
        return None
    return unknown(check, facts, name) if fact is None or fact.value is None else fact.value


def why_missing(facts: Facts, name: str) -> str:
    """Why a fact has no value, or none that makes sense."""
    fact = facts.get(name)
    if fact is None:
        return "not asked"
    return fact.missing or f"{(fact.value or '')[:_SHOWN]!r} is no answer"


def is_absent(facts: Facts, name: str) -> bool:
    """Was it looked for, and proved not to be there?"""
    fact = facts.get(name)
    return fact is not None and fact.missing in ("absent", "none")


def lines(facts: Facts, name: str) -> list[str]:
    """The lines of a fact; none when it is missing."""
    return (value(facts, name) or "").splitlines()
