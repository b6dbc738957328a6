"""Look at dumps that are home: one file, or all of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.case.folder import CaseFolder
from collector.dump.identify import inspect
from collector.dump.report import DumpFormat, DumpReport, State
from collector.dump.verdict import Verdict, judge
from collector.errors import CaseError, DumpError
from collector.run.history import crash_expected_since


@dataclass(frozen=True, slots=True)
class Inspected:
    """One dump and the verdict on it."""

    path: Path
    verdict: Verdict


def inspect_path(path: Path) -> Sequence[Inspected]:
    """Judge a file by itself; the dumps of a case by what the case knows of its host and its NMI.

    Raises:
        CaseError: the folder is no case, or it holds no dump.
        DumpError: there is no such file, or it cannot be read.
    """
    if not path.is_dir():
        return [Inspected(path, judge(inspect(path)))]
    case = CaseFolder.open(path)
    entries = case.journal.entries()
    since = crash_expected_since(entries)
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
    return [
        Inspected(case.path / name, judge(read(case.path / name), since=since, host=case.host))
        for name in files
    ]


def read(path: Path) -> DumpReport:
    """Read one dump's headers; what contradicts its own format is of the state unknown, and no error."""
    try:
        return inspect(path)
    except DumpError as error:
        size = path.stat().st_size if path.is_file() else 0
        return DumpReport(DumpFormat.UNKNOWN, State.UNKNOWN, error.message, size)
