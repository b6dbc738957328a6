"""What a journal says has already happened: pure questions that `resume` and the trigger ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from collector.adapters.answers import FileKind, NmiOutcome, RemoteFile
from collector.case.folder import CaseFolder
from collector.case.journal import Entry
from collector.case.rows import closing
from collector.errors import CaseError
from collector.model.result import Outcome, StepResult
from collector.run.incident import Awaited

_OWN_CRASH_WINDOW = timedelta(days=1)
"""How long ago a host may have crashed by itself when we find it crashed."""


def last(entries: Sequence[Entry], event: str) -> Entry | None:
    """The newest entry of that kind."""
    return next((entry for entry in reversed(entries) if entry.event == event), None)


def trigger_outcome(entries: Sequence[Entry]) -> NmiOutcome | None:
    """What the newest claim that was not refused came to; NOT_SENT if all were, None without a claim.

    A claim without an outcome is UNCERTAIN: the process died between the claim and the answer, and the
    packet may have left.
    """
    standing = _unrefused(entries)
    if standing is not None:
        return standing[1]
    return NmiOutcome.NOT_SENT if attempts(entries) else None


def claim_stands(entries: Sequence[Entry]) -> bool:
    """True while an NMI may be on its way or at work, so that another one could destroy the dump.

    It ends when the host was seen to have come back: then the case says `dump.found` or `dump.none`. A later
    attempt that the peer refused takes nothing back.
    """
    standing = _unrefused(entries)
    if standing is None:
        return False
    ends = (last(entries, "dump.found"), last(entries, "dump.none"))
    return not any(end is not None and end.seq > standing[0].seq for end in ends)


def _unrefused(entries: Sequence[Entry]) -> tuple[Entry, NmiOutcome] | None:
    """The newest claim that the peer did not prove to have refused, with its outcome."""
    outcome = NmiOutcome.UNCERTAIN
    for entry in reversed(entries):
        if entry.event == "trigger":
            outcome = NmiOutcome(str(entry.data["outcome"]))
        elif entry.event == "claim":
            if outcome is not NmiOutcome.NOT_SENT:
                return entry, outcome
            outcome = NmiOutcome.UNCERTAIN
    return None


def attempts(entries: Sequence[Entry]) -> int:
    """How many times this case claimed the right to send."""
    return sum(entry.event == "claim" for entry in entries)


def crash_expected_since(entries: Sequence[Entry]) -> datetime | None:
    """From when on a dump of this incident may date; None while nothing made the host crash.

    That is the claim, unless the peer proved that it refused; or, where the host was found crashed already, a
    day before it was seen, or as long before as a person said.
    """
    standing, seen = _unrefused(entries), last(entries, "crash.seen")
    if standing is not None:
        return standing[0].time
    if seen is None:
        return None
    within = seen.data.get("within")
    return seen.time - (timedelta(seconds=within) if isinstance(within, int | float) else _OWN_CRASH_WINDOW)


def last_answer(entries: Sequence[Entry]) -> float | None:
    """When the host last told us its facts, by its own clock; None when it never did.

    A dump that is older was there before, however close two crashes are: the host lived after it.
    """
    facts = last(entries, "facts")
    values = facts.data["values"] if facts else {}
    try:
        return float(str(values["clock"])) if isinstance(values, Mapping) else None
    except (KeyError, ValueError):
        return None


def found(entries: Sequence[Entry]) -> Awaited | None:
    """What an earlier run of this case found waiting on the host since the last claim."""
    standing = _unrefused(entries)
    since = standing[0].seq if standing else 0
    dumps = _files(entries, "dump.found", since)
    if not dumps:
        return None
    unfinished = _files(entries, "dump.unfinished", since)
    return Awaited(dumps, unfinished, "found earlier", proved=True, ping_gap=True)


def steps(entries: Sequence[Entry]) -> tuple[StepResult, ...]:
    """The stages that ran, in order, with how each ended."""
    return tuple(
        StepResult(
            step=str(entry.data["stage"]),
            outcome=Outcome(str(entry.data["outcome"])),
            detail=str(entry.data["detail"]),
            seconds=float(str(entry.data["seconds"])),
        )
        for entry in entries
        if entry.event == "stage.ended"
    )


def _files(entries: Sequence[Entry], event: str, since: int) -> tuple[RemoteFile, ...]:
    files = {
        str(entry.data["path"]): RemoteFile(
            path=str(entry.data["path"]),
            kind=FileKind.FILE,
            size=int(str(entry.data["bytes"])),
            modified=float(str(entry.data["modified"])),
        )
        for entry in entries
        if entry.event == event and entry.seq > since
    }
    return tuple(files.values())


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One line about a case."""

    name: str
    host: str
    nmi: str
    outcome: str
    detail: str


def summary(path: Path) -> CaseSummary:
    """Sum up one case; a damaged one is a row too."""
    try:
        case = CaseFolder.open(path)
        entries = case.journal.entries()
    except CaseError as error:
        return CaseSummary(path.name, "", "", str(Outcome.FAILED), error.message)
    ended = closing(entries)
    nmi = trigger_outcome(entries)
    return CaseSummary(
        name=case.name,
        host=case.host,
        nmi=str(nmi) if nmi else "none",
        outcome=str(ended.data["outcome"]) if ended else "open",
        detail=str(ended.data["detail"]) if ended else "not finished: resume it",
    )
