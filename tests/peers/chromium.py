"""Headless Chromium: what a page looks like, and what it does when somebody clicks."""

from __future__ import annotations

import subprocess
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.peers.server import tool

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """A screenshot: its size in pixels, and how often each colour is in it."""

    width: int
    height: int
    colours: Counter[Colour]


def screenshot(page: Path, width: int = 1200, height: int = 1000) -> Picture:
    """Show the page in a window of this size."""
    picture = page.with_suffix(".png")
    _run(page, f"--window-size={width},{height}", "--hide-scrollbars", f"--screenshot={picture}")
    return _read(picture.read_bytes())


def document(page: Path) -> str:
    """The page's document after its scripts have run, as HTML."""
    return _run(page, "--virtual-time-budget=2000", "--dump-dom")


def _run(page: Path, *options: str) -> str:
    chromium = tool("chromium", "chromium-browser", "google-chrome", package="chromium")
    common = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run(
        [chromium, *common, profile, *options, page.as_uri()],
        capture_output=True, text=True, check=True, timeout=90,
    ).stdout  # fmt: skip


def _read(png: bytes) -> Picture:
    """Decode a PNG of eight bits a channel, RGB or RGBA, not interlaced (RFC 2083)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
    assert (png[24], png[28]) == (8, 0)
    channels = {2: 3, 6: 4}[png[25]]
    packed, at = b"", 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + size]
        at += size + 12
    rows, stride = zlib.decompress(packed), width * channels
    colours: Counter[Colour] = Counter()
    line = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        line = _unfiltered(rows[start], rows[start + 1 : start + 1 + stride], line, channels)
        colours.update(zip(line[0::channels], line[1::channels], line[2::channels], strict=True))
    return Picture(width, height, colours)


def _unfiltered(kind: int, data: bytes, above: bytearray, channels: int) -> bytearray:
    """RFC 2083 section 6: each byte is kept as its difference from its neighbours."""
    line = bytearray(data)
    if kind == 0:
        return line
    for n in range(len(line)):
        left = line[n - channels] if n >= channels else 0
        corner = above[n - channels] if n >= channels else 0
        up = above[n]
        guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
        line[n] = (line[n] + guess) & 0xFF
    return line


def _paeth(left: int, up: int, corner: int) -> int:
    return min((left, up, corner), key=lambda value: abs(left + up - corner - value))
