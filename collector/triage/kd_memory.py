"""Memory: `!vm` of all generations, `!poolused`, words of a raw stack, texts.

Source: Microsoft, "!vm", "!poolused", "dds, dps, dqs", "d, da, du".
"""

from __future__ import annotations

import re
from typing import Any

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.machine import (
    MemoryText,
    Notice,
    NoticeKind,
    PageFile,
    PoolTag,
    RawWord,
    SessionUsage,
    Vm,
    VmCounter,
)
from collector.triage.model import Process
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

MOST_COUNTERS = 500
MOST_PROCESSES = 5000

_COUNTER = re.compile(r"\s*([A-Za-z][\w /.]*?)\s*:\s+(\d{1,15})\s+\(\s*(\d{1,15})\s*K[bB]\s*\)")
_COUNTER_IN_KB = re.compile(r"\s*([A-Za-z][\w /.]*?)\s*:\s+(\d{1,15})\s*K[bB]?$")
_LIMIT_IN_KB = re.compile(r"\s*([A-Za-z][\w ]*?) is (\d{1,15})\s*K")
_PAGE_FILE = re.compile(r"\s*(?:Page File:|Paging File Name) ?\s*(\S.*)", re.IGNORECASE)
_PAGE_FILE_SIZE = re.compile(r"(Current|Free Space|Maximum):\s*(\d{1,15})\s*K[bB]")
_PAGE_FILE_FIELDS = {"Current": "current_kb", "Free Space": "free_kb", "Maximum": "maximum_kb"}
_FAILURES = re.compile(r"(\d{1,12}) pool allocations have failed", re.IGNORECASE)
_SESSION = re.compile(r"\s*Session ID (\d{1,9}) @")
_SESSION_POOL = re.compile(r"\s*Paged Pool Usage:\s+(\d{1,15})\s*K")
_SESSION_FAILURES = re.compile(r"\*+\s*(\d{1,12}) Pool Allocation Failures", re.IGNORECASE)
_PROCESS = re.compile(r"\s*([0-9a-f]{1,8}) (\S.*?)\s+\d{1,12}\s+\(\s*(\d{1,12})\s*K[bB]\s*\)")
_STARRED = re.compile(r"\s*\*{3,} ?(?!Virtual Memory Usage)\S")

_TAG_COLUMNS = {"Allocs": "allocs", "Diff": "diff", "Used": "bytes"}
_TAG_ROW = re.compile(
    r" ?(?P<tag>\S.{0,3}?)\s+(?P<numbers>\d{1,18}(?:\s+-?\d{1,18}){1,7})(?:\s+(?P<text>\S.*))?$"
)

_WORD = re.compile(rf"\s*({HEX})\s+([0-9a-f]{{8}}(?:`[0-9a-f]{{8}})?)(?:\s+(\S.*))?$")
_TELLING_STATUS = re.compile(r"(?:ffffffff`?)?[c8]000[0-9a-f]{4}$")
_TEXT = re.compile(rf'\s*({HEX})\s+(?:({HEX})\s+)?"(.*)')


