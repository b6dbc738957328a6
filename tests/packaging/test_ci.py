"""`.ci/run` itself, over targets that stand in for the real ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.server import tool

REPOSITORY = Path(__file__).parents[2]
MAKEFILE = f"""
test: ; @{sys.executable} -m pytest -q -p no:cacheprovider -c /dev/null test_it.py
e2e: ; @{sys.executable} -m pytest -q -p no:cacheprovider -c /dev/null test_it.py
lint: ; @true
demo: ; @{{demo}}
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="CI runs on Linux")


@pytest.mark.parametrize(
    ("demo", "status", "last"),
    [("true", 0, "4 passed, 0 failed, 0 skipped"), ("false", 1, "3 passed, 1 failed, 0 skipped")],
)
def test_every_stage_runs_and_the_tally_is_the_last_line(
    tmp_path: Path, demo: str, status: int, last: str
) -> None:
    tool("make", package="make")
    shutil.copytree(REPOSITORY / ".ci", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(MAKEFILE.replace("{demo}", demo))
    (tmp_path / "tests").mkdir()
    shutil.copy(REPOSITORY / "tests" / "allowed-skips.txt", tmp_path / "tests")
    (tmp_path / "test_it.py").write_text("def test_one(): pass\n")
    done = subprocess.run(
        [tmp_path / ".ci" / "run"], capture_output=True, text=True, check=False, timeout=100, cwd="/"
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, last)
    assert [line for line in done.stdout.splitlines() if line.startswith("== ")] == [
        "== make test",
        "== make lint",
        "== make demo",
        "== make e2e",
    ]
