"""What Windows wrote down of a crash: the bug check, whether its dump was written, and if not, why not.

All of it is written once Windows has started again: by volmgr what became of the dump, by the error reporting
which bug check it was, and by Kernel-Power that nobody had asked for the restart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from collector.checks.windows_read import Event, events, whole
from collector.model.fact import Facts

# Events of the provider volmgr, ntiologc.h of the Windows SDK; the ones of the first row are written at boot.
AT_BOOT = {
    44: "the dump file could not be mapped",
    45: "the dump driver could not be loaded",
    46: "the crash dump could not be initialized",
    48: "the dump could not be set up to be written directly",
    49: "the page file could not be set up for a dump",
    156: "the dump's device is gone",
    164: "the dedicated dump file could not be set up",
}
DUMP_WRITTEN = 162
DUMP_FAILED = {161: "a dump could not be written", 163: "a driver failed while a dump was written"}

VOLMGR, ERROR_REPORTING, KERNEL_POWER = "volmgr", "BugCheck", "Kernel-Power"
"""Who writes, in the words of the Event Viewer: the error reporting signs as BugCheck."""

_FACTS = {"dump_events": VOLMGR, "bug_checks": ERROR_REPORTING, "restarts": KERNEL_POWER}
_CODE = re.compile(r"0x[0-9A-Fa-f]{1,16}")
_KEPT_BACK = {47: "a valid dump was found in the page file when it started"}
_WEIGHT = (DUMP_FAILED, _KEPT_BACK, AT_BOOT)  # what explains a missing dump, the surest first


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `time` is by the host's clock, seconds since the epoch; `code` the bug check that it names.

    `explains` is True when it says why there is no dump.
    """

    provider: str
    id: int
    time: int
    means: str
    code: int | None = None
    explains: bool = False


def records(facts: Facts, oldest: float) -> list[Record]:
    """What was written since `oldest`, which is by the host's clock; the oldest first."""
    found = [
        _record(provider, event)
        for name, provider in _FACTS.items()
        for event in events(facts, name)
        if event.time >= oldest
    ]
    return sorted(found, key=lambda record: record.time)


def why_none(found: list[Record]) -> Record | None:
    """The record that tells best why there is no dump: it failed, could not have been, or nothing crashed."""
    crashed = any(record.code for record in found)
    explaining = [one for one in found if one.explains and not (crashed and one.provider == KERNEL_POWER)]
    return min(explaining, key=_rank, default=None)


def bug_check(event: Event) -> int | None:
    """The number of a bug check, which is the first value of both kinds of records; None for none.

    The error reporting writes it in hex, and its four parameters in brackets behind; Kernel-Power in decimal.
    """
    first = (event.values[0].split() or [""])[0] if event.values else ""
    code = int(first, 16) if _CODE.fullmatch(first) else whole(first)
    return code or None


def _record(provider: str, event: Event) -> Record:
    code = bug_check(event)
    if provider == ERROR_REPORTING:
        return Record(provider, event.id, event.time, f"it stopped with {_named(code)}", code)
    if provider == KERNEL_POWER and code is None:
        means = "it restarted without a bug check, as after a reset or a loss of power"
        return Record(provider, event.id, event.time, means, explains=True)
    if provider == KERNEL_POWER:
        return Record(provider, event.id, event.time, f"it restarted after {_named(code)}", code)
    if event.id == DUMP_WRITTEN:
        return Record(provider, event.id, event.time, "the dump was written")
    means = next((meanings[event.id] for meanings in _WEIGHT if event.id in meanings), "of no known meaning")
    progress = next((value for value in event.values if _CODE.fullmatch(value)), "")
    if progress and event.id in DUMP_FAILED:
        means += f", BugCheckProgress {progress}"
    return Record(provider, event.id, event.time, means, explains=any(event.id in each for each in _WEIGHT))


def _named(code: int | None) -> str:
    return f"bug check 0x{code:X}" if code else "a bug check"


def _rank(record: Record) -> int:
    order = (meanings if record.provider == VOLMGR else () for meanings in _WEIGHT)
    return next((place for place, meanings in enumerate(order) if record.id in meanings), len(_WEIGHT))
