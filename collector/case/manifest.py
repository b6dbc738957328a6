"""Seal a case as a BagIt 1.0 bag, and verify one.

`sha256sum -c manifest-sha256.txt`, the `bagit` tools and `verify` all judge the same files. `data/` is the
payload. The tag manifest covers the journal and the reports as well, and `bag-info.txt` keeps the head of
the journal, against which lines that were cut off its end show.

An unfinished `*.part` is payload like any other file: half a dump is evidence too. Its checkpoint log
stays with it, so that a sealed case can still be resumed and then sealed again. Sealing is the last act:
what is written to the case afterwards shows as a problem until it is sealed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collector.case import bag
from collector.case.bag import Problem
from collector.case.folder import JOURNAL, CaseFolder
from collector.case.journal import GENESIS, Entry, Journal, torn_files
from collector.case.partfile import drop_finished_logs
from collector.case.storage import digest, storing, write_atomically
from collector.errors import CaseError, CollectorError

TAG_FILES = (bag.DECLARATION_FILE, bag.INFO_FILE, bag.MANIFEST_FILE, JOURNAL, "report.md", "report.html")
HEAD_LABEL = "Journal-Head"

_CLOCK_GRAIN = 2.0
"""Seconds. FAT keeps times of change in steps of two."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of verifying a case. `files` and `bytes` count the payload that was read and is as listed."""

    sealed: bool
    files: int
    bytes: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """True for a sealed case without a single problem."""
        return self.sealed and not self.problems


def seal(case: CaseFolder, info: Mapping[str, str] | None = None) -> None:
    """Write the four tag files of the bag; the tag manifest, which makes the case count as sealed, last.

    A file that the journal has an `artifact` entry for is not read again while its size, and a time of
    change no later than the entry, say that it is the same. `verify` reads everything.

    Args:
        case: the case; its reports are written already.
        info: further labels for `bag-info.txt`.

    Raises:
        JournalError: the journal cannot be trusted.
        CaseError: something in the payload is neither a file nor a folder.
        StorageError: no space, or no right to write.
    """
    path, entries = case.path, case.journal.entries()
    with storing(path):
        (path / bag.TAG_MANIFEST_FILE).unlink(missing_ok=True)
    drop_finished_logs(case)
    names, problems = bag.payload_files(path)
    if problems:
        raise CaseError(
            f"the case cannot be sealed: {problems[0].file} {problems[0].reason}",
            hint="Move it out of the case; only files can be proved by a manifest.",
            host=case.host,
        )
    recorded = {entry.data.get("path"): entry for entry in entries if entry.event == "artifact"}
    with storing(path):
        digests = {name: _digest(path / name, recorded.get(name)) for name in names}
        size = sum((path / name).stat().st_size for name in names)
    labels = _labels(case, entries, f"{size}.{len(names)}") | dict(info or {})
    write_atomically(path / bag.MANIFEST_FILE, bag.manifest(digests))
    write_atomically(path / bag.DECLARATION_FILE, bag.DECLARATION)
    write_atomically(path / bag.INFO_FILE, bag.info(labels))
    with storing(path):
        tags = {name: digest(path / name)[1] for name in _tag_files(path)}
    write_atomically(path / bag.TAG_MANIFEST_FILE, bag.manifest(tags))


def _digest(file: Path, recorded: Entry | None) -> str:
    if recorded is not None:
        found = file.stat()
        unchanged = found.st_mtime <= recorded.time.timestamp() + _CLOCK_GRAIN
        if unchanged and found.st_size == recorded.data.get("bytes"):
            return str(recorded.data.get("sha256"))
    return digest(file)[1]


def _labels(case: CaseFolder, entries: Sequence[Entry], oxum: str) -> dict[str, str]:
    """The reserved labels of RFC 8493, section 2.2.2, and three of our own."""
    opened = next((entry.data for entry in entries if entry.event == "case.opened"), {})
    return {
        "Bagging-Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Bag-Software-Agent": f"hang-collector {opened.get('version', '')}".rstrip(),
        "External-Identifier": case.name,
        "Contact-Name": str(opened.get("operator", "unknown")),
        "Payload-Oxum": oxum,
        "Host": case.host,
        "Journal-Entries": str(len(entries)),
        HEAD_LABEL: entries[-1].hash if entries else GENESIS,
    }


def _tag_files(path: Path) -> list[str]:
    present = [name for name in TAG_FILES if bag.is_regular(path / name)]
    return present + [torn.name for torn in torn_files(path)]


