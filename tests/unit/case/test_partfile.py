from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.case import partfile
from collector.case.folder import CaseFolder
from collector.case.partfile import BLOCK, PartFile, drop_finished_logs, free_space_check
from collector.errors import CaseError, StorageError

NOW = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
SOURCE = "/var/crash/202611210312/vmcore 20971520 1795230764"
DATA = random.Random(1).randbytes(20 * 1024 * 1024)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def case(tmp_path: Path) -> CaseFolder:
    return CaseFolder.create(tmp_path / "cases", "db01", NOW)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("copy ")]


def pump(part: PartFile, data: bytes, end: int | None = None, step: int = 300_000) -> None:
    for start in range(part.offset, end or len(data), step):
        part.write(data[start : min(start + step, end or len(data))])


def files(case: CaseFolder) -> list[str]:
    return sorted(path.name for path in (case.path / "data" / "dump").iterdir())


def copied_until(case: CaseFolder, end: int, source: str = SOURCE) -> None:
    with PartFile.open(case, "dump/vmcore", source) as part:
        pump(part, DATA, end)


def test_a_copy_in_one_go(case: CaseFolder) -> None:
    with PartFile.open(case, "dump/vmcore", SOURCE, size=len(DATA)) as part:
        assert part.offset == 0
        pump(part, DATA)
        artifact = part.finish()
    assert (artifact.path, artifact.bytes, artifact.sha256) == ("data/dump/vmcore", len(DATA), DIGEST)
    assert (case.path / artifact.path).read_bytes() == DATA
    drop_finished_logs(case)
    assert files(case) == ["vmcore"]


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_sizes_around_a_block(case: CaseFolder, size: int) -> None:
    with PartFile.open(case, "dump/vmcore", SOURCE, size=size) as part:
        part.write(DATA[:size])
        artifact = part.finish()
    assert artifact.sha256 == hashlib.sha256(DATA[:size]).hexdigest()
    assert (case.path / artifact.path).stat().st_size == size


def test_a_hash_that_fails_ends_the_copy_and_never_hangs_it(case: CaseFolder) -> None:
    class Broken:
        def update(self, _: object) -> None:
            raise MemoryError

    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        part._sha256 = Broken()  # type: ignore[assignment]
        with pytest.raises(MemoryError):
            pump(part, DATA)


def test_leaving_the_block_keeps_every_byte_for_a_resumption(case: CaseFolder) -> None:
    with pytest.raises(ConnectionResetError), PartFile.open(case, "dump/vmcore", SOURCE) as part:
        pump(part, DATA, 9_123_457)
        raise ConnectionResetError
    assert files(case) == ["vmcore.part", "vmcore.part.log"]
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        assert part.offset == 9_123_457
        pump(part, DATA)
        assert part.finish().sha256 == DIGEST


def test_what_no_checkpoint_proves_is_fetched_again(case: CaseFolder) -> None:
    """As after kill -9 or a loss of power: bytes behind the last checkpoint, and a torn line in the log."""
    copied_until(case, 10_000_000)
    part_path, log = case.path / "data/dump/vmcore.part", case.path / "data/dump/vmcore.part.log"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]) + b'{"end": 10000000, "sha')
    with part_path.open("r+b") as file:
        file.seek(9_000_000)
        file.write(bytes(1_500_000))
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        assert part.offset == BLOCK + (-BLOCK % 300_000)
        pump(part, DATA)
        assert part.finish().sha256 == DIGEST


@pytest.mark.parametrize("at", [0, BLOCK + 400_000])
def test_a_part_that_rotted_is_resumed_before_the_damage(case: CaseFolder, at: int) -> None:
    copied_until(case, len(DATA))
    path = case.path / "data/dump/vmcore.part"
    rotten = bytearray(path.read_bytes())
    rotten[at] ^= 1
    path.write_bytes(rotten)
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        assert part.offset <= at
        assert (part.offset > 0) == (at > 0)
        pump(part, DATA)
        assert part.finish().sha256 == DIGEST


def test_a_part_that_was_cut_short_is_resumed_at_a_checkpoint(case: CaseFolder) -> None:
    copied_until(case, len(DATA))
    os.truncate(case.path / "data/dump/vmcore.part", BLOCK + 500_000)
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        assert BLOCK <= part.offset <= BLOCK + 500_000
        pump(part, DATA)
        assert part.finish().sha256 == DIGEST


def test_the_part_of_another_source_is_kept_aside(case: CaseFolder) -> None:
    for number, source in enumerate(["/var/crash/a 1 1", "/var/crash/a 2 2", SOURCE]):
        copied_until(case, 1_000_000 + number, source)
    assert files(case) == [
        "vmcore.part",
        "vmcore.part.log",
        "vmcore.part.stale-1",
        "vmcore.part.stale-1.log",
        "vmcore.part.stale-2",
        "vmcore.part.stale-2.log",
    ]
    stale = case.path / "data/dump/vmcore.part.stale-1"
    assert stale.read_bytes() == DATA[:1_000_000]
    assert "/var/crash/a 1 1" in stale.with_name("vmcore.part.stale-1.log").read_text()
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        assert part.offset == 1_000_002


def test_a_part_without_a_log_is_kept_aside(case: CaseFolder) -> None:
    copied_until(case, 1000)
    (case.path / "data/dump/vmcore.part.log").unlink()
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        assert part.offset == 0
    assert (case.path / "data/dump/vmcore.part.stale-1").read_bytes() == DATA[:1000]


