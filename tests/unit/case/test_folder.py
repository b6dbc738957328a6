from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.case.folder import MAX_NAME, CaseFolder, find, safe_name
from collector.errors import CaseError, StorageError

NOW = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
WINDOWS_FORBIDDEN = set('<>:"/\\|?*') | {chr(code) for code in range(32)}

hostile = st.text(st.characters(), max_size=300) | st.text("./\\:%\0\n\r~-_ abCON1", max_size=40)


@pytest.fixture
def case(tmp_path: Path) -> CaseFolder:
    return CaseFolder.create(tmp_path / "cases", "db01", NOW)


@given(hostile)
@example("../../etc/passwd")
@example("..")
@example(".")
@example("")
@example("nul.txt")
@example("COM1")
@example("file.txt:stream")
@example("vmcore\n")
@example("\x1b]0;owned\x07")
@example("\udcff\u202egpj.exe")
@example("vmcore.part")
@example("x" * 5000 + ".flat")
def test_a_safe_name_is_one_harmless_component(remote: str) -> None:
    name = safe_name(remote)
    assert name.isascii() and 0 < len(name) <= MAX_NAME
    assert not WINDOWS_FORBIDDEN & set(name)
    assert name[0] not in ".-" and name[-1] not in ". "
    assert name.split(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}
    assert ".part" not in name.lower()
    assert safe_name(name) == name


@given(st.sets(hostile, max_size=30))
@example({"a/b", "a\\b", "a:b", "a_b", "a b", "a\nb"})
@example({"x" * 200, "x" * 201})
def test_different_names_stay_different(remotes: set[str]) -> None:
    assert len({safe_name(remote) for remote in remotes}) == len(remotes)


@pytest.mark.parametrize(
    "plain", ["vmcore", "vmcore-dmesg.txt", "kexec_dmesg.log", "dump.202611210357", "a@b+c=d"]
)
def test_a_plain_name_is_kept(plain: str) -> None:
    assert safe_name(plain) == plain


def test_a_changed_name_keeps_its_extension() -> None:
    assert safe_name("memory dump.dmp").startswith("memory_dump-")
    assert safe_name("memory dump.dmp").endswith(".dmp")


def test_the_folder_is_named_by_utc_time_and_host(tmp_path: Path) -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    case = CaseFolder.create(tmp_path, "db01", tokyo)
    assert case.path == tmp_path / "2026-11-21T0312Z-db01"
    assert case.name == "2026-11-21T0312Z-db01"
    assert case.host == "db01"
    assert [path.name for path in sorted((case.path / "data").iterdir())] == ["dump", "evidence", "logs"]


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [CaseFolder.create(tmp_path, "db01", NOW).name for _ in range(3)]
    assert names == ["2026-11-21T0312Z-db01", "2026-11-21T0312Z-db01-2", "2026-11-21T0312Z-db01-3"]


def test_a_hostile_host_name_stays_in_the_folder_of_cases(tmp_path: Path) -> None:
    case = CaseFolder.create(tmp_path / "cases", "../../db01", NOW)
    assert case.path.parent == tmp_path / "cases"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_only_the_owner_may_read(case: CaseFolder) -> None:
    old = os.umask(0)
    try:
        case.write("logs/deep/dmesg", b"secret of the kernel")
        case.journal.append("case.opened", host="db01")
    finally:
        os.umask(old)
    for path in [case.path, *case.path.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_find_lists_cases_newest_first_and_nothing_else(tmp_path: Path) -> None:
    assert find(tmp_path / "absent") == []
    late = [CaseFolder.create(tmp_path, "db01", NOW).path for _ in range(11)]
    early = CaseFolder.create(tmp_path, "zz", NOW - timedelta(days=1)).path
    (tmp_path / "2026-11-21T0312Z-empty").mkdir()
    (tmp_path / "notes").mkdir()
    assert find(tmp_path) == [*reversed(late), early]


def test_open_finds_the_host_in_the_journal(case: CaseFolder, tmp_path: Path) -> None:
    assert CaseFolder.open(case.path).host == "db01"
    numbered = CaseFolder.create(tmp_path, "web-7", NOW)
    numbered.journal.append("case.opened", host="web-7")
    assert CaseFolder.open(numbered.path).host == "web-7"


def test_open_refuses_what_is_no_case(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="not a case folder"):
        CaseFolder.open(tmp_path)


def test_write_tells_size_and_digest(case: CaseFolder) -> None:
    artifact = case.write("logs/dmesg.txt", b"BUG: soft lockup\n")
    assert artifact.path == "data/logs/dmesg.txt"
    assert artifact.bytes == 17
    assert artifact.sha256 == hashlib.sha256(b"BUG: soft lockup\n").hexdigest()
    assert (case.path / artifact.path).read_bytes() == b"BUG: soft lockup\n"


def test_write_never_overwrites(case: CaseFolder) -> None:
    first = case.write("logs/dmesg.txt", b"one")
    assert case.write("logs/dmesg.txt", b"one") == first
    assert case.write("logs/dmesg.txt", b"two").path == "data/logs/dmesg-2.txt"
    assert case.write("logs/dmesg.txt", b"2nd").path == "data/logs/dmesg-3.txt"
    assert (case.path / first.path).read_bytes() == b"one"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "logs/../../x", "logs//x", "logs/a\nb", "logs/x:y", "", "logs/.."]
)
def test_write_refuses_a_path_that_is_not_safe(case: CaseFolder, name: str) -> None:
    before = set(case.path.parent.parent.rglob("*"))
    with pytest.raises(CaseError, match="not a safe path"):
        case.write(name, b"x")
    assert set(case.path.parent.parent.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot and need not sync a folder")
def test_bytes_are_durable_before_they_get_their_name_and_the_name_before_it_is_told(
    case: CaseFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts: list[tuple[str, int]] = []
    fsync, replace = os.fsync, Path.replace

    def watched_sync(fd: int) -> None:
        fsync(fd)
        acts.append(("sync", os.fstat(fd).st_ino))

    def watched_replace(self: Path, target: Path) -> Path:
        acts.append(("rename", self.stat().st_ino))
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", watched_sync)
        patched.setattr(Path, "replace", watched_replace)
        path = case.path / case.write("logs/dmesg", b"x").path
    file, folder = path.stat().st_ino, path.parent.stat().st_ino
    assert acts == [("sync", file), ("rename", file), ("sync", folder)]


def test_a_full_disk_leaves_no_half_file(case: CaseFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left") as caught:
        case.write("logs/dmesg.txt", b"x" * 100)
    assert "resume" in caught.value.hint
    assert list((case.path / "data" / "logs").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EDQUOT, "no space left"),
        (errno.EACCES, "no right"),
        (errno.EROFS, "no right"),
        (errno.EIO, "cannot use"),
    ],
)
def test_what_the_system_refuses_becomes_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=says) as caught:
        CaseFolder.create(tmp_path, "db01", NOW)
    assert caught.value.hint
