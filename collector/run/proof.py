"""What our own cases prove of a host: did its last NMI end in a whole dump, and how long did that take?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from collector.case import claims
from collector.case.folder import CaseFolder
from collector.case.journal import Entry
from collector.errors import CaseError
from collector.model.fact import Fact, Facts
from collector.model.host import Host
from collector.run import history
from collector.run.incident import identities

NAMES = (
    "proof_whole",
    "proof_drill",
    "proof_reason",
    "proof_path",
    "proof_bytes",
    "proof_seconds",
    "proof_release",
    "proof_cmdline",
    "proof_crash_size",
)
"""The facts of the last NMI: yes or no; yes or no; text; path on the host; bytes; seconds from the NMI to the
whole dump; and what the host was then."""

_SLACK = 5.0
"""Seconds by which a dump may look written after it was found: two clocks."""


def last_nmi(cases: Path, host: Host) -> Facts:
    """The facts of the newest case under `cases` that shows what an NMI to this host came to.

    Their source is the case, their time that of the NMI. Without such a case they are missing, "none".
    A case that is damaged, or whose outcome nobody saw, proves nothing: older ones are asked.
    """
    for path in claims.cases_of(cases, identities(host)):
        try:
            entries = CaseFolder.open(path).journal.entries()
        except CaseError:
            continue
        since, values = history.crash_expected_since(entries), _of_case(entries)
        if since is not None and values:
            return {name: _fact(name, values.get(name), f"case {path.name}", since) for name in NAMES}
    return {name: _fact(name, None, "", datetime.now(UTC)) for name in NAMES}


def _fact(name: str, text: object, source: str, time: datetime) -> Fact:
    missing = "the case does not tell" if source else "none"
    return (
        Fact(name, None, source, time, missing) if text in (None, "") else Fact(name, str(text), source, time)
    )


def _of_case(entries: Sequence[Entry]) -> Mapping[str, object]:
    """The proof's values; empty when nobody saw what the NMI came to."""
    awaited, checked = history.found(entries), history.last(entries, "dump.checked")
    none = history.last(entries, "dump.none")
    opened, told = history.last(entries, "case.opened"), history.last(entries, "facts")
    host = told.data["values"] if told and isinstance(told.data["values"], Mapping) else {}
    values: dict[str, object] = {
        "proof_drill": "yes" if opened and opened.data.get("drill") is True else "no",
        "proof_release": host.get("release"),
        "proof_cmdline": host.get("cmdline"),
        "proof_crash_size": host.get("kexec_crash_size"),
    }
    if awaited is not None and checked is not None and checked.data.get("complete") is True:
        newest = max(awaited.dumps, key=lambda dump: dump.modified)
        return values | {
            "proof_whole": "yes",
            "proof_release": checked.data.get("release") or host.get("release"),
            "proof_path": newest.path,
            "proof_bytes": newest.size,
            "proof_seconds": _seconds(entries, newest.modified),
        }
    bad = none if awaited is None else checked
    return values | {"proof_whole": "no", "proof_reason": bad.data.get("reason")} if bad else {}


def _seconds(entries: Sequence[Entry], modified: float) -> str | None:
    """From the NMI to the last byte of the dump, whose time is the host's; at most until we found it.

    A capture kernel's clock may be wrong by hours. A time that cannot be right is not taken.
    """
    claimed, found = history.crash_expected_since(entries), history.last(entries, "dump.found")
    if claimed is None or found is None:
        return None
    until_found = (found.time - claimed).total_seconds()
    for ahead in (_clock_ahead(entries), 0.0):
        took = modified - ahead - claimed.timestamp()
        if 0.0 < took <= until_found + _SLACK:
            return f"{took:.0f}"
    return f"{until_found:.0f}"


def _clock_ahead(entries: Sequence[Entry]) -> float:
    """Seconds by which the host's clock was ahead of ours when it told us its facts."""
    told, clock = history.last(entries, "facts"), history.last_answer(entries)
    return clock - told.time.timestamp() if told is not None and clock is not None else 0.0