def test_a_whole_file_is_never_overwritten(case: CaseFolder) -> None:
    artifacts = []
    for source in ["/var/crash/a/vmcore", "/mnt/crash/a/vmcore"]:
        with PartFile.open(case, "dump/vmcore", source) as part:
            part.write(source.encode())
            artifacts.append(part.finish())
    assert [artifact.path for artifact in artifacts] == ["data/dump/vmcore", "data/dump/vmcore-2"]
    assert (case.path / artifacts[0].path).read_bytes() == b"/var/crash/a/vmcore"
    case.write("dump/log.txt", b"x")
    with PartFile.open(case, "dump/log.txt", SOURCE) as part:
        assert part.finish().path == "data/dump/log-2.txt"


def test_a_run_killed_between_the_rename_and_the_journal_does_not_copy_twice(case: CaseFolder) -> None:
    for _ in range(2):
        with PartFile.open(case, "dump/vmcore", SOURCE, size=len(DATA)) as part:
            pump(part, DATA)
            first = part.finish()
    with PartFile.open(case, "dump/vmcore", SOURCE, size=len(DATA)) as part:
        assert part.offset == len(DATA)
        assert part.finish() == first


def test_a_file_that_came_in_between_is_not_overwritten(case: CaseFolder) -> None:
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        part.write(b"the dump")
        case.write("dump/vmcore", b"something else")
        with pytest.raises(CaseError):
            part.finish()
    assert (case.path / "data/dump/vmcore").read_bytes() == b"something else"
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:
        part.write(b"the dump")
        assert (case.path / part.finish().path).read_bytes() == b"the dump"
    assert (case.path / "data/dump/vmcore").read_bytes() == b"something else"


@pytest.mark.parametrize("end", [len(DATA) - 1, 5])
def test_less_than_was_announced_is_not_called_whole(case: CaseFolder, end: int) -> None:
    with PartFile.open(case, "dump/vmcore", SOURCE, size=len(DATA)) as part:
        pump(part, DATA, end)
        with pytest.raises(CaseError, match=f"after {end} of"):
            part.finish()
    assert "vmcore" not in files(case)


def test_a_full_disk_says_how_much_is_missing_and_keeps_what_is_here(
    case: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, 9_000_000

    def filling(fd: int, data: memoryview) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        room -= len(data)
        return write(fd, data)

    with PartFile.open(case, "dump/vmcore", SOURCE, size=len(DATA)) as part, monkeypatch.context() as patched:
        patched.setattr(os, "write", filling)
        with pytest.raises(StorageError, match=r"no space left .* bytes are here, \d+ are missing") as caught:
            pump(part, DATA)
            part.finish()
        assert "resume" in caught.value.hint
        with pytest.raises(StorageError):
            part.write(b"x")
        with pytest.raises(StorageError):
            part.finish()
    with PartFile.open(case, "dump/vmcore", SOURCE, size=len(DATA)) as part:
        assert part.offset >= BLOCK
        pump(part, DATA)
        assert part.finish().sha256 == DIGEST


def test_a_checkpoint_is_written_only_after_its_bytes_are_on_the_disk(
    case: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: list[str] = []
    fsync, write = os.fsync, os.write

    def watched_sync(fd: int) -> None:
        acts.append(f"sync {os.fstat(fd).st_ino}")
        fsync(fd)

    def watched_write(fd: int, data: memoryview) -> int:
        acts.append(f"write {os.fstat(fd).st_ino}")
        return write(fd, data)

    with PartFile.open(case, "dump/vmcore", SOURCE) as part, monkeypatch.context() as patched:
        patched.setattr(os, "fsync", watched_sync)
        patched.setattr(os, "write", watched_write)
        pump(part, DATA, 2 * BLOCK)
        part.abandon()
    data = (case.path / "data/dump/vmcore.part").stat().st_ino
    log = (case.path / "data/dump/vmcore.part.log").stat().st_ino
    checkpoints = [index for index, act in enumerate(acts) if act == f"write {log}"]
    assert len(checkpoints) >= 2
    for index in checkpoints:
        assert acts[index - 1 : index + 2] == [f"sync {data}", f"write {log}", f"sync {log}"]


def test_what_the_thread_meets_is_raised_where_the_caller_is(
    case: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    with PartFile.open(case, "dump/vmcore", SOURCE) as part, monkeypatch.context() as patched:
        patched.setattr(partfile, "write_all", out_of_memory)
        with pytest.raises(MemoryError):
            for _ in range(1000):
                part.write(b"x" * 1_000_000)


def test_a_slow_disk_holds_the_network_back_instead_of_filling_memory(
    case: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, taken = threading.Event(), 0
    write_all = partfile.write_all

    def slow(fd: int, data: memoryview) -> None:
        gate.wait(30)
        write_all(fd, data)

    monkeypatch.setattr(partfile, "write_all", slow)
    with PartFile.open(case, "dump/vmcore", SOURCE) as part:

        def feed() -> None:
            nonlocal taken
            for start in range(0, len(DATA), 100_000):
                part.write(DATA[start : start + 100_000])
                taken += 100_000

        feeder = threading.Thread(target=feed)
        feeder.start()
        feeder.join(0.5)
        held = taken
        gate.set()
        feeder.join(30)
        assert held <= 9 * 1024 * 1024
        assert part.finish().sha256 == DIGEST


def test_free_space_is_checked_with_a_reserve(case: CaseFolder) -> None:
    free_space_check(case, 0)
    with pytest.raises(StorageError, match="are free") as caught:
        free_space_check(case, 1 << 60)
    assert "Free " in caught.value.hint


def test_an_unsafe_name_is_refused(case: CaseFolder) -> None:
    with pytest.raises(CaseError):
        PartFile.open(case, "dump/../../vmcore", SOURCE)
