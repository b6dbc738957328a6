from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from collector.run.beside import beside


def test_both_are_done_at_the_same_time() -> None:
    met = threading.Barrier(2, timeout=30)
    other = beside(met.wait)
    assert {met.wait(), other()} == {0, 1}


def test_what_it_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work() -> None:
        raise SystemExit("no")

    other = beside(work)
    with pytest.raises(SystemExit):
        other()


def test_the_program_ends_although_it_does_not() -> None:
    script = "import time; from collector.run.beside import beside; beside(lambda: time.sleep(600))"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
