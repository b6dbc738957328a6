"""Processes: the headers of `!process`. Source: Microsoft, "!process"."""

from __future__ import annotations

import re
from typing import Any

from collector.triage.duration import duration
from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.model import Process
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

_HEADER = re.compile(rf"\s*PROCESS ({HEX})")
_FORMS = {
    "process_id": re.compile(r"\bCid: ([0-9a-f]{1,8})\b"),
    "parent_id": re.compile(r"\bParentCid: ([0-9a-f]{1,8})\b"),
    "peb": re.compile(r"\bPeb: ([0-9a-f][0-9a-f`]{0,16})\b"),
}
_SESSION = re.compile(r"\bSessionId: (\d{1,9})\b")
_HANDLES = re.compile(r"\bHandleCount:\s+(\d{1,9})\b")
_IMAGE = re.compile(r"\bImage: (\S.*)")
_TIMES = {
    "ElapsedTime": "elapsed_seconds",
    "UserTime": "user_seconds",
    "KernelTime": "kernel_seconds",
}
_COMMIT = re.compile(r"CommitCharge\s+(\d{1,12})")
_PAGE_KB = 4


def read_process(lines: Lines, gathered: Gathered) -> None:
    """Read a PROCESS block up to its first thread."""
    line = lines.line or ""
    fields: dict[str, Any] = {"line": lines.number, "address": None}
    if header := _HEADER.match(line):
        fields["address"] = address(header[1])
    while True:
        _take(line, fields, gathered)
        following = lines.advance()
        if following is None or opening(following):
            break
        line = following
    gathered.image = fields.get("image", "")
    gathered.add_process(Process(**fields))


def _take(line: str, fields: dict[str, Any], gathered: Gathered) -> None:
    for name, form in _FORMS.items():
        if name not in fields and (found := form.search(line)):
            fields[name] = address(found[1])
    if found := _SESSION.search(line):
        fields["session"] = int(found[1])
    if found := _HANDLES.search(line):
        fields["handle_count"] = int(found[1])
    if found := _IMAGE.search(line):
        fields["image"] = gathered.shared(found[1])
    if found := _COMMIT.search(line):
        fields["commit_kb"] = int(found[1]) * _PAGE_KB
    word, _, rest = line.strip().partition(" ")
    if word in _TIMES:
        fields[_TIMES[word]] = duration(rest.strip())
