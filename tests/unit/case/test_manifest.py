from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.case import bag, manifest
from collector.case.folder import CaseFolder
from collector.case.partfile import PartFile
from collector.errors import CaseError, JournalError

NOW = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)


def keep(case: CaseFolder, relative: str, data: bytes, kind: str) -> None:
    artifact = case.write(relative, data)
    case.journal.append(
        "artifact", path=artifact.path, bytes=artifact.bytes, sha256=artifact.sha256, source="x", kind=kind
    )


@pytest.fixture
def case(tmp_path: Path) -> CaseFolder:
    case = CaseFolder.create(tmp_path / "cases", "db01", NOW)
    case.journal.append("case.opened", host="db01", operator="alex", version="1.2.3", dry_run=False)
    keep(case, "evidence/sel.txt", b"0x13 NMI\n", "evidence")
    keep(case, "logs/202611210312/vmcore-dmesg.txt", b"BUG: soft lockup\n", "log")
    with PartFile.open(case, "dump/202611210312/vmcore", "vmcore") as part:
        part.write(b"KDUMP   " * 1000)
        artifact = part.finish()
    case.journal.append(
        "artifact", path=artifact.path, bytes=artifact.bytes, sha256=artifact.sha256, source="x", kind="dump"
    )
    case.journal.append("case.closed", outcome="success", detail="")
    for report in ("report.md", "report.html"):
        (case.path / report).write_text("the story")
    return case


@pytest.fixture
def sealed(case: CaseFolder) -> CaseFolder:
    manifest.seal(case, {"Ticket": "INC-7"})
    return case


def problems(case: CaseFolder) -> list[tuple[str, str]]:
    return [(problem.file, problem.reason) for problem in manifest.verify(case.path).problems]


def bagit_says(case: CaseFolder) -> bool:
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    return bool(bagit.Bag(str(case.path)).is_valid())


def test_a_sealed_case_is_a_bag_that_every_judge_accepts(sealed: CaseFolder) -> None:
    verified = manifest.verify(sealed.path)
    assert verified.ok and verified.problems == ()
    assert (verified.files, verified.bytes) == (3, 8000 + 9 + 17)
    bagit.Bag(str(sealed.path)).validate()
    if shutil.which("sha256sum"):
        for name in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
            subprocess.run(
                ["sha256sum", "--strict", "-c", name], cwd=sealed.path, capture_output=True, check=True
            )
    assert not list((sealed.path / "data").rglob("*.part*"))


def test_the_bag_tells_whose_it_is(sealed: CaseFolder) -> None:
    assert (
        sealed.path / "bagit.txt"
    ).read_text() == "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    info = bagit.Bag(str(sealed.path)).info
    assert info["External-Identifier"] == sealed.name
    assert info["Host"] == "db01"
    assert info["Contact-Name"] == "alex"
    assert info["Bag-Software-Agent"] == "hang-collector 1.2.3"
    assert info["Payload-Oxum"] == "8026.3"
    assert info["Journal-Head"] == sealed.journal.head
    assert info["Ticket"] == "INC-7"
    tags = bag.read_manifest(sealed.path / "tagmanifest-sha256.txt")[0]
    assert set(tags) == set(manifest.TAG_FILES)


def test_a_refused_case_without_any_payload_can_be_sealed(tmp_path: Path) -> None:
    case = CaseFolder.create(tmp_path, "db01", NOW)
    case.journal.append("case.opened", host="db01")
    manifest.seal(case)
    assert manifest.verify(case.path).ok
    bagit.Bag(str(case.path)).validate()


