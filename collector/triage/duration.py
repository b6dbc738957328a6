"""Times as the debugger and ESXi write them."""

from __future__ import annotations

import re
from functools import lru_cache

_DURATION = re.compile(r"(?:(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,9}):)?(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)


@lru_cache(maxsize=4096)
def duration(text: str) -> float | None:
    """Read D:HH:MM:SS.mmm, HH:MM:SS.mmm or MM:SS as seconds; None when it is none."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = found.groups("0")
    return round(int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds), 3)
