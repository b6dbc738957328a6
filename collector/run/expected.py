"""What a case knows of the crash that its dumps should be of. Pure: a journal in, an expectation out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from collector.adapters.answers import NmiOutcome
from collector.case.journal import Entry
from collector.dump.verdict import Expected
from collector.run.history import crash_expected_since, last, trigger_outcome

_SYSTEM = ("release", "os_version")
"""The facts that say what the host ran: `uname -r` of Linux, the version of Windows."""


def expected(host: str, entries: Sequence[Entry], path: str) -> Expected:
    """Return what the dump at `path`, relative to the case, should be of.

    Args:
        host: the name of the case's host.
        entries: the case's journal, oldest first.
        path: as the dump's `artifact` entry has it.
    """
    source = next((e.data.get("source") for e in reversed(entries) if _is_home(e, path)), None)
    found = next((e for e in reversed(entries) if _is_found(e, source)), None)
    return Expected(
        host=host,
        system=_system(entries),
        nmi=trigger_outcome(entries) in (NmiOutcome.SENT, NmiOutcome.UNCERTAIN),
        since=crash_expected_since(entries),
        until=found.time if found else None,
        written=_time(found.data.get("modified")) if found else None,
    )


def _is_home(entry: Entry, path: str) -> bool:
    return entry.event == "artifact" and entry.data.get("path") == path


def _is_found(entry: Entry, source: object) -> bool:
    return entry.event in ("dump.found", "dump.unfinished") and entry.data.get("path") == source


def _system(entries: Sequence[Entry]) -> str:
    facts = last(entries, "facts")
    values = facts.data.get("values") if facts else None
    if not isinstance(values, Mapping):
        return ""
    return next((str(values[name]) for name in _SYSTEM if values.get(name)), "")


def _time(seconds: object) -> datetime | None:
    """Return a file's time; None for what no clock of a host that lives can have shown."""
    if not isinstance(seconds, int | float) or not 0 < seconds < 1 << 33:
        return None
    return datetime.fromtimestamp(seconds, UTC)
