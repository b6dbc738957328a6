"""Look at dumps that are home: one file, or all of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collector.case.folder import CaseFolder
from collector.dump import first_look
from collector.dump.first_look import FirstLook
from collector.dump.identify import inspect_source
from collector.dump.report import DumpFile, DumpFormat, DumpReport, State
from collector.dump.verdict import ANY_CRASH, Expected, Verdict, judge
from collector.dump.vmware import memory_beside
from collector.errors import CaseError, DumpError
from collector.run.expected import expected


@dataclass(frozen=True, slots=True)
class Inspected:
    """One dump, the verdict on it, and what its kernel says; `trouble` is why that is not all."""

    path: Path
    verdict: Verdict
    look: FirstLook | None = None
    trouble: str = ""


def inspect_path(path: Path) -> Sequence[Inspected]:
    """Judge a file by itself; the dumps of a case by what the case knows of its host and its NMI.

    Raises:
        CaseError: the folder is no case, or it holds no dump.
        DumpError: there is no such file, or it cannot be read.
    """
    if not path.is_dir():
        return [inspect_file(path)]
    case = CaseFolder.open(path)
    entries = case.journal.entries()
    files = {
        str(entry.data["path"]): None
        for entry in entries
        if entry.event == "artifact" and entry.data.get("kind") == "dump"
    }
    if not files:
        raise CaseError(
            f"there is no dump in the case {case.name}",
            hint="Its report says why; if the host has one by now, `hang-collector resume` fetches it.",
        )
    parts = memory_beside(files)
    return [
        inspect_file(case.path / name, expected(case.host, entries, name))
        for name in files
        if name not in parts
    ]


def inspect_file(path: Path, crash: Expected = ANY_CRASH) -> Inspected:
    """Judge one dump by itself, or as one of the `crash` that is expected, and let its kernel speak.

    Raises:
        DumpError: the file cannot be read. One that contradicts its format is of the state unknown.
    """
    with DumpFile(path) as file:
        try:
            report = inspect_source(file, path.name)
        except DumpError as error:
            report = DumpReport(DumpFormat.UNKNOWN, State.UNKNOWN, error.message, file.size)
        look, trouble = None, ""
        if report.format in first_look.FORMATS:
            try:
                look = first_look.look(file)
            except DumpError as error:
                trouble = f"{error.message} ({error.hint})"
    if look is not None:
        if not look.whole:
            trouble = f"only its newest {len(look.log)} records were read: all of it would take too long"
        identity = report.identity
        hostname = identity.hostname or look.hostname
        identity = replace(identity, cause=look.cause, uptime=look.uptime, hostname=hostname)
        report = replace(report, identity=identity)
    return Inspected(path, judge(report, crash), look, trouble)


def as_part(whole: Inspected, path: Path) -> Inspected:
    """The verdict on a dump, as that of a file which holds a part of it.

    Raises:
        DumpError: the file cannot be read.
    """
    with DumpFile(path) as file:
        report = replace(
            whole.verdict.report,
            reason=f"it belongs to {whole.path.name}: {whole.verdict.report.reason}",
            size=file.size,
            expected_size=None,
        )
    return Inspected(path, replace(whole.verdict, report=report))
