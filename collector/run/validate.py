"""Stage 7, validate: say from the bytes whether the dump is whole, and whether it is of this hang."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from collector.dump.verdict import Verdict, judge
from collector.run.incident import Incident
from collector.run.inspect import read


def validate(incident: Incident, dumps: Sequence[str], claimed_at: datetime) -> list[str]:
    """Judge each dump in the case by its content; return what is wrong, in words.

    Args:
        incident: the host and its case.
        dumps: paths relative to the case.
        claimed_at: when the NMI was claimed; an older crash time means an older crash.
    """
    problems: list[str] = []
    for path in dumps:
        incident.progress.status(f"checking {path}")
        verdict = judge(read(incident.case.path / path), since=claimed_at, host=incident.host.name)
        _write_down(incident, path, verdict)
        report = verdict.report
        incident.progress.note(f"{path}: {report.state}: {report.reason}")
        if verdict.note:
            incident.progress.note(f"{path}: {verdict.note}")
        if not report.complete:
            problems.append(f"{path} is {report.state}: {report.reason}")
    return problems


def _write_down(incident: Incident, path: str, verdict: Verdict) -> None:
    report = verdict.report
    identity = report.identity
    incident.case.journal.append(
        "dump.checked",
        path=path,
        complete=report.complete,
        state=report.state,
        format=report.format,
        reason=report.reason,
        remedy=verdict.remedy,
        note=verdict.note,
        bytes=report.size,
        expected=report.expected_size,
        missing=report.missing,
        release=identity.kernel_release,
        hostname=identity.hostname,
        crash_time=identity.crash_time.isoformat() if identity.crash_time else None,
        cause=f"{identity.cause.code}: {identity.cause.meaning}" if identity.cause else None,
    )
