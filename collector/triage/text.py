"""The lines of a log, made plain: web typography undone, control characters gone, length bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

LONGEST_LINE = 2000
"""Characters kept of a line; the longest that a debugger writes are C++ template names."""

_CHUNK = 1 << 20  # characters
_BATCH = 1024  # lines
_AHEAD = 64
_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}  # `.logopen /u` writes UTF-16

_CONTROLS = bytes((*range(32), 127))
_PLAIN = str.maketrans(
    {
        **dict.fromkeys(map(chr, range(32))),
        **dict.fromkeys("\x7f\u200b\u200c\u200d\u2060\ufeff\u00ad"),
        **dict.fromkeys(map(chr, range(0x80, 0xA0))),
        **dict.fromkeys(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))),  # text direction
        **dict.fromkeys("\t\u00a0\u2002\u2003\u2007\u2009\u202f", " "),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u2033\u00ab\u00bb", '"'),
        "\u00d7": "x",
        "\u2026": "...",
    }
)


class Lines:
    """A cursor over the lines of a log. `line` is the current one, None after the last.

    Readers begin at the current line and leave the cursor on the first line that is not theirs.
    """

    __slots__ = ("_batch", "_next", "_source", "line", "number")

    def __init__(self, source: Iterable[str]) -> None:
        self._source = iter(source)
        self._batch: list[str] = []
        self._next = 0  # the place of the line after the current one
        self.number = 0
        self.line: str | None = ""
        self.advance()

    def advance(self) -> str | None:
        """Go to the next line and return it."""
        if self._next >= len(self._batch) and not self._refill():
            self.line = None
            return None
        self.line = line = self._batch[self._next]
        self._next += 1
        self.number += 1
        return line

    def ahead(self) -> list[str]:
        """Return the current line and some that follow it; empty after the last."""
        if self.line is None:
            return []
        return self._batch[self._next - 1 : self._next + _AHEAD]

    def skip(self, count: int) -> None:
        """Go `count` lines on, at most as many as `ahead` returned."""
        if count:
            self._next += count - 1
            self.number += count - 1
            self.advance()

    def to_blank(self) -> None:
        """Go to the next empty line, or behind the last line; faster than to look at each."""
        while ahead := self.ahead():
            if "" in ahead:
                self.skip(ahead.index(""))
                return
            self.skip(len(ahead))

    def _refill(self) -> bool:
        self._batch = batch = list(map(str.rstrip, islice(self._source, _BATCH)))
        self._next = 0
        if not _is_plain("".join(batch)) or max(map(len, batch), default=0) > LONGEST_LINE:
            self._batch = [plain(line) for line in batch]
        return bool(batch)


def _is_plain(text: str) -> bool:
    """Tell text without a control character; on a gigabyte, seconds faster than `str.isprintable`."""
    return text.isascii() and len(text.encode().translate(None, _CONTROLS)) == len(text)


def plain(line: str) -> str:
    """Return the line as the debugger wrote it: plain characters only, cut where it is too long."""
    return line[:LONGEST_LINE].translate(_PLAIN).rstrip()


def read_lines(path: Path) -> Iterator[str]:
    """Return the lines of a file of any size, UTF-8 or UTF-16; bytes that are neither become U+FFFD.

    About a mebibyte is held at once, whatever the file is: a line without an end is cut.

    Raises:
        OSError: the file cannot be read.
    """
    return chain.from_iterable(_chunks(path))


def _chunks(path: Path) -> Iterator[list[str]]:
    with path.open("rb") as file:
        encoding = _BOMS.get(file.read(2), "utf-8")
    with path.open(encoding=encoding, errors="replace", newline="") as text:
        rest = ""
        while chunk := text.read(_CHUNK):
            lines = (rest + chunk).split("\n")
            rest = lines.pop()[:LONGEST_LINE]
            yield lines
        if rest:
            yield [rest]
