"""Audits for the tests of what is done with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collector.model.audit import CheckVerdict, DumpEstimate, HostAudit, Link, LinkVerdict, Severity
from collector.model.host import Platform
from collector.model.result import Outcome, StepResult
from collector.model.verdict import Level

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


def check(name: str, level: Level, reason: str = "", link: Link = Link.CRASH) -> CheckVerdict:
    return CheckVerdict(
        id=name,
        title=f"title of {name}",
        link=link,
        severity=Severity.BLOCKER,
        level=level,
        reason=reason or f"{name} is {level}",
        remedy="" if level is Level.OK else "do something",
        commands=() if level is Level.OK else ("sysctl -w kernel.unknown_nmi_panic=1",),
        source="Documentation/admin-guide/sysctl/kernel.rst",
    )


def audit(
    host: str,
    *checks: CheckVerdict,
    level: Level = Level.OK,
    reason: str = "",
    nights: float = 0,
    outcome: Outcome = Outcome.SUCCESS,
) -> HostAudit:
    links = tuple(LinkVerdict(c.link, c.level, c.reason) for c in checks)
    return HostAudit(
        host=host,
        platform=Platform.LINUX,
        time=MIDNIGHT + timedelta(days=nights),
        level=level,
        reason=reason or f"{host} is {level}",
        links=links,
        verdicts=checks,
        estimate=DumpEstimate(2**30, 12.5, "used memory without free and cached pages"),
        gathered=(StepResult("linux", outcome, "" if outcome is Outcome.SUCCESS else "said nothing"),),
    )
