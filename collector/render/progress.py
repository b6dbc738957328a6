"""What a run tells while it runs: a live line on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from collector.case.wording import size, span
from collector.render.console import err, plain
from collector.run.incident import Progress

_EVERY = 30.0
"""Seconds between two status lines where there is no terminal: a log should not drown in them."""


def progress() -> Progress:
    """The right one for where stderr goes."""
    return LiveProgress(err()) if sys.stderr.isatty() else LineProgress(err())


class LineProgress:
    """One line for what should be kept; a status at most every half minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def stage(self, name: str) -> None:
        """A heading."""
        self._console.print(Text(f"== {name}"))

    def note(self, text: str) -> None:
        """A line."""
        self._console.print(plain(f"   {text}"))

    def status(self, text: str) -> None:
        """A line now and then."""
        if time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self.note(text)

    def copied(self, name: str, done: int, total: int) -> None:
        """A line now and then."""
        self.status(f"{name}: {size(done)} of {size(total)}")

    def pause(self) -> None:
        """Nothing is on the screen that would be in the way."""


class LiveProgress:
    """Kept lines scroll; the last line shows the stage, its time, and what is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._stage, self._since, self._text = "", time.monotonic(), ""
        self._copy_started: tuple[str, float, int] = ("", 0.0, 0)

    def stage(self, name: str) -> None:
        """Begin a new live line."""
        self.pause()
        self._stage, self._since, self._text = name, time.monotonic(), ""
        self._console.print(Text(name, style="bold"))
        self._live = Live(
            get_renderable=self._line, console=self._console, refresh_per_second=4, transient=True
        )
        self._live.start()

    def note(self, text: str) -> None:
        """Keep a line above the live one."""
        self._console.print(Text("  "), plain(text), sep="")

    def status(self, text: str) -> None:
        """Replace the live line."""
        self._text = text

    def copied(self, name: str, done: int, total: int) -> None:
        """A bar with rate and remaining time, from the bytes of this copy."""
        if self._copy_started[0] != name:
            self._copy_started = (name, time.monotonic(), done)
        _, since, first = self._copy_started
        rate = (done - first) / max(0.001, time.monotonic() - since)
        left = span((total - done) / rate) if rate > 0 else "?"
        share = done / total if total else 1.0
        bar = "█" * round(share * 24) + "░" * (24 - round(share * 24))
        self._text = f"{bar} {size(done)} of {size(total)}, {size(int(rate))}/s, {left} left  {name}"

    def pause(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self) -> Text:
        taken = span(time.monotonic() - self._since)
        line = Text.assemble(("  ", ""), (taken, "cyan"), ("  ", ""), plain(self._text))
        line.truncate(max(20, self._console.width - 1), overflow="ellipsis")
        return line
