"""Mend what QEMU wrote wrongly into a dump, on a copy; in a case, write down what was mended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collector.case import manifest, report
from collector.case.folder import JOURNAL, CaseFolder
from collector.case.lock import hold
from collector.case.rows import closing
from collector.case.storage import digest
from collector.dump.repair import repair
from collector.dump.report import DumpFile


def repair_file(path: Path, target: Path) -> Sequence[str]:
    """Mend the known defects on a copy; return what was mended, a sentence each. `path` is only read.

    When the dump lies in a case, its journal and report tell of the copy, and a closed case is sealed anew.

    Raises:
        DumpError: there is nothing to mend, or no copy could be written.
        CaseLockedError: a run works on the host of the case just now; nothing was written.
        CaseError: the case is damaged.
        StorageError: no space, or no right to write into the case.
    """
    case = _case_of(path)
    if case is None:
        return _mend(path, target)
    with hold(case.path.parent, [f"host {case.host}"], case=case.name):
        mended = _mend(path, target)
        _write_down(case, path, target, mended)
    return mended


def _mend(path: Path, target: Path) -> Sequence[str]:
    with DumpFile(path) as file:
        return repair(file, target)


def _case_of(path: Path) -> CaseFolder | None:
    folder = next((parent for parent in path.resolve().parents if (parent / JOURNAL).is_file()), None)
    return CaseFolder.open(folder) if folder else None


def _write_down(case: CaseFolder, path: Path, target: Path, mended: Sequence[str]) -> None:
    size, sha256 = digest(target)
    case.journal.append(
        "dump.repaired",
        path=path.resolve().relative_to(case.path.resolve()).as_posix(),
        copy=str(target.absolute()),
        bytes=size,
        sha256=sha256,
        mended=list(mended),
    )
    report.write_report(case)
    if closing(case.journal.entries()) is not None:
        manifest.seal(case)
