"""Run the command line in this process, and kill it with SIGKILL at one exact moment.

    python -m tests.scenarios.killed_cli MOMENT ARGUMENT...

MOMENT is `before:EVENT` or `after:EVENT` for a journal entry, or `copied:BYTES` for a part file.
The moments are found by wrapping the journal and the part file, so that the product needs no hook.
"""

from __future__ import annotations

import os
import signal
import sys

from collector.case.journal import Entry, Journal
from collector.case.partfile import PartFile


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str) -> None:
    """Make the process die at `moment`."""
    when, what = moment.split(":", 1)
    append, write = Journal.append, PartFile.write
    copied = 0

    def dying_append(self: Journal, event: str, /, **data: object) -> Entry:
        if (when, what) == ("before", event):
            die()
        entry = append(self, event, **data)
        if (when, what) == ("after", event):
            die()
        return entry

    def dying_write(self: PartFile, chunk: bytes) -> None:
        nonlocal copied
        write(self, chunk)
        copied += len(chunk)
        if when == "copied" and copied >= int(what):
            die()

    Journal.append = dying_append  # type: ignore[method-assign]
    PartFile.write = dying_write  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1])
    from collector.cli.app import run

    sys.exit(run(sys.argv[2:]))
