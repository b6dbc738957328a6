"""Audits against those before them: what changed, and what is too old to be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from collector.case.wording import span
from collector.model.audit import HostAudit
from collector.model.fleet import Change
from collector.model.verdict import Level


def changes(before: Mapping[str, HostAudit], now: Sequence[HostAudit]) -> list[Change]:
    """What the audits of `now` say otherwise than those `before`, by host; the worst first."""
    found = [change for audit in now for change in _of_host(before.get(audit.host), audit)]
    return sorted(found, key=lambda change: (change.after or Level.OK).rank)


def as_of(audit: HostAudit, now: datetime, max_age: timedelta) -> HostAudit:
    """`audit` as it counts at `now`: when it is older than `max_age`, everything it says is UNKNOWN."""
    age = now - audit.time
    if age <= max_age:
        return audit
    reason = f"the last answer is {span(age.total_seconds())} old; it said {audit.level}: {audit.reason}"
    return replace(
        audit,
        level=Level.UNKNOWN,
        reason=reason,
        links=tuple(replace(link, level=Level.UNKNOWN) for link in audit.links),
        verdicts=tuple(replace(verdict, level=Level.UNKNOWN) for verdict in audit.verdicts),
    )


def _of_host(before: HostAudit | None, now: HostAudit) -> Iterator[Change]:
    if before is None:
        yield Change(now.host, "", None, now.level, now.reason)
        return
    if not now.answered:  # one line, and not one for every check that nobody could make
        yield Change(now.host, "", before.level, now.level, now.reason)
        return
    was = {verdict.id: verdict for verdict in before.verdicts}
    for verdict in now.verdicts:
        old = was.pop(verdict.id, None)
        if old is None or old.level is not verdict.level:
            yield Change(now.host, verdict.id, old.level if old else None, verdict.level, verdict.reason)
    for verdict in was.values():
        yield Change(now.host, verdict.id, verdict.level, None, "the check does not apply any more")
    if before.level is not now.level:
        yield Change(now.host, "", before.level, now.level, now.reason)
