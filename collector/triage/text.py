"""The lines of a log, made plain: web typography undone, control characters gone, length bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

LONGEST_LINE = 2000
"""Characters kept of a line; the longest that a debugger writes are C++ template names."""

_CHUNK = 1 << 20  # characters
_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}  # `.logopen /u` writes UTF-16

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

    __slots__ = ("_source", "line", "number")

    def __init__(self, source: Iterable[str]) -> None:
        self._source = iter(source)
        self.number = 0
        self.line: str | None = ""
        self.advance()

    def advance(self) -> str | None:
        """Go to the next line and return it."""
        line = next(self._source, None)
        if line is not None:
            self.number += 1
            line = plain(line)
        self.line = line
        return line


def plain(line: str) -> str:
    """Return the line as the debugger wrote it, without its end."""
    line = line.rstrip()
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE]
    if line.isascii() and line.isprintable():
        return line
    return line.translate(_PLAIN).rstrip()


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file of any size, UTF-8 or UTF-16; bytes that are neither become U+FFFD.

    About a mebibyte is held at once, whatever the file is: a line without an end is cut.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        encoding = _BOMS.get(file.read(2), "utf-8")
    with path.open(encoding=encoding, errors="replace", newline="") as text:
        rest = ""
        while chunk := text.read(_CHUNK):
            lines = (rest + chunk).split("\n")
            rest = lines.pop()[:LONGEST_LINE]
            yield from lines
        if rest:
            yield rest
