"""The journal as a timeline: one moment a line, relative to the NMI. Pure.

Entries that come in swarms (checks, looks at the waiting host, collected files) become one moment a swarm.
An event that has no wording here is shown as it is: no row may vanish.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from collector.case.journal import Entry
from collector.case.rows import number, text
from collector.case.wording import offset, pairs, shown, size, span

_SWARMS = ("check", "sighting", "artifact")


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline. `word` is the outcome that gives the line its tone."""

    event: str
    at: datetime
    relative: str
    title: str
    detail: str
    word: str


def timeline(entries: Sequence[Entry], nmi_at: datetime | None) -> list[Moment]:
    """The moments, oldest first.

    Args:
        entries: the journal.
        nmi_at: what the times are relative to; without an NMI, the first entry.
    """
    moments: list[Moment] = []
    if not entries:
        return moments
    zero = nmi_at or entries[0].time
    for event, group in groupby(entries, key=lambda entry: entry.event):
        together = list(group)
        lines = [together] if event in _SWARMS else [[entry] for entry in together]
        for line in lines:
            told = _WORDING.get(event, _as_it_is)(line)
            if told is not None:
                relative = offset((line[0].time - zero).total_seconds())
                moments.append(Moment(event, line[0].time, relative, *told))
    return moments


Told = tuple[str, str, str]
"""Title, detail, and the word that gives the tone."""


def _as_it_is(line: Sequence[Entry]) -> Told:
    return shown(line[0].event), pairs(dict(line[0].data)), "none"


def _told_elsewhere(_: Sequence[Entry]) -> None:
    return None


def _opened(line: Sequence[Entry]) -> Told:
    entry = line[0]
    dry = ", as a drill" if entry.data.get("drill") else ""
    dry += ", as a dry run" if entry.data.get("dry_run") else ""
    title = f"Case opened by {text(entry, 'operator') or 'an unknown operator'}{dry}"
    return title, f"playbook {text(entry, 'playbook')}" if text(entry, "playbook") else "", "none"


def _diagnosis(line: Sequence[Entry]) -> Told:
    entry = line[0]
    return f"Round {text(entry, 'round')}: {text(entry, 'diagnosis')}", text(entry, "reason"), "none"


def _facts(line: Sequence[Entry]) -> Told:
    values = line[0].data.get("values")
    known = {key: value for key, value in values.items() if value} if isinstance(values, dict) else {}
    return f"{len(known)} facts of the host are known", "", "none"


def _checks(line: Sequence[Entry]) -> Told:
    levels = Counter(text(entry, "level") for entry in line)
    worst = next((level for level in ("critical", "warning", "unknown") if levels[level]), "ok")
    return "Preflight", ", ".join(f"{count} {level}" for level, count in levels.most_common()), worst


def _sightings(line: Sequence[Entry]) -> Told:
    looks = f"{len(line)} looks" if len(line) > 1 else "One look"
    last = line[-1]
    seen = f"at last power {text(last, 'power')}, ping {text(last, 'ping')}"
    if connection := text(last, "connection"):
        seen += f", the vCenter says {connection}"
    services = text(last, "services") or text(last, "ssh")
    return f"{looks} at the waiting host", f"{seen}, {services or 'no service'} answering", "none"


def _artifacts(line: Sequence[Entry]) -> Told:
    total = size(sum(number(entry, "bytes") for entry in line))
    word = "success" if any(entry.data.get("kind") == "dump" for entry in line) else "none"
    if len(line) == 1:
        return f"{text(line[0], 'path')} is home", total, word
    return f"{len(line)} files are home", f"{total}, the last {text(line[-1], 'path')}", word


def _trigger(line: Sequence[Entry]) -> Told:
    entry = line[0]
    outcome = text(entry, "outcome")
    title = {"sent": "NMI sent", "not sent": "NMI refused"}.get(outcome, "NMI uncertain")
    return title, f"{text(entry, 'detail')} ({span(number(entry, 'seconds'))})", outcome


def _stage(line: Sequence[Entry]) -> Told:
    entry = line[0]
    stage, outcome, took = text(entry, "stage"), text(entry, "outcome"), span(number(entry, "seconds"))
    if outcome == "success":
        return f"Stage {stage} took {took}", "", "none"
    return f"Stage {stage} ended after {took}: {outcome}", text(entry, "detail"), outcome


