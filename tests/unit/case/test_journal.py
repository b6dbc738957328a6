from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import threading
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.case.journal import GENESIS, MAX_TEXT, Entry, Journal, torn_files
from collector.errors import JournalError, StorageError

json_data = st.dictionaries(
    st.text(st.characters(), max_size=20),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters())
        | st.binary(max_size=50),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
        max_leaves=20,
    ),
    max_size=5,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def fill(path: Path, count: int = 5) -> list[Entry]:
    journal = Journal(path)
    return [journal.append("observation", round=number) for number in range(count)]


def chain_by_hand(path: Path) -> str:
    """The chain as the module's docstring tells it, checked with nothing but json and hashlib."""
    prev = GENESIS
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        record = json.loads(line)
        claimed = record.pop("hash")
        assert record["seq"] == number and record["prev"] == prev
        body = json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")
        assert hashlib.sha256(body).hexdigest() == claimed
        prev = claimed
    return prev


def test_entries_come_back_as_they_were_written(path: Path) -> None:
    journal = Journal(path)
    assert journal.head == GENESIS and journal.entries() == [] and journal.last("claim") is None
    first = journal.append("case.opened", host="db01", dry_run=False)
    second = journal.append("claim", attempt=1, controller="ipmi://192.0.2.110:623")
    assert Journal(path).entries() == [first, second]
    assert (first.seq, first.prev, second.prev) == (1, GENESIS, first.hash)
    assert first.data == {"host": "db01", "dry_run": False}
    assert abs((datetime.now(UTC) - first.time).total_seconds()) < 60
    assert journal.head == second.hash == chain_by_hand(path)


def test_last_and_all_pick_by_event(path: Path) -> None:
    journal = Journal(path)
    entries = [journal.append(event, n=n) for n, event in enumerate(["sighting", "claim", "sighting"])]
    assert journal.last("sighting") == entries[2]
    assert journal.all("sighting") == [entries[0], entries[2]]
    assert journal.all("trigger") == []


def test_the_names_of_the_fields_may_be_names_of_data(path: Path) -> None:
    Journal(path).append("x", event=1, hash=2, seq=3, self=4)
    assert Journal(path).entries()[0].data == {"event": 1, "hash": 2, "seq": 3, "self": 4}


@given(st.lists(st.tuples(st.text(st.characters(), max_size=30), json_data), max_size=4))
def test_whatever_is_written_reads_back_and_is_plain_ascii(
    events: list[tuple[str, dict[str, object]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        written = [Journal(path).append(event, **data) for event, data in events]
        assert Journal(path).entries() == written
        if written:
            text = path.read_bytes()
            assert text.isascii() and text.count(b"\n") == len(written)
            assert all(byte >= 32 or byte == 10 for byte in text)
            chain_by_hand(path)


def test_hostile_values_are_bounded_and_safe(path: Path) -> None:
    class Word(StrEnum):
        SENT = "sent"

    deep: object = "end"
    for _ in range(50):
        deep = [deep]
    entry = Journal(path).append(
        "x",
        long="a" * (MAX_TEXT + 5),
        surrogate="\udcff",
        raw=b"\xff\x1b[31m",
        nan=float("nan"),
        big=10**5000,
        many=list(range(5000)),
        deep=deep,
        word=Word.SENT,
        path=Path("a"),
        time=datetime(2026, 11, 21, tzinfo=UTC),
    )
    data = entry.data
    assert data["long"] == "a" * MAX_TEXT + "… (5 more characters)"
    assert data["surrogate"] == "\\udcff"
    assert data["raw"] == "\\xff\x1b[31m"
    assert (data["nan"], data["word"], data["path"]) == ("nan", "sent", "a")
    assert data["time"] == "2026-11-21T00:00:00+00:00"
    assert path.stat().st_size < 4 * MAX_TEXT
    assert Journal(path).entries() == [entry]


def test_a_value_without_a_json_form_is_refused_before_anything_is_written(path: Path) -> None:
    with pytest.raises(TypeError, match="Thread"):
        Journal(path).append("x", worker=threading.current_thread())
    assert Journal(path).entries() == []


@pytest.mark.parametrize("line", [1, 3, 5])
def test_an_altered_line_is_named(path: Path, line: int) -> None:
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"round":', b'"Round":')
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=f"line {line} "):
        Journal(path).entries()
    with pytest.raises(JournalError, match=f"line {line} "):
        Journal(path).append("trigger")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[:2] + lines[3:], 3),  # dropped
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),  # repeated
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),  # moved
        (lambda lines: [*lines[:2], b"\n", *lines[2:]], 3),  # a blank line
        (lambda lines: [*lines[:2], b"{}\n", *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"[" * 100_000 + b"\n", *lines[2:]], 3),
        (lambda lines: [lines[0], lines[1].replace(b":", b": ", 1), *lines[2:]], 2),
        (lambda lines: [*lines, b"not json, but terminated\n"], 6),
        (lambda lines: lines[1:], 1),
    ],
)
def test_a_chain_that_was_tampered_with_is_refused(path: Path, change: object, line: int) -> None:
    fill(path)
    assert callable(change)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(JournalError, match=f"line {line} "):
        Journal(path).entries()


