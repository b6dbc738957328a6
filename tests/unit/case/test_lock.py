from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collector.case.lock import hold
from collector.errors import CaseLockedError

HOLDER = """
import sys, time
from pathlib import Path
from collector.case.lock import hold
with hold(Path(sys.argv[1]), sys.argv[2:], case="2026-11-21T0312Z-db01"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(cases: Path, *identities: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, cases, *identities], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"held"
    return process


def test_a_second_run_is_told_who_holds_the_host(tmp_path: Path) -> None:
    with holder(tmp_path, "host db01", "ipmi://192.0.2.110:623") as process:
        try:
            with (
                pytest.raises(CaseLockedError) as caught,
                hold(tmp_path, ["host db01-by-another-name", "ipmi://192.0.2.110:623"]),
            ):
                pytest.fail("two runs held one controller")
        finally:
            process.kill()
    assert "ipmi://192.0.2.110:623" in caught.value.message
    assert f"process {process.pid} " in caught.value.message
    assert "2026-11-21T0312Z-db01" in caught.value.message
    assert caught.value.hint


def test_a_killed_run_does_not_block_its_resumption(tmp_path: Path) -> None:
    with holder(tmp_path, "host db01") as process:
        process.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        process.wait(10)
    with hold(tmp_path, ["host db01"]):
        pass


def test_all_or_nothing(tmp_path: Path) -> None:
    with hold(tmp_path, ["b"]):
        with pytest.raises(CaseLockedError, match="holds b"), hold(tmp_path, ["c", "b", "a"]):
            pytest.fail("held twice")
        with hold(tmp_path, ["a", "c", "a"]):
            pass


def test_different_identities_do_not_share_a_lock(tmp_path: Path) -> None:
    with (
        hold(tmp_path, ["ipmi://192.0.2.1:623"]),
        hold(tmp_path, ["ipmi://192.0.2.1:624", "ipmi://192.0.2.1_623"]),
    ):
        pass


def test_the_lock_ends_with_the_block_even_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path, ["host db01"]):
        raise ZeroDivisionError
    with hold(tmp_path, ["host db01"]):
        pass


def test_a_note_that_cannot_be_read_still_names_the_host(tmp_path: Path) -> None:
    with hold(tmp_path, ["db01"], case="x"):
        (tmp_path / ".locks" / "db01.json").write_bytes(b"\xff not json")
        with pytest.raises(CaseLockedError, match=r"another run holds db01$"), hold(tmp_path, ["db01"]):
            pytest.fail("held twice")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_locks_are_for_the_owner_alone(tmp_path: Path) -> None:
    with hold(tmp_path / "cases", ["db01"]):
        files = list((tmp_path / "cases" / ".locks").iterdir())
        assert len(files) == 2
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
