"""Stage 7, validate: say from the bytes whether the dump is whole, and whether it is of this hang."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath

from collector.dump.vmware import memory_beside
from collector.run.expected import expected
from collector.run.incident import Incident
from collector.run.inspect import Inspected, as_part, inspect_file


def validate(incident: Incident, dumps: Sequence[str], claimed_at: datetime) -> list[str]:
    """Judge each dump in the case by its content; return what is wrong, in words.

    Memory that lies in a file of its own shares the verdict of the dump that it belongs to.

    Args:
        incident: the host and its case.
        dumps: paths relative to the case.
        claimed_at: when the NMI was claimed; an older crash time means an older crash.
    """
    entries = incident.case.journal.entries()
    problems: list[str] = []
    parts = memory_beside(dumps)
    for path in [path for path in dumps if path not in parts]:
        incident.progress.status(f"checking {path}")
        crash = replace(expected(incident.host.name, entries, path), since=claimed_at)
        found = inspect_file(incident.case.path / path, crash)
        _write_down(incident, path, found)
        for part in [part for part, whole in parts.items() if whole == path]:
            _write_down(incident, part, as_part(found, incident.case.path / part))
        verdict, report = found.verdict, found.verdict.report
        incident.progress.note(f"{path}: {report.state}: {report.reason}")
        for sentence in filter(None, (verdict.origin, verdict.note)):
            incident.progress.note(f"{path}: {sentence}")
        if not report.complete:
            problems.append(f"{path} is {report.state}: {report.reason}")
    return problems


def _write_down(incident: Incident, path: str, found: Inspected) -> None:
    """Keep the kernel log that is in the dump as a file of its own, and write down the verdict."""
    if found.look is not None:
        log = "".join(f"{record}\n" for record in found.look.log)
        incident.keep(
            f"logs/{PurePosixPath(path).parent.name}/dmesg-from-the-dump.txt",
            log.encode(),
            source=path,
            kind="log",
        )
    report, identity = found.verdict.report, found.verdict.report.identity
    incident.case.journal.append(
        "dump.checked",
        path=path,
        complete=report.complete,
        state=report.state,
        format=report.format,
        reason=report.reason,
        remedy=found.verdict.remedy,
        origin=found.verdict.origin,
        note=found.verdict.note,
        bytes=report.size,
        expected=report.expected_size,
        missing=report.missing,
        release=identity.kernel_release,
        hostname=identity.hostname,
        crash_time=identity.crash_time.isoformat() if identity.crash_time else None,
        cause=f"{identity.cause.code}: {identity.cause.meaning}" if identity.cause else None,
        telling=list(found.look.telling) if found.look else [],
        trouble=found.trouble,
    )
