"""Times as the debugger and ESXi write them."""

from __future__ import annotations

import re
from functools import lru_cache

_DURATION = re.compile(r"\d{1,9}(?::\d{1,9}){0,3}(?:\.\d{1,9})?")
_DAY = 86400
_WITH_DAYS = 4  # D:HH:MM:SS


@lru_cache(maxsize=4096)
def duration(text: str) -> float | None:
    """Read D:HH:MM:SS.mmm, HH:MM:SS.mmm or MM:SS as seconds; None when it is none."""
    if _DURATION.fullmatch(text) is None:
        return None
    parts = text.split(":")
    days = int(parts.pop(0)) if len(parts) == _WITH_DAYS else 0
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + float(part)
    return round(days * _DAY + seconds, 3)
