"""What the journal tells, in order for a reader. Pure: entries in, a story out, at any stage of a case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from collector.case import rows
from collector.case.journal import Entry
from collector.case.timeline import Moment, timeline
from collector.case.wording import pairs, shown, span

Tone = Literal["good", "warn", "bad", "calm"]
"""How a word should feel: as wanted, look at it, failed, neither."""

_TONES: dict[str, Tone] = {
    **dict.fromkeys(("success", "sent", "ok", "proved", "complete"), "good"),
    **dict.fromkeys(
        ("uncertain", "warning", "unknown", "open", "not checked", "not home", "missing"), "warn"
    ),
    **dict.fromkeys(("dry run", "none", "empty", "skipped", "untried"), "calm"),
    **dict.fromkeys(("connected", "spoke"), "warn"),
}

_DIAGNOSES = {
    "responsive": "{host} is not hung",
    "degraded": "{host} is degraded, not hung",
    "hung-software": "{host} hung: its kernel answered, its services did not",
    "hung-kernel-or-network": "{host} hung: nothing answered, and its power was on",
    "powered-off": "{host} is powered off",
    "already-crashed": "{host} had crashed already",
    "unknown": "It is not known whether {host} hangs",
}

_KINDS = {
    (False, False): "",
    (False, True): "Dry run: ",
    (True, False): "Drill: ",
    (True, True): "Dry run of a drill: ",
}
"""What the headline begins with, by whether it is a drill and a dry run."""

_DUMPS = {
    "complete": "the dump ({size}) is home and complete",
    "stale": "a dump is home, but it is of another crash",
    "unknown": "a file is home, but it is no dump that can be read",
    "not checked": "a dump is home and not checked yet",
    "not home": "a dump was found and is not home yet",
}


def tone(word: str) -> Tone:
    """How a word of the journal should feel; one that is not known here is bad news."""
    return _TONES.get(word, "bad")


def _values(entry: Entry | None) -> defaultdict[str, str]:
    """The entry's data, to be shown; empty for what is not there."""
    return defaultdict(str, {key: pairs(value) for key, value in entry.data.items()} if entry else {})


