"""Stage 7, validate: say from the bytes whether the dump is whole, and whether it is of this hang."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from collector.dump.identify import inspect
from collector.dump.report import DumpReport
from collector.errors import DumpError
from collector.run.incident import Incident

_CLOCK_SLACK = timedelta(minutes=10)
"""How far the host's clock may stand behind ours: a hung host has often lost its time server too."""


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
        try:
            report = inspect(incident.case.path / path)
        except DumpError as error:
            incident.case.journal.append(
                "dump.checked", path=path, complete=False, format="unknown", reason=error.message
            )
            problems.append(f"{path}: {error.message}")
            continue
        problem = _problem(report, claimed_at)
        incident.case.journal.append(
            "dump.checked",
            path=path,
            complete=problem is None,
            format=report.format,
            reason=problem or report.reason,
            release=report.identity.kernel_release,
            crash_time=report.identity.crash_time.isoformat() if report.identity.crash_time else None,
        )
        incident.progress.note(f"{path}: {problem or report.reason}")
        if problem:
            problems.append(f"{path}: {problem}")
    return problems


def _problem(report: DumpReport, claimed_at: datetime) -> str | None:
    if not report.complete:
        return report.reason
    if report.identity.crash_time is not None and report.identity.crash_time < claimed_at - _CLOCK_SLACK:
        return f"it is whole, but of an older crash: {report.identity.crash_time:%Y-%m-%d %H:%M:%S} UTC"
    return None
