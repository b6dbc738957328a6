"""What every demo does: run the commands of the product before the reader's eyes."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from collector.case.folder import find
from collector.cli.app import run


class Stage:
    """A folder for the demo's case, and the settings file that its commands use."""

    def __init__(self, name: str) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # stay in step with the progress on stderr
        self.folder = Path(tempfile.mkdtemp(prefix=f"hang-collector-{name}-"))
        self.settings = self.folder / "hang-collector.yaml"

    def say(self, text: str) -> None:
        """Tell the reader what happens next."""
        print(f"\n{text}")

    def command(self, *arguments: str) -> int:
        """Run a command as the reader would type it; returns its exit code."""
        print(f"\n$ hang-collector {' '.join(arguments)}", flush=True)
        code = run((*arguments, "--config", str(self.settings)))
        if code:
            print(f"(exit code {code})")
        return code

    def show_cases(self) -> None:
        """Verify each case, and say where its report is."""
        for case in find(self.folder / "cases"):
            print(f"\n$ hang-collector case verify {case}", flush=True)
            run(("case", "verify", str(case)))
            print(f"\nThe report: {case / 'report.html'}")
