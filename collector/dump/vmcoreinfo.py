"""VMCOREINFO: the `KEY=VALUE` text by which a kernel describes itself to dump tools.

Source: Linux Documentation/admin-guide/kdump/vmcoreinfo.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from collector.dump.report import printable, utc

LIMIT = 64 * 1024
"""Bytes of the text that are read. Kernels write at most one page (kernel/vmcore_info.c)."""

_LONGEST_VALUE = 256
_MOST_DIGITS = 12


def parse(text: bytes) -> dict[str, str]:
    """Return the text's pairs; lines that are none are left out, long values are cut."""
    pairs = (line.partition(b"=") for line in text[:LIMIT].split(b"\0", 1)[0].split(b"\n"))
    return {printable(key): printable(value[:_LONGEST_VALUE]) for key, equals, value in pairs if equals}


def release(info: Mapping[str, str]) -> str | None:
    """Return the kernel release."""
    return info.get("OSRELEASE") or None


def crash_time(info: Mapping[str, str]) -> datetime | None:
    """Return when the kernel panicked; a kernel that did not panic has no such line."""
    seconds = info.get("CRASHTIME", "")
    return utc(int(seconds)) if seconds.isdecimal() and len(seconds) <= _MOST_DIGITS else None


def details(info: Mapping[str, str]) -> dict[str, str | int]:
    """Return what else a person wants to read in a report."""
    names = {"BUILD-ID": "build_id", "PAGESIZE": "page_size"}
    return {name: info[key] for key, name in names.items() if key in info}
