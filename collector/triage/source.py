"""Find the text of a debugger, and open it with errors that a person can act on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from collector.errors import DumpError
from collector.triage.model import DebuggerLog
from collector.triage.text import plain, read_lines

_NAMES = ("*.log", "*.txt")


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a log. Raises: DumpError when it is not a file, or cannot be read."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "is not there"
        raise DumpError(f"{path.name!r} {what}", hint="Name the log that the debugger's `.logopen` wrote.")
    try:
        yield from read_lines(path)
    except OSError as error:
        raise DumpError(
            f"cannot read {path.name!r}: {error.strerror}", hint="Check that this account may read the file."
        ) from error


def quote(path: Path, numbers: Collection[int]) -> dict[int, str]:
    """Return the text of these lines of a log, by their numbers. Raises: DumpError."""
    last = max(numbers, default=0)
    return {
        number: plain(line) for number, line in enumerate(islice(lines(path), last), 1) if number in numbers
    }


def logs_of_case(case: Path, but: Collection[Path] = ()) -> list[Path]:
    """Return the texts of a case that may be debugger logs, without those of `but`."""
    folder = case / "data"
    found = {path for name in _NAMES for path in folder.rglob(name) if path.is_file()}
    return sorted(found - set(but))


def is_debugger_log(log: DebuggerLog) -> bool:
    """Whether anything in the text was understood."""
    return replace(log, lines=0) != DebuggerLog()