class Story:
    """Every part of a report, read from the journal's entries.

    Args:
        name: the case's id.
        entries: the journal, oldest first; none is fine.
    """

    def __init__(self, name: str, entries: Sequence[Entry]) -> None:
        opened = next((entry for entry in entries if entry.event == "case.opened"), None)
        closed = rows.closing(entries)
        ended = closed or (entries[-1] if entries else None)
        self.name = shown(name)
        self.began: datetime | None = entries[0].time if entries else None
        self.took = span((ended.time - entries[0].time).total_seconds()) if ended else ""
        self.is_closed = closed is not None
        self.opened = _values(opened)
        self.closed = _values(closed)
        self.host = self.opened["host"] or "The host"
        self.dry_run = bool(opened and opened.data.get("dry_run"))
        self.drill = bool(opened and opened.data.get("drill"))

        def of(event: str) -> list[Entry]:
            return [entry for entry in entries if entry.event == event]

        self.crashed = bool(of("crash.seen"))
        self.attempts = rows.attempts(entries)
        self.nmi_at = next((one.at for one in self.attempts if one.outcome != "not sent"), None)
        """When the NMI may have left: the first claim that the controller did not refuse."""
        self.diagnosed = rows.diagnosed(of("diagnosis"))
        before = [entry for entry in of("diagnosis") if self.nmi_at is None or entry.time <= self.nmi_at]
        self.diagnosis = next(iter(rows.diagnosed(before[-1:])), None)
        """The last diagnosis before the NMI, or the last one at all."""
        self.observed = rows.observed(of("observation"))
        self.controllers = rows.controllers(of("controller"))
        self.checks = rows.checks(of("check"))
        self.sightings = rows.sightings(of("sighting"))
        self.recorded = rows.recorded(of("host.record"))
        self.dumps = rows.dumps(entries)
        self.triaged = rows.triaged(of("triage"))
        self.files = rows.files(of("artifact"))
        self.missing = rows.missing(entries)
        self.timeline: list[Moment] = timeline(entries, self.nmi_at)
        self._no_dump = bool(of("dump.none"))
        self._snapshot = bool(of("snapshot.claim"))

    @property
    def nmi(self) -> str:
        """What came of the last attempt: `none`, `sent`, `not sent` or `uncertain`."""
        return self.attempts[-1].outcome if self.attempts else "none"

    @property
    def outcome(self) -> str:
        """One word for the whole case."""
        if not self.is_closed:
            return "open"
        word = self.closed["outcome"]
        return "dry run" if self.dry_run and word == "success" else word

    @property
    def dump(self) -> rows.Dump | None:
        """The best of the dumps."""
        return min(self.dumps, key=lambda dump: rows.VERDICTS.index(dump.verdict), default=None)

    @property
    def headline(self) -> str:
        """The case in one sentence."""
        if self.began is None:
            return "Nothing is written down yet."
        clauses = [self._diagnosis_clause(), self._nmi_clause(), self._dump_clause()]
        if self.dump is not None:
            clauses.append(self.dump.note)
        kind = _KINDS[self.drill, self.dry_run]
        sentence = kind + "; ".join(filter(None, clauses)) + "."
        return f"{sentence} {self.dump.remedy}".rstrip() if self.dump is not None else sentence

    def _diagnosis_clause(self) -> str:
        if self.diagnosis is None:
            return f"{self.host} {'crashed by itself' if self.crashed else 'was not examined yet'}"
        if self.drill and self.diagnosis.diagnosis == "responsive":
            return f"{self.host} was healthy"
        known = _DIAGNOSES.get(self.diagnosis.diagnosis)
        return known.format(host=self.host) if known else f"{self.host} is {self.diagnosis.diagnosis}"

    def _nmi_clause(self) -> str:
        if self._snapshot:
            return "its memory was written out from outside, without a crash"
        if self.nmi == "uncertain" and self.dump is None:
            return "nobody can say whether the NMI arrived"
        if self.nmi == "uncertain":
            return "the controller never acknowledged the NMI"
        sent = sum(attempt.outcome == "sent" for attempt in self.attempts)
        if not sent:
            return "no NMI was sent" if self.nmi == "none" else "the controller refused to send an NMI"
        return "one NMI was sent" if sent == 1 else f"{sent} NMIs were sent"

    def _dump_clause(self) -> str:
        if self.dump is not None:
            return _DUMPS.get(self.dump.verdict, "a dump is home, but it is {verdict}").format(
                size=self.dump.size, verdict=self.dump.verdict
            )
        if self._no_dump:
            why = next((row for row in reversed(self.recorded) if row.explains), None)
            return f"no dump came of it: {why.means} ({why.record})" if why else "no dump came of it"
        return "no dump was seen yet" if self.nmi_at else ""

    @property
    def next_steps(self) -> list[str]:
        """What the reader should do now, most urgent first; commands are between backticks."""
        steps = []
        if self.nmi == "uncertain" and self.dump is None:
            steps.append("Send no other NMI: it can destroy the dump that the first one may have started.")
        if self.closed["hint"]:
            steps.append(self.closed["hint"])
        if not self.is_closed and self.began:
            steps.append("The case is not finished. Go on, in its folder, with `hang-collector resume .`")
        if self.nmi == "none":
            steps += [f"{row.check}: {row.remedy}" for row in self.checks if row.remedy and row.level != "ok"]
        if self.dump is not None and self.dump.verdict == "complete":
            steps += self._analysis(self.dump)
        if self.is_closed:
            steps.append("Prove, in this folder, that nothing was altered: `hang-collector case verify .`")
        return steps

    def _analysis(self, dump: rows.Dump) -> list[str]:
        """What to do with a dump that is whole."""
        script = next((file.path for file in self.files if file.kind == "script"), None)
        if script is not None:
            run = f'`kd -z {dump.place} -c "$$><{script};q"`'
            return [
                f"With the Debugging Tools for Windows, in this folder: {run}, then `hang-collector triage .`"
            ]
        see = [] if self.triaged else ["See what hung it, from the dump alone: `hang-collector triage .`"]
        return [*see, f"Open the dump with the kernel's debug symbols: `crash VMLINUX {dump.place}`"]
