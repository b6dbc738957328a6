"""The rows of a report's tables, each read from the journal's entries. Pure; a damaged entry is a row too.

All text in a row went through `wording.shown`: it is one line, and nothing in it acts. It is not yet
escaped for HTML or Markdown; the templates do that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from collector.case.folder import PAYLOAD, safe_name
from collector.case.journal import Entry
from collector.case.wording import offset, pairs, shown, size, span

VERDICTS = (
    *("complete", "not checked", "truncated", "incomplete", "encrypted", "stale", "unknown", "empty"),
    "not home",
)
"""What is known of a dump, best first."""

_AFTERWARDS = ("triage", "dump.repaired")
"""What may be written to a case that is closed."""

_LEVELS = ("critical", "warning", "unknown", "ok")  # worst first


@dataclass(frozen=True, slots=True)
class Observed:
    """Who was asked in which round, and how far the answer got."""

    round: str
    asked: str
    reach: str
    took: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What one or more rounds of observations came to."""

    round: str
    diagnosis: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a controller said in which rounds."""

    round: str
    said: str


@dataclass(frozen=True, slots=True)
class Check:
    """One preflight check; `accepted` when a person went on in spite of it."""

    check: str
    level: str
    reason: str
    remedy: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim to send an NMI, and what came of it. `at` is when the claim was written."""

    number: str
    controller: str
    way: str
    at: datetime
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """Looks in a row at the waiting host that all saw the same."""

    when: str
    looks: int
    power: str
    ping: str
    services: str
    note: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the host wrote down of its crash, when by its own clock; `explains` why there is no dump."""

    when: str
    record: str
    means: str
    explains: bool


@dataclass(frozen=True, slots=True)
class Dump:
    """Where a dump was, where it is (empty when it is not home), and what is known of it."""

    remote: str
    place: str
    size: str
    sha256: str
    verdict: str
    reason: str
    remedy: str
    origin: str
    note: str
    cause: str
    telling: list[str]


@dataclass(frozen=True, slots=True)
class File:
    """A collected file. `link` is its path where a report may link to it, else empty."""

    path: str
    link: str
    kind: str
    size: str
    source: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that was asked for and could not be had."""

    name: str
    source: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Triaged:
    """What a triage said of one log or dump of the case; `chains` are sentences, the waiter's first."""

    source: str
    suspect: str
    sureness: str
    why: str
    chains: list[list[str]]
    findings: list[str]
    missing: list[str]
    next_steps: list[str]


def closing(entries: Sequence[Entry]) -> Entry | None:
    """The entry that closed the case; None while it is open. No work on its dump opens it again."""
    last = next((entry for entry in reversed(entries) if entry.event not in _AFTERWARDS), None)
    return last if last is not None and last.event == "case.closed" else None


def text(entry: Entry, key: str) -> str:
    """A value of an entry, to be shown; empty when there is none."""
    return pairs(entry.data.get(key))


def number(entry: Entry, key: str) -> float:
    """A figure of an entry; 0 when there is none."""
    value = entry.data.get(key)
    return value if isinstance(value, int | float) else 0.0


def observed(entries: Sequence[Entry]) -> list[Observed]:
    """The observations, in the order in which they were written."""
    return [
        Observed(
            round=text(entry, "round"),
            asked=" ".join(
                part
                for part in (text(entry, "protocol"), text(entry, "address"), text(entry, "port"))
                if part
            ),
            reach=text(entry, "reach"),
            took=span(number(entry, "seconds")),
            evidence=text(entry, "evidence"),
        )
        for entry in entries
    ]


def diagnosed(entries: Sequence[Entry]) -> list[Diagnosed]:
    """What the rounds came to; rounds in a row that came to the same are one row."""
    rows = []
    for (diagnosis, reason), group in groupby(
        entries, key=lambda e: (text(e, "diagnosis"), text(e, "reason"))
    ):
        rows.append(Diagnosed(", ".join(text(entry, "round") for entry in group), diagnosis, reason))
    return rows


def controllers(entries: Sequence[Entry]) -> list[Answer]:
    """What the controllers said; answers in a row that are the same are one row."""
    rows = []
    for said, group in groupby(
        entries, key=lambda e: pairs({k: v for k, v in e.data.items() if k != "round"})
    ):
        rows.append(Answer(", ".join(text(entry, "round") for entry in group), said))
    return rows


def checks(entries: Sequence[Entry]) -> list[Check]:
    """The latest verdict of each check, worst first."""
    latest = {
        text(entry, "check"): Check(
            check=text(entry, "check"),
            level=text(entry, "level"),
            reason=text(entry, "reason"),
            remedy=text(entry, "remedy"),
            accepted=entry.data.get("accepted") is True,
        )
        for entry in entries
    }
    return sorted(latest.values(), key=lambda row: _LEVELS.index(row.level) if row.level in _LEVELS else -1)


