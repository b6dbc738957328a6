"""The catalog of what a log can show: one rule a function, one family a file."""

from __future__ import annotations

from collector.triage.patterns import code, crashes, locks, machine, memory, purple, snapshot, stuck
from collector.triage.patterns.catalog import CATALOG, Finding, Pattern, View

__all__ = ["CATALOG", "Finding", "Pattern", "View", "findings"]

_FAMILIES = (crashes, purple, locks, stuck, memory, machine, code, snapshot)
"""Importing them fills the catalog."""


def findings(view: View) -> list[Finding]:
    """Ask every rule of the catalog, in its order."""
    return [finding for pattern in CATALOG.values() for finding in pattern.rule(view)]
