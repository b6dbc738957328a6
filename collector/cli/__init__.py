"""The command line: one file a command, thin: parse, call, render."""

from __future__ import annotations

import sys

from collector import __version__


def main() -> None:
    """Entry point of the `hang-collector` script."""
    if sys.argv[1:] == ["--version"]:
        # Answered before anything is imported: monitoring and packaging ask this all day.
        print(f"hang-collector {__version__}")
        return
    from collector.cli.app import run

    sys.exit(run(sys.argv[1:]))