def test_lines_cut_off_at_the_end_show_while_the_journal_is_open_and_against_the_head(path: Path) -> None:
    entries = fill(path)
    journal = Journal(path)
    assert journal.head == entries[-1].hash
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(JournalError, match="cut off"):
        journal.append("trigger")
    assert Journal(path).head == entries[2].hash != entries[-1].hash


@pytest.mark.parametrize("cut", [1, 2, 40, 150])
def test_a_torn_last_line_is_passed_over_and_kept(path: Path, cut: int) -> None:
    entries = fill(path)
    whole = path.read_bytes()
    torn = whole.splitlines()[-1][: -cut + 1 or None]
    path.write_bytes(whole[:-cut])
    assert Journal(path).entries() == entries[:4]
    assert path.read_bytes() == whole[:-cut], "reading changes nothing"
    Journal(path).append("resumed", by="operator")
    after = Journal(path).entries()
    assert after[:4] == entries[:4]
    assert [entry.event for entry in after[4:]] == ["journal.torn", "resumed"]
    kept = path.with_name("journal.torn-1")
    assert kept.read_bytes() == torn
    assert after[4].data == {
        "file": "journal.torn-1",
        "bytes": len(torn),
        "sha256": hashlib.sha256(torn).hexdigest(),
    }


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


@pytest.mark.parametrize("step", range(1, 12))
def test_setting_a_torn_line_aside_may_be_killed_at_any_step(
    path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = fill(path, 3)
    with path.open("ab") as file:
        file.write(b'{"data":{"half')
    steps = 0

    def counted(function: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed
            assert callable(function)
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in ("write", "fsync", "ftruncate", "close"):
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            Journal(path).append("resumed")
        except Killed:
            pass
        else:
            assert step > 8, "the test must interrupt every step"
    Journal(path).append("resumed again")
    after = Journal(path).entries()
    assert after[:3] == entries
    assert after[-1].event == "resumed again"
    kept = {file.name: file.read_bytes() for file in torn_files(path.parent)}
    assert kept["journal.torn-1"] == b'{"data":{"half'
    noted = [entry.data["file"] for entry in after if entry.event == "journal.torn"]
    assert sorted(noted) == sorted(kept)


def test_a_write_that_a_full_disk_cut_short_is_an_error_and_no_entry(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = fill(path, 2)
    journal = Journal(path)
    write = os.write

    def short_then_full(fd: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[: len(data) - 10])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short_then_full)
        with pytest.raises(StorageError, match="no space left"):
            journal.append("claim", attempt=1)
    assert journal.all("claim") == [] and Journal(path).entries() == entries
    journal.append("claim", attempt=1)
    assert [entry.event for entry in Journal(path).entries()[2:]] == ["journal.torn", "claim"]


def test_an_entry_is_on_the_disk_before_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    synced: list[tuple[int, int]] = []
    fsync = os.fsync

    def watched(fd: int) -> None:
        fsync(fd)
        found = os.fstat(fd)
        synced.append((found.st_ino, found.st_size))

    monkeypatch.setattr(os, "fsync", watched)
    journal.append("claim", attempt=1)
    file = path.stat()
    assert (file.st_ino, file.st_size) in synced
    assert path.parent.stat().st_ino in [inode for inode, _ in synced]


def test_an_entry_whose_sync_failed_counts_as_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that may be on the disk must be seen on resumption: better a lost chance than a second NMI."""
    journal = Journal(path)
    journal.append("case.opened")

    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(StorageError):
            journal.append("claim", attempt=1)
    assert journal.last("claim") is not None
    journal.append("resumed")
    assert [entry.seq for entry in Journal(path).entries()] == [1, 2, 3]


def test_two_journals_on_one_file_keep_one_chain(path: Path) -> None:
    first, second = Journal(path), Journal(path)
    for number in range(5):
        first.append("a", n=number)
        second.append("b", n=number)
    assert [entry.event for entry in Journal(path).entries()] == ["a", "b"] * 5
    assert first.head == second.head == chain_by_hand(path)


def test_threads_may_share_a_journal(path: Path) -> None:
    journal = Journal(path)
    threads = [
        threading.Thread(target=lambda name=name: [journal.append(name) for _ in range(20)])
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Journal(path).entries()) == 80
