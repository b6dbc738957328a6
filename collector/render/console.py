"""The one rich console for results (stdout) and the one for messages (stderr)."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from collector.render.text import printable

_GOOD, _FAIR, _BAD = "green", "yellow", "red"

_STYLES = {
    "ok": _GOOD,
    "success": _GOOD,
    "responsive": _GOOD,
    "proved": _GOOD,
    "empty": _GOOD,
    "warning": _FAIR,
    "unknown": _FAIR,
    "degraded": _FAIR,
    "skipped": _FAIR,
    "untried": _FAIR,
    "uncertain": _BAD,
    "critical": _BAD,
    "failed": _BAD,
    "denied": _BAD,
    "timeout": _BAD,
    "unreachable": _BAD,
    "missing": _BAD,
    "hung-software": _BAD,
    "hung-kernel-or-network": _BAD,
    "already-crashed": _BAD,
    "powered-off": _BAD,
}


def out() -> Console:
    """Where results go."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Where messages and progress go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: object) -> Text:
    """Text that may come from a remote side: escaped, and never read as markup."""
    return Text(printable(str(text)))


def word(text: object) -> Text:
    """One of the house's words, in the colour of what it means; the word itself says it without colour."""
    return Text(str(text), style=_STYLES.get(str(text), ""))
