"""The last line of `.ci/run`, from real reports of pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TALLY = Path(__file__).parents[2] / ".ci" / "tally.py"

SUITES = {
    "good": "def test_one(): pass\ndef test_two(): pass\n",
    "bad": "def test_one(): assert 0\ndef test_two(): pass\n",
    "torn": "import pytest\n@pytest.fixture\ndef f(): raise OSError\ndef test_one(f): pass\n",
    "skips": "import pytest\ndef test_one(): pytest.skip('peer missing: sshd')\ndef test_two(): pass\n",
    "broken": "import no_such_module\n",
}


class Ci:
    """A folder of stages as `.ci/run` leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.allowed = folder / "allowed.txt"
        self.allowed.write_text("# why\n\n")

    def stage(self, name: str, suite: str = "", status: int | None = None) -> None:
        if suite:
            file = self.folder / f"test_{name}.py"
            file.write_text(SUITES[suite])
            report = f"--junitxml={self.folder / name}.xml"
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
            done = subprocess.run([*command, report, file], capture_output=True, check=False, timeout=100)
            status = done.returncode if status is None else status
        (self.folder / f"{name}.status").write_text(f"{status or 0}\n")

    def tally(self) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, TALLY, self.folder, self.allowed], capture_output=True, text=True, check=False
        )
        assert not done.stderr
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def ci(tmp_path: Path) -> Ci:
    return Ci(tmp_path)


def test_all_that_passed_is_counted(ci: Ci) -> None:
    ci.stage("test", "good")
    ci.stage("lint")
    assert ci.tally() == (0, ["3 passed, 0 failed, 0 skipped"])


@pytest.mark.parametrize(("suite", "line"), [("bad", "1 passed, 1 failed"), ("torn", "0 passed, 1 failed")])
def test_a_failed_test_fails_the_run(ci: Ci, suite: str, line: str) -> None:
    ci.stage("test", suite)
    status, lines = ci.tally()
    assert status == 1
    assert lines[-1] == f"{line}, 0 skipped"


def test_a_suite_that_cannot_be_collected_fails_the_run(ci: Ci) -> None:
    ci.stage("test", "broken")
    status, lines = ci.tally()
    assert status == 1
    assert lines[-1].endswith(" 1 failed, 0 skipped")


def test_a_stage_that_failed_without_a_report_fails_the_run(ci: Ci) -> None:
    ci.stage("test", "good")
    ci.stage("lint", status=2)
    assert ci.tally() == (1, ["make lint: exit status 2", "2 passed, 1 failed, 0 skipped"])


def test_a_stage_that_ran_out_of_time_after_green_tests_fails_the_run(ci: Ci) -> None:
    ci.stage("e2e", "good", status=124)
    assert ci.tally()[0] == 1


def test_a_skip_that_nobody_allowed_fails_the_run(ci: Ci) -> None:
    ci.stage("test", "skips")
    status, lines = ci.tally()
    assert status == 1
    assert "skipped without leave" in lines[0]
    assert "peer missing: sshd" in lines[0]
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"


def test_a_skip_that_is_allowed_by_its_reason_passes(ci: Ci) -> None:
    ci.stage("test", "skips")
    ci.allowed.write_text("# no sshd there\npeer missing: sshd\n")
    assert ci.tally() == (0, ["1 passed, 0 failed, 1 skipped"])


def test_nothing_at_all_is_no_success(ci: Ci) -> None:
    assert ci.tally() == (1, ["0 passed, 0 failed, 0 skipped"])