def _checked(line: Sequence[Entry]) -> Told:
    entry = line[0]
    whole = entry.data.get("complete") is True
    title = f"The dump is {text(entry, 'state') or 'not whole'}"
    return title, f"{text(entry, 'path')}: {text(entry, 'reason')}", "success" if whole else "failed"


def _looked(line: Sequence[Entry]) -> Told:
    entry = line[0]
    state = text(entry, "state")
    title = f"Seen from here, the dump looks {state}"
    word = "none" if state == "complete" else "uncertain"
    return title, f"{text(entry, 'path')}: {text(entry, 'reason')}", word


def _triage(line: Sequence[Entry]) -> Told:
    entry = line[0]
    suspect, said = text(entry, "suspect"), text(entry, "why")
    return f"Triage of {text(entry, 'source')}", f"look first at: {suspect}" if suspect else said, "none"


def _copy(line: Sequence[Entry]) -> Told:
    entry = line[0]
    start, known = number(entry, "offset"), entry.data.get("bytes") is not None
    whole = size(number(entry, "bytes")) if known else ""
    if start:
        begun = f"from {size(start)} of {whole}" if known else f"from {size(start)}"
        return f"Copying {text(entry, 'path')} goes on", begun, "none"
    return f"Copying {text(entry, 'path')}", whole, "none"


def _exported(line: Sequence[Entry]) -> Told:
    entry = line[0]
    since = f", since {text(entry, 'since')} by its own clock" if text(entry, "since") else ""
    return f"The host wrote {text(entry, 'path')}", size(number(entry, "bytes")) + since, "none"


def _simple(title: str, word: str, *keys: str) -> Callable[[Sequence[Entry]], Told]:
    """Wording of an event whose detail is the values of `keys`; `title` names values in braces."""

    def tell(line: Sequence[Entry]) -> Told:
        values = defaultdict(str, {key: pairs(value) for key, value in line[0].data.items()})
        return title.format_map(values), ": ".join(values[key] for key in keys if values[key]), word

    return tell


_WORDING: dict[str, Callable[[Sequence[Entry]], Told | None]] = {
    "case.opened": _opened,
    "stage.started": _told_elsewhere,  # in its end, with how long it took
    "stage.ended": _stage,
    "observation": _told_elsewhere,  # in its round's diagnosis and in a table of its own
    "controller": _told_elsewhere,
    "diagnosis": _diagnosis,
    "facts": _facts,
    "check": _checks,
    "artifact": _artifacts,
    "artifact.missing": _simple("Could not be had: {name}", "missing", "outcome", "detail"),
    "confirmation": _simple("Confirmed", "none", "by", "how"),
    "claim": _simple("Attempt {attempt} claimed, before anything was sent", "none", "controller"),
    "trigger": _trigger,
    "snapshot.claim": _simple("Snapshot {name} claimed, before it was asked for", "none", "endpoint"),
    "snapshot.removed": _simple("Snapshot {name} removed", "none", "endpoint"),
    "export.folder": _simple("The host is asked to write its logs out", "none", "folder"),
    "export.made": _exported,
    "export.left": _simple("A folder of ours is still on the host", "failed", "folder", "detail"),
    "export.removed": _simple("A folder of ours was removed from the host", "none", "folder"),
    "sighting": _sightings,
    "crash.seen": _simple("The host had crashed already", "uncertain", "reason"),
    "send.again": _simple("A person asked for another NMI", "uncertain", "reason"),
    "dump.found": _simple("Dump found on the host", "success", "path"),
    "dump.unfinished": _simple("Unfinished dump found on the host", "missing", "path"),
    "host.record": _simple("The host wrote down: {provider} {id}", "none", "means"),
    "dump.none": _simple("There is no dump", "failed", "reason"),
    "dump.looked": _looked,
    "dump.checked": _checked,
    "dump.repaired": _simple("Mended on a copy: {path}", "none", "copy", "mended"),
    "bundle.made": _simple("A support bundle was made: {name}", "none", "by", "url"),
    "bundle.gone": _simple("The server does not keep it any more: {name}", "missing"),
    "copy.started": _copy,
    "triage": _triage,
    "notice": _simple("Warning", "uncertain", "text"),
    "interrupted": _simple("Interrupted", "uncertain", "signal"),
    "resumed": _simple("Resumed", "none", "by"),
    "journal.torn": _simple("A line that was being written at a crash was set aside", "uncertain", "file"),
    "case.closed": _simple("Case closed: {outcome}", "none", "detail"),
}
