"""Handles: what `!handle` says of a process's table, in a kernel and in a user dump.

Source: Microsoft, "!handle".
"""

from __future__ import annotations

import re
from collections import Counter

from collector.triage.gather import Gathered
from collector.triage.machine import HandleTable
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

MOST_TYPES = 200  # Windows 11 has some 70

_TABLE = re.compile(rf"\s*(?:Kernel )?[Hh]andle [Tt]able at {HEX} with (\d{{1,9}})\.? [Ee]ntries", re.ASCII)
_OBJECT = re.compile(rf"\s*Object: {HEX}\s+Type: \({HEX}\) (\S.*)")
_TOTAL = re.compile(r"\s*(\d{1,9}) Handles$", re.ASCII)
_COUNT = re.compile(r"\s*([A-Za-z][A-Za-z ]*?)\s+(\d{1,9})$", re.ASCII)


def read_handles(lines: Lines, gathered: Gathered) -> None:
    """Read the table of one process: how many handles, and how many of each type are shown."""
    number = lines.number
    table, total = _TABLE.match(lines.line or ""), _TOTAL.match(lines.line or "")
    types: Counter[str] = Counter()
    while (line := lines.advance()) is not None and not opening(line):
        if found := _OBJECT.match(line):
            _count(types, found[1], 1)
        elif total and (found := _COUNT.match(line)):
            _count(types, found[1], int(found[2]))
    if found := table or total:
        image = gathered.image if table else ""
        gathered.add("handle_tables", HandleTable(number, image, int(found[1]), dict(types)))


def _count(types: Counter[str], name: str, count: int) -> None:
    if name in types or len(types) < MOST_TYPES:
        types[name] += count
