"""Times as the debugger and ESXi write them."""

from __future__ import annotations

import re
from functools import lru_cache

_DURATION = re.compile(r"\d{1,9}(?::\d{1,9}){0,3}(?:\.\d{1,9})?")
_UNITS = (1, 60, 3600, 86400)


@lru_cache(maxsize=4096)
def duration(text: str) -> float | None:
    """Read D:HH:MM:SS.mmm, HH:MM:SS.mmm or MM:SS as seconds; None when it is none."""
    if _DURATION.fullmatch(text) is None:
        return None
    parts = zip(reversed(text.split(":")), _UNITS, strict=False)
    return round(sum(float(part) * unit for part, unit in parts), 3)
