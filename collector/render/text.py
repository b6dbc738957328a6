"""Text from anywhere, made harmless for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape everything that could act on a terminal: control characters, and marks that reorder text."""
    return "".join(
        ch if ch.isprintable() or ch == "\n" else ch.encode("unicode_escape").decode() for ch in text
    )
