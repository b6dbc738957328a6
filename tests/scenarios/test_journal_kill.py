"""kill -9 at random moments: what was acknowledged before is there after, and nothing else was invented."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector.case.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

APPEND = """
import itertools, sys
from pathlib import Path
from collector.case.journal import Journal
journal = Journal(Path(sys.argv[1]))
for _ in itertools.count():
    entry = journal.append("sighting", note="x" * 3000)
    print(entry.seq, entry.hash, flush=True)
"""


def kill_while_it_works(program: str, *arguments: object, seconds: float) -> list[str]:
    """Run the program, kill it that long after its first line of output, and return the whole lines."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    assert process.returncode == -signal.SIGKILL, "the program must not end by itself"
    return [line.rstrip("\n") for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


def test_every_acknowledged_entry_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: dict[int, str] = {}
    dice = random.Random(20261121)
    for _ in range(6):
        for line in kill_while_it_works(APPEND, path, seconds=dice.uniform(0, 0.15)):
            seq, digest = line.split()
            seen[int(seq)] = digest
        if dice.random() < 0.5:  # what a loss of power makes of a line that was being written
            with path.open("ab") as file:
                file.write(b'{"data":{"note":"xxxx')
        entries = Journal(path).entries()
        assert {entry.seq: entry.hash for entry in entries}.items() >= seen.items()
        unacknowledged = [
            entry for entry in entries if entry.seq not in seen and entry.event != "journal.torn"
        ]
        assert len(unacknowledged) <= 6, "at most the one that was being written at each kill"
    Journal(path).append("resumed")
    assert Journal(path).entries()[-1].event == "resumed"
