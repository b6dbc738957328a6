"""The facts of a Windows host as numbers and records. What makes no sense is left out, not guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum

from collector.checks.rule import is_absent, lines
from collector.model.fact import Facts, number, value

_MIB = 1024**2
_FIXED = 3  # Win32_Volume.DriveType
_HYPERV_HOST, _CLUSTER = "vmms", "clussvc"
_DIGITS_MAX = 20
_YEAR_3000 = 32503680000  # seconds since the epoch

WINDOWS_7, WINDOWS_8, WINDOWS_10 = (6, 1), (6, 2), (10, 0)
"""Versions of the kernel; the server editions of the same number are 2008 R2, 2012, and 2016 and later."""


class Recorded(IntEnum):
    """Values of CrashDumpEnabled."""

    NONE = 0
    COMPLETE = 1
    KERNEL = 2
    SMALL = 3
    AUTOMATIC = 7


class DumpType(StrEnum):
    """What Windows would write."""

    NONE = "none"
    COMPLETE = "complete"
    ACTIVE = "active"
    KERNEL = "kernel"
    SMALL = "small"
    AUTOMATIC = "automatic"

    @property
    def kernel_only(self) -> bool:
        """True for the two that hold the kernel's memory and no more."""
        return self in (DumpType.KERNEL, DumpType.AUTOMATIC)


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted volume; `path` ends with a backslash, bytes are None where Windows did not tell."""

    path: str
    fixed: bool
    free: int | None
    boot: bool


@dataclass(frozen=True, slots=True)
class PageFile:
    """A page file in use, and the bytes that it has on the disk."""

    path: str
    bytes: int
    temporary: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A record of the System log: seconds since the epoch, UTC, and its first values."""

    id: int
    time: int
    values: tuple[str, ...]


def version(facts: Facts) -> tuple[int, int] | None:
    """Major and minor version of the kernel."""
    parts = (value(facts, "os_version") or "").split(".")
    numbers = [whole(part) for part in parts[:2]]
    if len(numbers) < 2 or None in numbers:  # noqa: PLR2004 - major and minor
        return None
    return numbers[0] or 0, numbers[1] or 0


def dump_type(facts: Facts) -> DumpType | None:
    """What is configured; None when it was not read, or the value is of no documented meaning.

    An active dump is a complete one with FilterPages set, which only Windows 10 and 2016 and later look at.
    """
    known = version(facts)
    match number(facts, "crash_dump_enabled"):
        case Recorded.NONE:
            return DumpType.NONE
        case Recorded.COMPLETE:
            filtered = number(facts, "filter_pages") == 1 and (known is None or known >= WINDOWS_10)
            return DumpType.ACTIVE if filtered else DumpType.COMPLETE
        case Recorded.KERNEL:
            return DumpType.KERNEL
        case Recorded.SMALL:
            return DumpType.SMALL
        case Recorded.AUTOMATIC:
            return DumpType.AUTOMATIC
        case _:
            return None


def unread(facts: Facts, *names: str) -> list[str]:
    """Those of these facts that have no value, and of which it was not proved that there is none."""
    return [name for name in names if value(facts, name) is None and not is_absent(facts, name)]


def volumes(facts: Facts) -> list[Volume]:
    """The volumes that have a path."""
    return [
        Volume(row["path"], whole(row.get("kind")) == _FIXED, whole(row.get("free")), row.get("boot") == "1")
        for row in rows(facts, "volumes")
        if row.get("path")
    ]


def volume_of(path: str, facts: Facts) -> Volume | None:
    """The volume that a path lies on: the one mounted nearest to it."""
    folded = path.casefold()
    found = [one for one in volumes(facts) if folded.startswith(one.path.casefold().rstrip("\\") + "\\")]
    return max(found, key=lambda one: len(one.path), default=None)


def page_files(facts: Facts) -> list[PageFile]:
    """The page files in use."""
    return [
        PageFile(row["path"], (whole(row.get("allocated_mb")) or 0) * _MIB, row.get("temporary") == "1")
        for row in rows(facts, "page_files")
        if row.get("path")
    ]


def drive(facts: Facts) -> str | None:
    """The drive of the boot volume, such as `c:`; the one that Windows itself is on."""
    text = (value(facts, "system_drive") or "").casefold()
    return text if len(text) == 2 and text[1] == ":" else None  # noqa: PLR2004 - a letter and a colon


def on_drive(path: str, letter: str) -> bool:
    """True when a path of Windows or of the NT kernel (`\\??\\C:\\pagefile.sys`) is on this drive."""
    return path.casefold().removeprefix("\\??\\").startswith(letter)


def events(facts: Facts, name: str) -> list[Event]:
    """Records of the System log, newest first."""
    found = []
    for row in rows(facts, name):
        event, time = whole(row.get("id")), whole(row.get("time"))
        if event is not None and time is not None:
            found.append(Event(event, time, tuple(row.get("values", "").splitlines())))
    return sorted(found, key=lambda one: one.time, reverse=True)


def dump_file(facts: Facts, path: str) -> Mapping[str, str] | None:
    """The row of a dump file that exists, by its path; None when there is none."""
    folded = path.casefold()
    return next((row for row in rows(facts, "dump_files") if row.get("path", "").casefold() == folded), None)


def services(facts: Facts) -> set[str]:
    """Those services of interest that run, in lower case."""
    return {name.casefold() for name in lines(facts, "services")}


def is_hyperv_host(facts: Facts) -> bool:
    """True when the Hyper-V service runs."""
    return _HYPERV_HOST in services(facts)


def is_cluster_node(facts: Facts) -> bool:
    """True when the cluster service runs."""
    return _CLUSTER in services(facts)


def whole(text: str | None) -> int | None:
    """A number of decimal digits; None for anything else."""
    if not text or not text.isascii() or not text.isdecimal() or len(text) > _DIGITS_MAX:
        return None
    return int(text)


def day(seconds: int) -> str:
    """When that was, for people."""
    if seconds > _YEAR_3000:
        return "in no year that makes sense"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def rows(facts: Facts, name: str) -> list[dict[str, str]]:
    """The rows of a fact, with the columns that are text."""
    found = []
    for line in lines(facts, name):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            # A record that another hand has touched; the rows beside it still count.
            continue
        if isinstance(row, dict):
            found.append({key: text for key, text in row.items() if isinstance(text, str)})
    return found