def read_vm(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!vm`."""
    line = lines.line
    reader = _VmReader(lines.number)
    while line is not None:
        reader.take(line, lines.number, gathered)
        line = lines.advance()
        if line is not None and (found := opening(line)) and found["vm"] is None:
            break
    gathered.vm = reader.vm(gathered.vm)


class _VmReader:
    """Gathers one answer of `!vm`: counters, then sessions, then processes."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._counters: dict[str, VmCounter] = {}
        self._page_files: list[dict[str, Any]] = []
        self._sessions: list[dict[str, Any]] = []
        self._warnings: list[Notice] = []
        self._failures: tuple[int, int | None] = (0, None)
        self._processes = 0

    def take(self, line: str, number: int, gathered: Gathered) -> None:
        if "session" in line.lower() and (session := _SESSION.match(line)):
            if len(self._sessions) < MOST_COUNTERS:
                self._sessions.append({"line": number, "session": int(session[1])})
        elif failures := _FAILURES.search(line):
            self._failures = (int(failures[1]), number)
            self._warn(line, number, gathered)
        elif "*" in line and _STARRED.match(line):
            self._warn(line, number, gathered)
            if self._sessions and (failures := _SESSION_FAILURES.search(line)):
                self._sessions[-1] |= {"pool_failures": int(failures[1]), "pool_failures_line": number}
        elif self._page_files and (sizes := _PAGE_FILE_SIZE.findall(line)):
            for name, kb in sizes:
                self._page_files[-1].setdefault(_PAGE_FILE_FIELDS[name], int(kb))
        elif page_file := _PAGE_FILE.match(line):
            if len(self._page_files) < MOST_COUNTERS:
                self._page_files.append({"line": number, "name": page_file[1].strip()})
        else:
            self._take_counter(line, number, gathered)

    def _take_counter(self, line: str, number: int, gathered: Gathered) -> None:
        if self._sessions and (pool := _SESSION_POOL.match(line)):
            self._sessions[-1]["paged_pool_kb"] = int(pool[1])
            return
        counter = _COUNTER.match(line)
        kb = counter[3] if counter else ""
        if counter is None and (counter := _COUNTER_IN_KB.match(line) or _LIMIT_IN_KB.match(line)):
            kb = counter[2]
        if counter is not None:
            name = " ".join(counter[1].split())
            if len(self._counters) < MOST_COUNTERS:
                self._counters.setdefault(name, VmCounter(number, name, int(kb)))
        elif process := _PROCESS.match(line):
            self._processes += 1
            if self._processes <= MOST_PROCESSES:
                image = gathered.shared(process[2])
                gathered.add_process(
                    Process(number, process_id=int(process[1], 16), image=image, commit_kb=int(process[3]))
                )

    def _warn(self, line: str, number: int, gathered: Gathered) -> None:
        if len(self._warnings) < MOST_COUNTERS:
            text = line.strip(" *")
            self._warnings.append(Notice(number, NoticeKind.POOL, text))
            gathered.notice(number, NoticeKind.POOL, text)

    def vm(self, earlier: Vm | None) -> Vm:
        """Return the answer; a later `!vm` of the same log adds what the earlier one left out."""
        if earlier is not None:
            self._counters = {**self._counters, **earlier.counters}
        failures, failures_line = self._failures
        if earlier is not None and failures_line is None:
            failures, failures_line = earlier.pool_failures, earlier.pool_failures_line
        return Vm(
            line=earlier.line if earlier else self._line,
            counters=self._counters,
            page_files=(earlier.page_files if earlier else ())
            or tuple(PageFile(**fields) for fields in self._page_files),
            sessions=(earlier.sessions if earlier else ())
            or tuple(SessionUsage(**fields) for fields in self._sessions),
            pool_failures=failures,
            pool_failures_line=failures_line,
            warnings=(*(earlier.warnings if earlier else ()), *self._warnings)[:MOST_COUNTERS],
        )


def read_pool_tags(lines: Lines, gathered: Gathered) -> None:
    """Read the rows of `!poolused`. The lines of column names say which columns there are."""
    pools: list[str] = []
    columns: list[str] = []
    line = lines.line
    while line is not None:
        words = line.split()
        if words[:1] == ["Tag"]:
            columns = words[1:]
        elif words in (["NonPaged"], ["Paged"], ["NonPaged", "Paged"]):
            pools = [word.lower() for word in words]
        elif columns and (row := _TAG_ROW.match(line)):
            numbers = [int(number) for number in row["numbers"].split()]
            fields = _by_column(numbers, columns, pools or _pools_asked_for(gathered.command, columns))
            text = row["text"] or ""
            gathered.add("pool_tags", PoolTag(lines.number, row["tag"], description=text, **fields))
        line = lines.advance()
        if line is not None and (found := opening(line)) and found["pool_tags"] is None:
            break


def _pools_asked_for(command: str, columns: list[str]) -> list[str]:
    """Tell which pools the columns are of where their names are missing: flag 4 asks for the paged one."""
    if columns.count("Used") > 1:
        return ["nonpaged", "paged"]
    flags = command.removeprefix("!poolused").split()
    return ["paged"] if flags and flags[0] in {"4", "5"} else ["nonpaged"]


def _by_column(numbers: list[int], columns: list[str], pools: list[str]) -> dict[str, int]:
    width = len(columns) // len(pools)
    fields: dict[str, int] = {}
    for place, (name, number) in enumerate(zip(columns, numbers, strict=False)):
        pool = pools[min(place // width, len(pools) - 1)] if width else pools[0]
        if name in _TAG_COLUMNS:
            fields[f"{pool}_{_TAG_COLUMNS[name]}"] = number
    return fields


def read_memory_line(lines: Lines, gathered: Gathered) -> None:
    """Read a line that a command of the d family shows: a word of a raw stack, or a text.

    Kept are words that are symbols or the codes of exceptions, and all texts.
    """
    line = lines.line or ""
    if text := _TEXT.match(line):
        where = address(text[2] or text[1])
        gathered.add("texts", MemoryText(lines.number, where, text[3].removesuffix('"')))
    elif (word := _WORD.match(line)) and (word[3] or _TELLING_STATUS.match(word[2])):
        gathered.add("raw_words", RawWord(lines.number, address(word[1]), address(word[2]), word[3] or ""))
    lines.advance()
