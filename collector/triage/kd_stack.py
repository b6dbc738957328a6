"""Stacks: every form in which `k`, `kb`, `kv`, `kn`, `kc`, `!thread` and `!stacks` print a frame.

Source: Microsoft, "k, kb, kc, kd, kp, kP, kv (Display Stack Backtrace)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

from collector.triage.model import Frame, Stack
from collector.triage.openings import HEX
from collector.triage.text import Lines

MOST_FRAMES = 128
"""Frames kept of a stack. A stack overflow is thousands of the same ones."""

MOST_KNOWN_FRAMES = 100_000
"""Different functions kept of a log; those of a whole system are some 20,000."""

LONGEST_SYMBOL = 500
"""Characters kept of a symbol: C++ templates have long names."""

_NUMBERED = r"\s*(?:[0-9a-f]{2,3}\s+)?"
_PLACE = rf"(?:{HEX}\s+{HEX}|\(Inline(?: Function)?\)\s+-{{8}}`?(?:-{{8}})?)"
_SYMBOL = r"[^\s!+:(\[]+(?:![^+\[]+?)?(?:\+0x[0-9a-fA-F]+)?"
_ENDING = r"(?:\s+[(\[].*)?$"  # (TrapFrame @ ..), (FPO: ..), [file.c @ 7]
_FRAME = re.compile(
    rf"{_NUMBERED}{_PLACE}\s+(?::\s+)?(?P<args>(?:(?:{HEX}|[?`-]{{8,17}})\s+){{1,4}})?(?::\s*)?"
    rf"(?P<symbol>{_SYMBOL}){_ENDING}"
)
_BARE_FRAME = re.compile(
    rf"{_NUMBERED}(?:(?:{HEX}|\(Inline\))\s+)?(?P<symbol>[^\s!+:(\[]+(?:![^+\[]+?(?:\+0x[0-9a-fA-F]+)?|\+0x[0-9a-fA-F]+))"
    rf"{_ENDING}"
)
_PARTS = re.compile(r"(?:(?P<module>[^!+]+)!)?(?P<function>[^+]*?)(?:\+0x(?P<offset>[0-9a-fA-F]{1,16}))?$")
_RAW_ADDRESS = re.compile(r"0x([0-9a-fA-F]{1,16})$")
_TELLING_ARGS = re.compile(r"Wait|Acquire|Enter|Lock|Mutex|MessageBox|BugCheck|HardError|Delay")
_PLAIN_COLUMNS = 3
_DOUBTFUL = "Following frames may be wrong"
_NO_ARGS: MappingProxyType[int, tuple[int, ...]] = MappingProxyType({})


def address(text: str) -> int:
    """Read an address as the debugger prints it, with or without 0x and a backtick."""
    return int(text.replace("`", ""), 16)


class Frames:
    """Makes frames, each function once: the stacks of a log share them."""

    __slots__ = ("_by_text", "dropped", "known")

    def __init__(self) -> None:
        self._by_text: dict[str, Frame] = {}
        self.known = self._by_text.get  # the frame that was made of this very text before, or None
        self.dropped = 0

    def make(self, symbol: str) -> Frame | None:
        """Return the frame of "module!function+0x1"; None when the log has too many different ones."""
        symbol = symbol[:LONGEST_SYMBOL]
        frame = self._by_text.get(symbol)
        if frame is None:
            if len(self._by_text) >= MOST_KNOWN_FRAMES:
                self.dropped += 1
                return None
            frame = self._by_text[symbol] = frame_of(symbol)
        return frame


def frame_of(symbol: str) -> Frame:
    """Take a symbol apart: "nt!KeWait+0x1", "DriverA+0x21ee", "0x6dfcf8c2"."""
    if raw := _RAW_ADDRESS.match(symbol):
        return Frame("", "", int(raw[1], 16))
    parts = _PARTS.match(symbol)
    if parts is None:
        return Frame(symbol)
    offset = int(parts["offset"] or "0", 16)
    if parts["module"] is None:
        return Frame(parts["function"], "", offset)
    return Frame(parts["module"], parts["function"], offset)


def _symbol_column(line: str) -> int:
    """Return where the symbol of the plainest form stands: stack pointer, return address, symbol."""
    columns = line.split(None, 2)
    return len(line) - len(columns[2]) if len(columns) == _PLAIN_COLUMNS else len(line)


class StackBuilder:
    """Gathers the frames of one stack, a line at a time."""

    __slots__ = ("_args", "_doubtful_from", "_frames", "_known", "_lines")

    def __init__(self, known: Frames) -> None:
        self._known = known
        self._frames: list[Frame] = []
        self._lines: list[int] = []
        self._args: dict[int, tuple[int, ...]] = {}
        self._doubtful_from: int | None = None

    def take_all(self, lines: Lines) -> str | None:
        """Add the frames from the current line on; return the first line that is none.

        Nearly all lines of a log come through here: so it does little with a function seen before.
        """
        known, frames, numbers = self._known.known, self._frames, self._lines
        column = 0  # where the symbol stands
        while ahead := lines.ahead():
            first, before = lines.number, len(frames)
            line = ""
            for line in ahead:
                frame = known(line[column:])
                if frame is None:
                    break
                frames.append(frame)
            count = len(frames) - before
            numbers.extend(range(first, first + count))
            del frames[MOST_FRAMES:], numbers[MOST_FRAMES:]
            lines.skip(count)
            if count == len(ahead):
                continue
            earlier, column = column, _symbol_column(line)
            if column != earlier and known(line[column:]):
                continue
            if not self.take(line, lines.number):
                return line
            lines.advance()
        return None

    def take(self, line: str, number: int) -> bool:
        """Add the frame of this line; False when it is none."""
        match = _FRAME.match(line)
        if match is None:
            return self._take_warning(line)
        self._take_match(match, number)
        return True

    def take_bare(self, line: str, number: int) -> bool:
        """Add the frame of a line that shows the symbol alone (`kc`, `!stacks`)."""
        match = _BARE_FRAME.match(line)
        if match is None:
            return self._take_warning(line)
        frame = self._known.make(match["symbol"])
        if frame is not None:
            self._add(frame, number)
        return True

    def _take_match(self, match: re.Match[str], number: int) -> None:
        frame = self._known.make(match["symbol"])
        if frame is None:
            return
        if match["args"] and len(self._frames) < MOST_FRAMES and _TELLING_ARGS.search(frame.function):
            words = (word for word in match["args"].split() if word[0] not in "?-`")
            self._args[len(self._frames)] = tuple(map(address, words))
        self._add(frame, number)

    def _take_warning(self, line: str) -> bool:
        if _DOUBTFUL not in line:
            return False
        if self._doubtful_from is None:
            self._doubtful_from = len(self._frames)
        return True

    def _add(self, frame: Frame, number: int) -> None:
        if len(self._frames) < MOST_FRAMES:
            self._frames.append(frame)
            self._lines.append(number)

    def build(self) -> Stack | None:
        """Return the stack; None when no frame was seen."""
        if not self._frames:
            return None
        return Stack(tuple(self._frames), _compact(self._lines), self._args or _NO_ARGS, self._doubtful_from)


def _compact(lines: list[int]) -> Sequence[int]:
    """Return a range where the lines follow one another, as they mostly do: it takes less memory."""
    if lines[-1] - lines[0] == len(lines) - 1:
        return range(lines[0], lines[-1] + 1)
    return tuple(lines)


def is_stack_header(line: str) -> bool:
    """Tell the line of column names over a stack."""
    return "RetAddr" in line or line.endswith("Call Site")


def read_stack(lines: Lines, known: Frames) -> Stack | None:
    """Read a stack whose column names, or whose first frame, is the current line."""
    builder = StackBuilder(known)
    bare = False
    while lines.line is not None:
        line = lines.line
        if is_stack_header(line):
            bare = "RetAddr" not in line
        elif not (
            builder.take_bare(line, lines.number) if bare else builder.take(line, lines.number)
        ) and not (is_filler(line)):
            break
        lines.advance()
    return builder.build()


def is_filler(line: str) -> bool:
    """Tell what may stand between frames: nothing, a cut ("[...]", "<snip>"), a remark of the debugger."""
    return not line or line.startswith(("[...]", "<snip>", "***", "...", "Unable to load image"))
