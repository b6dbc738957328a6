"""Logs of published studies, read from the folder that HC_TRIAGE_CASES names; none of them is in here.

The folder has `cases.jsonl`: for each log its id and, under `expected`, the chain and the numbers that an
expert found in it. Without the folder there is nothing to test, and no test is made.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from collector.triage.kdlog import parse
from collector.triage.model import DebuggerLog
from collector.triage.text import read_lines


def cases() -> list[tuple[Path, dict[str, Any]]]:
    folder = Path(os.environ.get("HC_TRIAGE_CASES", "/nonexistent"))
    if not folder.is_dir():
        return []
    rows = map(json.loads, (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines())
    return [(folder / f"{row['id']}.txt", row["expected"]) for row in rows]


def assert_link(log: DebuggerLog, link: dict[str, Any]) -> None:
    """Find the thread of one link of a chain, with everything that the expert read of it."""
    thread = next(thread for thread in log.threads if thread.address == int(link["thread"], 16))
    process_id, thread_id = (int(part, 16) for part in link["cid"].split("."))
    assert (thread.process_id, thread.thread_id) == (process_id, thread_id)
    assert link["process"] == thread.image
    if "wait_s" in link:
        assert thread.wait_seconds == link["wait_s"]
    if link["waits_on"] == "lpc":
        assert thread.lpc_wait is not None
        assert thread.lpc_wait.message == int(link["object"], 16)
    elif link["waits_on"] in {"event", "mutant", "process", "fast_mutex", "message_box", "driver"}:
        assert "object" not in link or int(link["object"], 16) in {
            wait.address for wait in thread.wait_objects
        }
    elif link["waits_on"] == "critical_section":
        section = next(s for s in log.critical_sections if s.address == int(link["object"], 16))
        assert section.owner_id == int(link["owner_tid"], 16)
    elif link["waits_on"] == "eresource":
        resource = next(r for r in log.resources if r.address == int(link["object"], 16))
        assert thread.address in resource.exclusive_waiters
        assert int(link["owner"], 16) in resource.owners


if CASES := cases():

    @pytest.mark.parametrize(("path", "expected"), CASES, ids=[path.stem for path, _ in CASES])
    def test_what_the_expert_read_is_read(path: Path, expected: dict[str, Any]) -> None:
        log = parse(read_lines(path))
        for link in expected["chain"]:
            if "thread" in link and link.get("cid") and not link["thread"].startswith("("):
                assert_link(log, link)
        assert log.dropped == {}
        assert log.lines == len(path.read_text(encoding="utf-8").split("\n")) - path.read_text(
            encoding="utf-8"
        ).endswith("\n")