def attempts(entries: Sequence[Entry]) -> list[Attempt]:
    """Every claim with its outcome. One without an outcome is uncertain: the run ended between the two."""
    outcomes = {entry.data.get("attempt"): entry for entry in entries if entry.event == "trigger"}
    found = []
    for claim in entries:
        if claim.event == "claim":
            answer = outcomes.get(claim.data.get("attempt"))
            found.append(
                Attempt(
                    number=text(claim, "attempt"),
                    controller=text(claim, "controller"),
                    way=text(claim, "way"),
                    at=claim.time,
                    outcome=text(answer, "outcome") if answer else "uncertain",
                    detail=text(answer, "detail")
                    if answer
                    else "the run ended before an answer was written down",
                )
            )
    return found


def sightings(entries: Sequence[Entry]) -> list[Sighting]:
    """What was seen while waiting; looks in a row that saw the same are one row."""
    rows = []
    for seen, group in groupby(entries, key=_seen):
        looks = list(group)
        first, last = number(looks[0], "elapsed"), number(looks[-1], "elapsed")
        when = offset(first) if len(looks) == 1 else f"{offset(first)} to {offset(last)}"
        rows.append(Sighting(when, len(looks), *seen))
    return rows


def _seen(entry: Entry) -> tuple[str, str, str, str]:
    services = text(entry, "services") or text(entry, "ssh")
    return text(entry, "power"), text(entry, "ping"), services, text(entry, "note")


def recorded(entries: Sequence[Entry]) -> list[Recorded]:
    """The host's own records of its crash, in the order in which it made them."""
    return [
        Recorded(
            when=text(entry, "at"),
            record=f"{text(entry, 'provider')} {text(entry, 'id')}".strip(),
            means=text(entry, "means"),
            explains=entry.data.get("explains") is True,
        )
        for entry in entries
    ]


def dumps(entries: Sequence[Entry]) -> list[Dump]:
    """Every dump that was found on the host or came home, with the last word on whether it is whole."""
    found = {e.data.get("path"): e for e in entries if e.event in ("dump.found", "dump.unfinished")}
    home = {
        e.data.get("source"): e for e in entries if e.event == "artifact" and e.data.get("kind") == "dump"
    }
    checked = {e.data.get("path"): e for e in entries if e.event == "dump.checked"}
    looked = {e.data.get("path"): e for e in entries if e.event == "dump.looked"}
    rows = []
    for remote in {**found, **home}:
        artifact = home.get(remote)
        check = checked.get(artifact.data.get("path")) or checked.get(remote) if artifact else None
        verdict = "not home" if artifact is None else "not checked"
        reason = text(check, "reason") if check else ""
        if artifact is None and (seen := looked.get(remote)):
            reason = f"On the host it looks {text(seen, 'state')}: {text(seen, 'reason')}"
        if check is not None:
            state = text(check, "state")
            verdict = state if state in VERDICTS else "unknown"
        rows.append(
            Dump(
                remote=shown(remote),
                place=text(artifact, "path") if artifact else "",
                size=size(number(artifact or found[remote], "bytes")),
                sha256=text(artifact, "sha256") if artifact else "",
                verdict=verdict,
                reason=reason,
                remedy=text(check, "remedy") if check else "",
                origin=text(check, "origin") if check else "",
                note=text(check, "note") if check else "",
                cause=text(check, "cause") if check else "",
                telling=_lines(check.data.get("telling")) if check else [],
            )
        )
    return rows


def _lines(value: object) -> list[str]:
    return [shown(line) for line in _list(value)]


def triaged(entries: Sequence[Entry]) -> list[Triaged]:
    """The last answer for each log and dump."""
    latest = {text(entry, "source"): entry for entry in entries}
    return [
        Triaged(
            source=source,
            suspect=text(entry, "suspect"),
            sureness=text(entry, "sureness"),
            why=text(entry, "why"),
            chains=[_lines(chain) for chain in _list(entry.data.get("chains"))],
            findings=_lines(entry.data.get("findings")),
            missing=_lines(entry.data.get("missing")),
            next_steps=_lines(entry.data.get("next_steps")),
        )
        for source, entry in latest.items()
    ]


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def files(entries: Sequence[Entry]) -> list[File]:
    """Every collected file."""
    return [
        File(
            path=text(entry, "path"),
            link=_link(text(entry, "path")),
            kind=text(entry, "kind"),
            size=size(number(entry, "bytes")),
            source=text(entry, "source"),
        )
        for entry in entries
    ]


def missing(entries: Sequence[Entry]) -> list[Missing]:
    """What could not be had, and did not come home under that name later."""
    came = {text(entry, "path"): entry.seq for entry in entries if entry.event == "artifact"}
    latest = {}
    for entry in entries:
        if entry.event == "artifact.missing":
            name, source = text(entry, "name"), text(entry, "source")
            homes = (name, f"{PAYLOAD}/{name}", f"{PAYLOAD}/logs/{name}")
            if entry.seq > max(came.get(home, 0) for home in homes):
                latest[name, source] = Missing(name, source, text(entry, "outcome"), text(entry, "detail"))
    return list(latest.values())


def _link(path: str) -> str:
    """The path, when it is one that this program makes: below `data/`, every component a safe name."""
    parts = path.split("/")
    return path if parts[0] == PAYLOAD and all(part == safe_name(part) for part in parts) else ""
