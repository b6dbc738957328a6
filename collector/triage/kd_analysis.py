"""Bug checks: `!analyze -v`, `.bugcheck`. Source: Microsoft, "!analyze", ".bugcheck"."""

from __future__ import annotations

import re

from collector.triage.gather import Gathered
from collector.triage.kd_stack import StackBuilder, address
from collector.triage.model import Analysis
from collector.triage.openings import opening
from collector.triage.text import Lines

MOST_FIELDS = 200

_TITLE = re.compile(r"\s*([A-Z][A-Z0-9_]{5,}) \(([0-9a-f]{1,8})\)$")
_SHORT = re.compile(r"\s*BugCheck ([0-9A-Fa-f]{1,8}), \{([^}]*)\}")
_DOT = re.compile(r"\s*Bugcheck code ([0-9A-Fa-f]{1,8})", re.IGNORECASE)
_ARGUMENTS = re.compile(r"\s*Arguments ((?:[0-9a-fA-F][0-9a-fA-F`]{7,16}\s*){4})$")
_ARGUMENT = re.compile(r"\s*Arg([1-4]): ([0-9a-fA-F][0-9a-fA-F`]{0,16})")
_FIELD = re.compile(r"([A-Z][A-Z0-9_]{3,}):\s*(.*)")


class _Reader:
    """Gathers one analysis."""

    def __init__(self, line: int, gathered: Gathered) -> None:
        self.line = line
        self.code: int | None = None
        self.name = ""
        self.args: tuple[int, ...] = ()
        self.fields: dict[str, str] = {}
        self.field_lines: dict[str, int] = {}
        self.stack = StackBuilder(gathered.frames)
        self._in_stack = False

    def take(self, line: str, number: int) -> bool:
        """Take a line; False when it says nothing about a bug check."""
        if self._in_stack and self.stack.take(line, number):
            return True
        if title := _TITLE.match(line):
            self.name, self.code = title[1], int(title[2], 16)
        elif short := _SHORT.match(line):
            self.code = int(short[1], 16)
            self.args = _numbers(short[2].replace(",", " "))
        elif dot := _DOT.match(line):
            self.code = int(dot[1], 16)
        elif arguments := _ARGUMENTS.match(line):
            self.args = _numbers(arguments[1])
        elif argument := _ARGUMENT.match(line):
            first = () if argument[1] == "1" else self.args
            self.args = (*first, address(argument[2]))[:4]
        else:
            return self._take_field(line, number)
        return True

    def _take_field(self, line: str, number: int) -> bool:
        field = _FIELD.match(line)
        if field is None:
            return False
        self._in_stack = field[1] == "STACK_TEXT"
        if len(self.fields) < MOST_FIELDS:
            self.fields.setdefault(field[1], field[2].strip())
            self.field_lines.setdefault(field[1], number)
        return True


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(
        address(word) for word in text.split()[:4] if re.fullmatch(r"[0-9a-fA-F][0-9a-fA-F`]{0,16}", word)
    )


def read_analysis(lines: Lines, gathered: Gathered) -> None:
    """Read `!analyze -v`; what a second analysis of the log says is added, never put over the first."""
    reader = _Reader(lines.number, gathered)
    line = lines.line
    while line is not None:
        reader.take(line, lines.number)
        line = lines.advance()
        if line is not None and (following := opening(line)) and following["analysis"] is None:
            break
    earlier = gathered.analysis or Analysis(reader.line)
    gathered.analysis = Analysis(
        line=earlier.line,
        code=earlier.code if earlier.code is not None else reader.code,
        name=earlier.name or reader.name,
        args=earlier.args or reader.args,
        fields={**reader.fields, **earlier.fields},
        field_lines={**reader.field_lines, **earlier.field_lines},
        stack=earlier.stack or reader.stack.build(),
    )
