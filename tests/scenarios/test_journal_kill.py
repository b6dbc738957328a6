"""kill -9 at random moments: what was acknowledged before is there after, and nothing else was invented."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.case.folder import CaseFolder
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

COPY = """
import sys, time
from pathlib import Path
from collector.case.folder import CaseFolder
from collector.case.partfile import PartFile
case, remote = CaseFolder.open(Path(sys.argv[1])), Path(sys.argv[2])
with PartFile.open(case, "dump/vmcore", "vmcore 1 1") as part, remote.open("rb") as file:
    print("from", part.offset, flush=True)
    file.seek(part.offset)
    while chunk := file.read(512 * 1024):
        part.write(chunk)
        print("took", part.offset, flush=True)
        time.sleep(0.001)
    print("whole", part.finish().sha256, flush=True)
    time.sleep(60)
"""


def kill_while_it_works(program: str, *arguments: object, lines: int, delay: float) -> list[str]:
    """Kill the program `delay` seconds after that many lines, or `whole`; return what it printed."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline()]
        while len(printed) < lines and not printed[-1].startswith("whole"):
            printed.append(process.stdout.readline())
            assert printed[-1], "the program ended by itself"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        printed += process.stdout.read().splitlines(keepends=True)
    return [line.rstrip("\n") for line in printed if line.endswith("\n")]


def test_every_acknowledged_entry_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    seen: dict[int, str] = {}
    dice = random.Random(20261121)
    kills = 6
    for _ in range(kills):
        for line in kill_while_it_works(APPEND, path, lines=dice.randint(1, 60), delay=dice.uniform(0, 0.01)):
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
        assert len(unacknowledged) <= kills, "at most the one that was being written at each kill"
    Journal(path).append("resumed")
    assert Journal(path).entries()[-1].event == "resumed"


def test_a_copy_that_is_killed_again_and_again_comes_home_whole(tmp_path: Path) -> None:
    dice = random.Random(20261121)
    remote = tmp_path / "vmcore"
    remote.write_bytes(dice.randbytes(48 * 1024 * 1024 + 12345))
    case = CaseFolder.create(tmp_path / "cases", "db01", datetime.now(UTC))
    offsets: list[int] = []
    last = ""
    while not last.startswith("whole"):
        count, delay = dice.randint(1, 60), dice.uniform(0, 0.01)
        printed = kill_while_it_works(COPY, case.path, remote, lines=count, delay=delay)
        offsets.append(int(printed[0].removeprefix("from ")))
        last = printed[-1]
        assert len(offsets) < 50, "no progress"
    assert offsets == sorted(offsets), "what was verified once is never fetched again"
    assert any(offsets), "some resumption began in the middle"
    assert last == f"whole {hashlib.sha256(remote.read_bytes()).hexdigest()}"
    assert (case.path / "data/dump/vmcore").read_bytes() == remote.read_bytes()
