"""Processors: `!running`, `!ready`, `!cpuinfo`. Source: Microsoft, the pages of these commands."""

from __future__ import annotations

import re

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.kd_thread import read_thread
from collector.triage.machine import Processor
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

MOST_READY = 10_000

_MASK = re.compile(r"\s*Idle Processors:?\s*\(?\s*(?:0x)?([0-9a-fA-F][0-9a-fA-F`]{0,16})")
_RUNNING = re.compile(
    rf"\s*(\d{{1,5}})\s+({HEX})\s+({HEX})(?:\s+\(\s*\d+\))?(?:\s+({HEX})\s+\(\s*\d+\))?(?:\s+({HEX}))?"
)
_READY = re.compile(r"\s*Processor (\d{1,5}):")
_CPU_ROW = re.compile(r"\s*(\d{1,5})\s+\d+,\d+,\d+\s")


def read_running(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!running`: the idle mask, and what runs on each other processor."""
    line = lines.line
    while line is not None:
        if mask := _MASK.match(line):
            gathered.idle = (address(mask[1]), lines.number)
        elif row := _RUNNING.match(line):
            thread, idle_thread = address(row[3]), address(row[5]) if row[5] else None
            gathered.add(
                "processors",
                Processor(lines.number, int(row[1]), thread, thread == idle_thread if idle_thread else None),
            )
        line = lines.advance()
        if line is not None and (following := opening(line)) and following["running"] is None:
            break


def read_ready(lines: Lines, gathered: Gathered) -> None:
    """Read what `!ready` says of one processor: the threads that wait for it."""
    found = _READY.match(lines.line or "")
    number = lines.number
    lines.advance()
    threads: list[int] = []
    while (line := lines.line) is not None:
        following = opening(line)
        if following is not None and following["thread"] is not None:
            if len(threads) < MOST_READY:
                threads.append(address(line.split()[1]))
            read_thread(lines, gathered)
        elif following is None and not line.strip():
            lines.advance()
        else:
            break
    if found is not None:
        gathered.add("processors", Processor(number, int(found[1]), ready_threads=tuple(threads)))


def read_cpuinfo(lines: Lines, gathered: Gathered) -> None:
    """Read the rows of `!cpuinfo`: it counts the processors."""
    count = 0
    while (line := lines.advance()) is not None and not opening(line):
        if _CPU_ROW.match(line):
            count += 1
    if count:
        gathered.system.setdefault("processors", count)