def test_sealing_reads_only_what_the_journal_does_not_vouch_for(
    case: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digest = manifest.digest

    def watched(path: Path) -> tuple[int, str]:
        read.append(path.name)
        return digest(path)

    (case.path / "data/logs/notes.txt").write_text("by hand")
    touched = case.path / "data/evidence/sel.txt"
    touched.write_bytes(b"0x13 nmi\n")
    os.utime(touched, (NOW.timestamp() + 1e9, NOW.timestamp() + 1e9))
    monkeypatch.setattr(manifest, "digest", watched)
    manifest.seal(case)
    assert "vmcore" not in read and "vmcore-dmesg.txt" not in read
    assert {"notes.txt", "sel.txt"} < set(read)
    monkeypatch.undo()
    assert problems(case) == [
        ("data/evidence/sel.txt", "was collected with another digest (journal, line 2)")
    ]


def test_an_unfinished_part_is_sealed_with_its_log_and_can_be_resumed(case: CaseFolder) -> None:
    with PartFile.open(case, "dump/second", "second") as part:
        part.write(b"half of it")
    manifest.seal(case)
    assert manifest.verify(case.path).ok and bagit_says(case)
    listed = bag.read_manifest(case.path / "manifest-sha256.txt")[0]
    assert {"data/dump/second.part", "data/dump/second.part.log"} < set(listed)
    with PartFile.open(case, "dump/second", "second") as part:
        assert part.offset == 10
        part.write(b", the rest")
        part.finish()
    assert not manifest.verify(case.path).ok and not bagit_says(case)
    manifest.seal(case)
    assert manifest.verify(case.path).ok and bagit_says(case)


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


TAMPERED: list[tuple[Callable[[Path], object], str, str]] = [
    (
        lambda p: change(p / "data/evidence/sel.txt", b"NMI", b"nmi"),
        "data/evidence/sel.txt",
        "does not match",
    ),
    (lambda p: (p / "data/evidence/sel.txt").unlink(), "data/evidence/sel.txt", "is missing"),
    (lambda p: (p / "data/logs/new").write_text("x"), "data/logs/new", "is not in manifest-sha256.txt"),
    (lambda p: change(p / "report.html", b"story", b"STORY"), "report.html", "does not match"),
    (lambda p: (p / "report.md").unlink(), "report.md", "is missing"),
    (lambda p: change(p / "bag-info.txt", b"alex", b"eve"), "bag-info.txt", "does not match"),
    (lambda p: change(p / "bagit.txt", b"1.0", b"0.9"), "bagit.txt", "does not match"),
    (lambda p: change(p / "journal.jsonl", b'"alex"', b'"eve"'), "journal.jsonl", "line 1 "),
    (lambda p: (p / "journal.jsonl").unlink(), "journal.jsonl", "is missing"),
    (lambda p: (p / "manifest-sha256.txt").unlink(), "manifest-sha256.txt", "cannot be read"),
    (
        lambda p: change(p / "manifest-sha256.txt", b"data/evidence", b"../evidence"),
        "manifest-sha256.txt",
        "out of",
    ),
    (
        lambda p: change(p / "manifest-sha256.txt", b"data/evidence", b"/evidence"),
        "manifest-sha256.txt",
        "out of",
    ),
    (lambda p: change(p / "manifest-sha256.txt", b"  data", b"data"), "manifest-sha256.txt", "line 1 is not"),
    (
        lambda p: (p / "manifest-sha256.txt").write_bytes((p / "manifest-sha256.txt").read_bytes() * 2),
        "manifest-sha256.txt",
        "a second time",
    ),
    (
        lambda p: change(p / "tagmanifest-sha256.txt", b"report.md", b"report.xy"),
        "report.md",
        "is not in tagmani",
    ),
]


@pytest.mark.parametrize(
    ("tamper", "file", "reason"), TAMPERED, ids=[f"{row[1]} {row[2]}" for row in TAMPERED]
)
def test_whatever_was_altered_is_a_row(
    sealed: CaseFolder, tamper: Callable[[Path], object], file: str, reason: str
) -> None:
    tamper(sealed.path)
    verified = manifest.verify(sealed.path)
    assert verified.sealed and not verified.ok
    assert [problem for problem in verified.problems if problem.file == file and reason in problem.reason]


def test_no_problem_hides_another(sealed: CaseFolder) -> None:
    for tamper, _, _ in [TAMPERED[0], TAMPERED[2], TAMPERED[3], TAMPERED[7]]:
        tamper(sealed.path)
    (sealed.path / "data/dump/202611210312/vmcore").unlink()
    files = {file for file, _ in problems(sealed)}
    assert files >= {
        "data/evidence/sel.txt",
        "data/logs/new",
        "report.html",
        "journal.jsonl",
        "data/dump/202611210312/vmcore",
        "bag-info.txt",
    }


def test_a_manifest_that_was_made_to_fit_is_given_away_by_the_journal(sealed: CaseFolder) -> None:
    """Whoever alters a file and all the manifests still contradicts the chain."""
    file = sealed.path / "data/evidence/sel.txt"
    old = hashlib.sha256(file.read_bytes()).hexdigest()
    change(file, b"NMI", b"nmi")
    new = hashlib.sha256(file.read_bytes()).hexdigest()
    payload, tags = sealed.path / "manifest-sha256.txt", sealed.path / "tagmanifest-sha256.txt"
    old_tag = hashlib.sha256(payload.read_bytes()).hexdigest()
    change(payload, old.encode(), new.encode())
    change(tags, old_tag.encode(), hashlib.sha256(payload.read_bytes()).hexdigest().encode())
    assert bagit_says(sealed)
    assert problems(sealed) == [
        ("data/evidence/sel.txt", "was collected with another digest (journal, line 2)")
    ]


def test_a_journal_that_was_cut_is_given_away_by_the_head(sealed: CaseFolder) -> None:
    journal, tags = sealed.path / "journal.jsonl", sealed.path / "tagmanifest-sha256.txt"
    old = hashlib.sha256(journal.read_bytes()).hexdigest()
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    change(tags, old.encode(), hashlib.sha256(journal.read_bytes()).hexdigest().encode())
    assert bagit_says(sealed)
    assert [(file, "it was cut" in reason) for file, reason in problems(sealed)] == [("journal.jsonl", True)]


def test_a_journal_that_grew_says_seal_again(sealed: CaseFolder) -> None:
    sealed.journal.append("resumed", by="alex")
    assert problems(sealed) == [
        ("journal.jsonl", "has 1 entries from after the sealing: seal the case again")
    ]
    manifest.seal(sealed)
    assert manifest.verify(sealed.path).ok


def test_a_case_that_is_not_sealed_is_said_so_and_checked_against_its_journal(case: CaseFolder) -> None:
    verified = manifest.verify(case.path)
    assert not verified.sealed and not verified.ok and verified.problems == () and verified.files == 3
    change(case.path / "data/evidence/sel.txt", b"NMI", b"nmi")
    (case.path / "data/dump/202611210312/vmcore").unlink()
    assert [file for file, _ in problems(case)] == ["data/dump/202611210312/vmcore", "data/evidence/sel.txt"]


def test_a_killed_sealing_leaves_a_case_that_is_not_sealed(
    sealed: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bag, "info", killed)
        with pytest.raises(KeyboardInterrupt):
            manifest.seal(sealed)
    assert not manifest.verify(sealed.path).sealed
    manifest.seal(sealed)
    assert manifest.verify(sealed.path).ok


def test_a_torn_line_that_was_set_aside_is_sealed_and_checked(case: CaseFolder) -> None:
    with (case.path / "journal.jsonl").open("ab") as file:
        file.write(b'{"half')
    case.journal.append("resumed")
    manifest.seal(case)
    assert manifest.verify(case.path).ok
    (case.path / "journal.torn-1").write_bytes(b"another half")
    assert ("journal.torn-1", "does not match its digest") in problems(case)
    (case.path / "journal.torn-1").unlink()
    assert ("journal.torn-1", "is not the torn line that the journal speaks of") in problems(case)


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
def test_links_are_not_followed(sealed: CaseFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (sealed.path / "data/logs/link").symlink_to(outside / "secret")
    (sealed.path / "data/logs/folder").symlink_to(outside)
    assert {file for file, reason in problems(sealed) if "neither" in reason} == {
        "data/logs/link",
        "data/logs/folder",
    }
    with pytest.raises(CaseError, match="neither a file nor a folder"):
        manifest.seal(sealed)


def test_an_altered_journal_cannot_be_sealed_over(sealed: CaseFolder) -> None:
    change(sealed.path / "journal.jsonl", b'"alex"', b'"eve"')
    with pytest.raises(JournalError):
        manifest.seal(sealed)


def test_progress_hears_of_every_byte_of_the_payload(sealed: CaseFolder) -> None:
    heard: list[int] = []
    assert sum(heard) == 0
    manifest.verify(sealed.path, heard.append)
    assert sum(heard) == 8026


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
            lambda name: not {"", ".", ".."} & set(name.split("/")) and name[0] not in " \t*"
        ),
        st.binary().map(lambda data: hashlib.sha256(data).hexdigest()),
    )
)
def test_every_name_survives_a_manifest(digests: dict[str, str]) -> None:
    """Line feeds, carriage returns and percent signs by the escapes of RFC 8493, section 2.1.3."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest-sha256.txt"
        path.write_bytes(bag.manifest(digests))
        assert path.read_bytes().count(b"\n") == len(digests)
        assert b"\r" not in path.read_bytes()
        assert bag.read_manifest(path) == (digests, [])


def test_a_hostile_operator_cannot_forge_a_label(tmp_path: Path) -> None:
    case = CaseFolder.create(tmp_path, "db01", NOW)
    case.journal.append("case.opened", host="db01", operator="eve\nJournal-Head: 00\x1b[31m")
    manifest.seal(case)
    labels = bag.read_info(case.path / "bag-info.txt")
    assert labels["Contact-Name"] == "eve\\nJournal-Head: 00\\x1b[31m"
    assert labels["Journal-Head"] == case.journal.head
