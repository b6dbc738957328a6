"""How figures, times and other people's text are written in a report."""

from __future__ import annotations

import math

MAX_SHOWN = 600
"""Characters of one value that a report shows; the journal has all of it."""

_HOUR, _MINUTE, _SHORT = 3600, 60, 0.1  # seconds
_KIB, _UNITS = 1024, ("KiB", "MiB", "GiB", "TiB")


def shown(value: object) -> str:
    """One line of text that does nothing: control, bidirectional and other invisible characters escaped."""
    text = "" if value is None else str(value)
    cut = f"… ({len(text) - MAX_SHOWN} more)" if len(text) > MAX_SHOWN else ""
    visible = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:MAX_SHOWN])
    return "".join(visible) + cut


def pairs(value: object) -> str:
    """A mapping as `key value, key value`, without what is empty; a list with commas; else as it is."""
    if isinstance(value, dict):
        return shown(", ".join(f"{key} {item}" for key, item in value.items() if item not in (None, "")))
    if isinstance(value, list):
        return shown(", ".join(str(item) for item in value))
    return shown(value)


def size(count: float) -> str:
    """Bytes as people say them: `512 bytes`, `25.2 MiB`."""
    if count < _KIB:
        return f"{count:.0f} bytes"
    power = min(len(_UNITS), int(math.log(count, _KIB)))
    return f"{count / _KIB**power:.1f} {_UNITS[power - 1]}"


def span(seconds: float) -> str:
    """A length of time: `0.4 ms`, `3.5 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < _SHORT:
        return f"{seconds * 1000:.3g} ms"
    if seconds < _MINUTE:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, _MINUTE)
    if whole < _HOUR:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes:02d} min"


def offset(seconds: float) -> str:
    """A point in time before or after another: `-02:10`, `+00:37`, `+1:02:03`."""
    whole = round(seconds)
    sign = "-" if whole < 0 else "+"
    minutes, rest = divmod(abs(whole), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{sign}{hours}:{minutes:02d}:{rest:02d}" if hours else f"{sign}{minutes:02d}:{rest:02d}"


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a table too: nothing in it is a link, a tag or an emphasis."""
    escaped = "".join(f"\\{c}" if c in "\\`*_[]<>|~&$#!" else c for c in text)
    return escaped.replace("://", "\\://")


def code(text: str) -> str:
    """Text as a Markdown code span that nothing in it can end, in a table too."""
    if not text:
        return ""
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.strip(" ") and (text[0] in " `" or text[-1] in " `") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")
