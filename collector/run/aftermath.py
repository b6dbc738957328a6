"""What Windows itself wrote down of the crash: the reason for a missing dump stands there or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from collector.adapters.limits import Deadline
from collector.case.journal import Entry
from collector.checks.windows_read import day, unread
from collector.checks.windows_record import Record, records, why_none
from collector.dump.bugchecks import BUG_CHECKS
from collector.errors import CollectorError
from collector.model.fact import number
from collector.model.host import Platform
from collector.model.result import Outcome
from collector.playbook.schema import Act
from collector.run.history import last
from collector.run.incident import Incident
from collector.run.inside import Inside

_PATIENCE = 120.0
"""Seconds. Windows has just started, and its event log is read through three times."""

_CLOCK_SLACK = 120.0
"""Seconds by which a record may look older than the NMI: the clock may be set during the boot."""

_ASKED = ("dump_events", "bug_checks", "restarts")
_NAME = "Windows' own records of the crash"
_LOG = "System log"


def read_records(incident: Incident, since: datetime) -> None:
    """Write into the journal what the System log says of the crash; nothing where that is known already.

    What cannot be read is a row in the journal, never the end of the run: the dump matters more.

    Args:
        incident: the host and its case.
        since: when the NMI was claimed, by our clock.
    """
    journal = incident.case.journal
    crashes = incident.playbook.steps.trigger.act is Act.NMI
    if incident.host.platform is not Platform.WINDOWS or not crashes or _told(journal.entries()):
        return
    incident.progress.status("reading what Windows wrote down of the crash")
    deadline = Deadline.after(_PATIENCE)
    named = incident.playbook.when.channels
    try:
        with Inside(incident.host, incident.connections, named, deadline) as inside:
            facts = inside.all_facts(deadline)
    except CollectorError as error:
        incident.miss(_NAME, _LOG, Outcome.of(error), error.message)
        return
    clock = number(facts, "clock")
    missing = ["clock"] if clock is None else unread(facts, *_ASKED)
    if missing:
        incident.miss(_NAME, _LOG, Outcome.FAILED, f"the host did not tell: {', '.join(missing)}")
    if clock is None:
        return
    elapsed = (datetime.now(UTC) - since).total_seconds()
    found = records(facts, clock - elapsed - _CLOCK_SLACK)
    best = why_none(found)
    for record in found:
        journal.append(
            "host.record",
            provider=record.provider,
            id=record.id,
            at=day(record.time),
            means=_means(record),
            explains=record is best,
        )


def own_words(entries: Sequence[Entry]) -> str:
    """Why there is no dump, in Windows' own words; empty where it did not say."""
    why = next((entry.data for entry in _told(entries) if entry.data["explains"]), None)
    return f"Windows itself says: {why['means']} ({why['provider']} {why['id']})" if why else ""


def _means(record: Record) -> str:
    known = BUG_CHECKS.get(record.code) if record.code else None
    return f"{record.means}, {known.name}: {known.meaning}" if known else record.means


def _told(entries: Sequence[Entry]) -> list[Entry]:
    """What was read since the last NMI; an older record is of an older crash."""
    claim = last(entries, "claim")
    since = claim.seq if claim else 0
    return [entry for entry in entries if entry.event == "host.record" and entry.seq > since]