def verify(path: Path, progress: Callable[[int], None] | None = None) -> Verification:
    """Recompute everything: payload, tag files, journal, and how they fit together. Changes nothing.

    Every problem is a row, and none hides another. The case may come from anywhere: nothing outside of it
    is read, whatever its manifests say. In a case that is not sealed yet, the files are compared with what
    the journal recorded when they were collected.

    Args:
        path: the case folder.
        progress: is told the size in bytes of each chunk that was read.
    """
    journal_problems, entries = _read_journal(path)
    here, strange = bag.payload_files(path)
    sealed = (path / bag.TAG_MANIFEST_FILE).is_file()
    if sealed:
        listed, problems = bag.read_manifest(path / bag.MANIFEST_FILE)
        problems += [Problem(name, f"is not in {bag.MANIFEST_FILE}") for name in sorted({*here} - {*listed})]
        problems += (
            _artifact_problems(entries, listed) + _tag_problems(path, entries) + _oxum_problems(path, here)
        )
    else:
        artifacts = [entry.data for entry in entries if entry.event == "artifact"]
        listed, problems = {str(data.get("path")): str(data.get("sha256")) for data in artifacts}, []
    differing = _differing(path, listed, here, progress)
    whole = ({*listed} & {*here}) - {problem.file for problem in differing}
    return Verification(
        sealed=sealed,
        files=len(whole),
        bytes=sum((path / name).stat().st_size for name in whole),
        problems=(*differing, *strange, *problems, *journal_problems),
    )


def _read_journal(path: Path) -> tuple[list[Problem], list[Entry]]:
    if not bag.is_regular(path / JOURNAL):
        return [Problem(JOURNAL, "is missing")], []
    try:
        entries = Journal(path / JOURNAL).entries()
    except CollectorError as error:
        return [Problem(JOURNAL, error.message)], []
    noted = {str(entry.data.get("file")): entry.data for entry in entries if entry.event == "journal.torn"}
    torn = {file.name: digest(file)[1] for file in torn_files(path) if bag.is_regular(file)}
    return [
        Problem(name, "is not the torn line that the journal speaks of")
        for name, data in noted.items()
        if torn.get(name) != data.get("sha256")
    ], entries


def _differing(
    path: Path,
    listed: Mapping[str, str],
    here: Collection[str],
    progress: Callable[[int], None] | None = None,
) -> list[Problem]:
    """The listed files that are missing, cannot be read, or hold other bytes than listed."""
    problems = []
    for name, wanted in sorted(listed.items()):
        if name not in here:
            problems.append(Problem(name, "is missing"))
            continue
        try:
            if digest(path / name, progress)[1] != wanted:
                problems.append(Problem(name, "does not match its digest"))
        except OSError as error:
            problems.append(Problem(name, f"cannot be read: {error.strerror}"))
    return problems


def _artifact_problems(entries: Sequence[Entry], listed: Mapping[str, str]) -> list[Problem]:
    """Where the manifest tells another story than the journal did when the file was collected."""
    problems = []
    for entry in entries:
        if entry.event == "artifact":
            name = str(entry.data.get("path"))
            if name not in listed:
                problems.append(Problem(name, f"was collected (journal, line {entry.seq}) and is not listed"))
            elif listed[name] != entry.data.get("sha256"):
                problems.append(
                    Problem(name, f"was collected with another digest (journal, line {entry.seq})")
                )
    return problems


def _tag_problems(path: Path, entries: Sequence[Entry]) -> list[Problem]:
    listed, problems = bag.read_manifest(path / bag.TAG_MANIFEST_FILE)
    here = _tag_files(path)
    problems += [Problem(name, f"is not in {bag.TAG_MANIFEST_FILE}") for name in here if name not in listed]
    differing = _differing(path, listed, here)
    head = _head_problems(path, entries)
    if head:  # that the journal's digest differs as well is the same news
        differing = [problem for problem in differing if problem.file != JOURNAL]
    return problems + differing + head


def _head_problems(path: Path, entries: Sequence[Entry]) -> list[Problem]:
    """Does the journal still end where it ended when the case was sealed?"""
    if not entries:
        return []
    sealed_at = bag.read_info(path / bag.INFO_FILE).get(HEAD_LABEL)
    hashes = [GENESIS, *(entry.hash for entry in entries)]
    if sealed_at not in hashes:
        return [
            Problem(JOURNAL, "does not hold the entry it ended with when the case was sealed: it was cut")
        ]
    added = len(hashes) - 1 - hashes.index(sealed_at)
    if added:
        return [Problem(JOURNAL, f"has {added} entries from after the sealing: seal the case again")]
    return []


def _oxum_problems(path: Path, here: Collection[str]) -> list[Problem]:
    size = sum((path / name).stat().st_size for name in here)
    wanted, found = bag.read_info(path / bag.INFO_FILE).get("Payload-Oxum"), f"{size}.{len(here)}"
    return (
        [] if wanted == found else [Problem(bag.INFO_FILE, f"says Payload-Oxum {wanted}, and it is {found}")]
    )
