"""Stage 5, wait: until the dump is there, until it is proved that none was made, or until the deadline.

Time since the NMI is taken from our own clock and compared with the host's uptime; the host's wall clock
is only compared with itself, because the capture kernel may have run with a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from collector.adapters.answers import RemoteFile
from collector.adapters.base import Files
from collector.adapters.limits import Deadline
from collector.errors import CollectorError, LoginRefusedError
from collector.facts import store
from collector.model.fact import Facts, number, value
from collector.model.host import Platform
from collector.probe.observation import Observation, Reach
from collector.probe.targets import targets_for
from collector.run.examine import ask_controllers, seen_by_vcenter
from collector.run.history import last_answer, trigger_outcome
from collector.run.incident import Awaited, Incident
from collector.run.inside import LANGUAGES, Inside, Language
from collector.run.remote import find

_CLOCK_SLACK = 120.0
"""Seconds by which a dump may look older than the NMI: two clocks, and time stamps of whole minutes."""

_BOOT_SLACK = 5.0
"""Seconds of uptime that prove nothing: the claim is written a moment before the NMI arrives."""

_LOOK = 30.0
"""Seconds for one look into the host, logins included."""

_GLANCE = 5.0
"""Seconds for one look at ping, SSH and power while waiting."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look into the host showed."""

    uptime: float | None
    asked: bool = True
    """False where nothing runs commands there, so that only its files tell."""
    dumps: tuple[RemoteFile, ...] = ()
    unfinished: tuple[RemoteFile, ...] = ()
    older: RemoteFile | None = None
    writer: str | None = None
    """The process that brings the dump to its place, where the platform can name it and it still runs."""
    in_slot: str = ""
    """Where a dump lies that is no file yet, and how it becomes one, in a person's words."""

    def rebooted(self, elapsed: float) -> bool:
        """True when the host booted after the NMI, `elapsed` seconds ago."""
        return self.uptime is not None and self.uptime < elapsed + _BOOT_SLACK


def wait(incident: Incident, claimed_at: datetime) -> Awaited:
    """Watch the host until there is an answer.

    Args:
        incident: the host and its case.
        claimed_at: when the claim was written; the NMI cannot be older.
    """
    step = incident.playbook.steps.wait
    assert step is not None, "the playbook was checked: whoever sends an NMI waits"
    started = _elapsed(claimed_at)
    language = LANGUAGES[incident.host.platform]
    watch = _Watch(
        language,
        blind=not _reads_files(incident) or not incident.playbook.steps.retrieve.dumps,
        sent=trigger_outcome(incident.case.journal.entries()) is not None,
    )
    while (now := _elapsed(claimed_at)) - started < step.deadline:
        seen = _sight(incident, watch, now)
        if seen is not None:
            ended = watch.judge(seen, now, step.grace)
            if ended is not None:
                return ended
        if watch.blind_since is not None and now - watch.blind_since >= step.grace:
            break  # it is back, and more cannot be learned
        if watch.refused is not None:
            break  # a refused login is not tried again in this run, so nothing more can be learned
        time.sleep(step.every)
    return watch.give_up()


class _Watch:
    """What was seen so far, and what it means."""

    def __init__(self, language: Language, *, blind: bool = False, sent: bool = True) -> None:
        self._language = language
        self.sent = sent  # otherwise the host is said to have crashed by itself
        self.blind = blind  # nobody can look inside, or is meant to
        self.blind_since: float | None = None
        self._heartbeats: list[str] = []  # each change of it
        self.back: float | None = None
        self._rebooted = False
        self.ping_gap = False
        self.started_anew = ""  # who says so, and of what
        self.refused: LoginRefusedError | None = None
        self._previous: tuple[RemoteFile, ...] = ()
        self._same_since = 0.0
        self._boots: dict[str, datetime] = {}

    def judge(self, look: Look, elapsed: float, grace: float) -> Awaited | None:
        """Decide from one look; None to go on waiting."""
        if self.back is None or (look.rebooted(elapsed) and not self._rebooted):
            # A host that still answered a moment after the NMI was not back yet.
            self.back, self._rebooted = elapsed, look.rebooted(elapsed)
        if look.dumps != self._previous:
            self._previous, self._same_since = look.dumps, elapsed
            stable = False
        else:
            # Who is not asked cannot say that somebody still writes: then only time tells.
            stable = look.asked or elapsed - self._same_since >= grace
        if look.writer:
            return None
        if look.dumps and stable:
            names = ", ".join(dump.path for dump in look.dumps)
            return self._end(look, f"the host is back with {names}", look.dumps)
        if look.dumps or elapsed - self.back < grace:
            return None
        return self._end(look, _why_none(look, elapsed, self._language, sent=self.sent))

    def give_up(self) -> Awaited:
        """What to say when the deadline, or a refused login, ended it."""
        if self.refused is not None:
            reason = f"the host is back, but it does not let us in: {self.refused.message}"
        elif self.back is not None:
            reason = "the host is back, but it could not be read whether it left a dump"
        elif self.blind_since is not None:
            reason = f"{self.started_anew} was started anew, and nobody looks inside for a dump"
        elif self.started_anew:
            reason = f"{self.started_anew} was started anew, and nothing in it answers yet{self._pulse()}"
        elif self.ping_gap:
            advice = f"; {self._language.while_down}" if self._language.while_down else ""
            reason = f"the host crashed (its ping stopped) and did not come back{self._pulse()}{advice}"
        elif self.sent:
            reason = (
                "nothing changed after the NMI: the host neither crashed visibly nor came back"
                f"{self._pulse()}"
            )
        else:
            reason = f"the host does not answer, so that nobody can look for its dump{self._pulse()}"
        back = self.back is not None or self.refused is not None or bool(self.started_anew)
        return Awaited((), (), reason, proved=False, ping_gap=self.ping_gap, refused=self.refused, back=back)

    def gone(self) -> None:
        """Take note that nothing answers: a host of unknown uptime is back only once it answers again."""
        if not self._rebooted:
            self.back = None

    def beat(self, heartbeat: str) -> None:
        """Take note of a guest's heartbeat, as its hypervisor sees it."""
        if self._heartbeats[-1:] != [heartbeat]:
            self._heartbeats.append(heartbeat)

    def _pulse(self) -> str:
        """What the guest's heartbeat adds to the reason; nothing where there is none."""
        match self._heartbeats[-1:]:
            case ["green"] if len(self._heartbeats) > 1:
                return "; the guest's heartbeat was lost and is green again: something in it runs"
            case ["green"]:
                return "; the guest's heartbeat is green all the while: something in it runs"
            case ["red" | "yellow" as color]:
                return f"; the guest's heartbeat is {color}: its tools do not run as they should"
        return ""

    def booted(self, when: datetime | None, who: str, elapsed: float) -> None:
        """Take note of a boot time: it moves on when a machine, or a host, is started anew."""
        if when is None:
            return
        first = self._boots.setdefault(who, when)
        moved = (when - first).total_seconds() > _CLOCK_SLACK  # by one clock alone, however wrong it is
        if moved or (datetime.now(UTC) - when).total_seconds() < elapsed - _CLOCK_SLACK:
            self.started_anew = self.started_anew or who
            if self.blind and self.blind_since is None:
                self.blind_since = elapsed

    def answers(self, elapsed: float) -> None:
        """Take note that services answer: where nobody looks inside, all that tells that the host is back."""
        if self.blind and self.ping_gap and self.blind_since is None:
            self.blind_since = elapsed
            self.started_anew = (
                self.started_anew or "its services, which were gone and answer, say that the host"
            )

    def _end(self, look: Look, reason: str, dumps: tuple[RemoteFile, ...] = ()) -> Awaited:
        return Awaited(dumps, look.unfinished, reason, proved=True, ping_gap=self.ping_gap)


def _why_none(look: Look, elapsed: float, language: Language, *, sent: bool) -> str:
    since = "the NMI" if sent else "the time that was asked for"
    older = f"; the newest dump there, {look.older.path}, is older than {since}" if look.older else ""
    if not look.asked:
        return f"the host answers, and no new dump is there{older}; nothing runs commands there to ask it why"
    if not look.rebooted(elapsed) and not sent:
        return f"the host did not crash: it runs since before {since}{older}"
    if not look.rebooted(elapsed):
        perhaps = f" ({language.ignores}?)" if language.ignores else ""
        return (
            f"the host answers again and has not rebooted since the NMI: the kernel ignored it{perhaps} "
            "or it never arrived"
        )
    if look.unfinished:
        names = ", ".join(file.path for file in look.unfinished)
        return f"the host crashed and rebooted, but its dump was not finished: {names}"
    if look.in_slot:
        return f"the host crashed and rebooted, and its dump is not in its place: {look.in_slot}"
    deed = "crashed and rebooted" if sent else "rebooted"
    return f"the host {deed} without leaving a dump{older}"


def _sight(incident: Incident, watch: _Watch, elapsed: float) -> Look | None:
    """Glance from outside; look inside once something composes an answer."""
    observations = incident.observe(targets_for(incident.host), _GLANCE)
    services = [o.protocol for o in observations if o.protocol != "rmcp" and o.reach is Reach.PROVED]
    ping = _ping(observations)
    watch.ping_gap = watch.ping_gap or ping == "silent"
    answers = ask_controllers(incident.host, incident.connections, Deadline.after(_GLANCE))
    power = next((str(a.power) for a in answers if a.power is not None), "unknown")
    guest = next((a.guest for a in answers if a.guest is not None), None)
    seen = seen_by_vcenter(answers)
    if guest is not None:
        watch.beat(guest.heartbeat)
    watch.booted(guest.boot_time if guest else None, "the hypervisor says that the machine", elapsed)
    watch.booted(seen.boot_time if seen else None, "the vCenter says that the host", elapsed)
    if services:
        watch.answers(elapsed)
    else:
        watch.gone()
    note = "" if services or ping == "answers" else _while_down(incident)
    look = None
    if services and watch.refused is None and not watch.blind:
        try:
            look = _look(incident, elapsed)
            note = f"{len(look.dumps)} new dump(s)"
            if look.writer:
                note += f", {look.writer} is still writing"
        except LoginRefusedError as refusal:
            watch.refused, note = refusal, refusal.message
        except CollectorError as error:
            note = error.message
    incident.case.journal.append(
        "sighting",
        elapsed=round(elapsed, 1),
        power=power,
        heartbeat=guest.heartbeat if guest else None,
        connection=seen.connection if seen else None,
        ping=ping,
        services=services,
        note=note,
    )
    incident.progress.status(
        f"{f'{elapsed:.0f} s since the NMI' if watch.sent else 'looking for a dump'}: "
        f"power {power}, ping {ping}, "
        f"{f'the vCenter says {seen.connection}, ' if seen else ''}"
        f"{' '.join(services) or 'no service'} answering{'; ' if note else ''}{note}"
    )
    return look


def _reads_files(incident: Incident) -> bool:
    """True when some channel that the playbook names leads to the host's files."""
    named = incident.playbook.when.channels
    return any(way.type in named for way in incident.connections.able(incident.host.channels, Files))


def _while_down(incident: Incident) -> str:
    """What to say on every look at a host of this platform that is down; nothing for most."""
    advice = LANGUAGES[incident.host.platform].while_down
    return f"the host is down; {advice}" if advice else ""


def _look(incident: Incident, elapsed: float) -> Look:
    """Log in and see: uptime, new dumps, unfinished ones."""
    steps, host = incident.playbook.steps, incident.host
    deadline = Deadline.after(_LOOK)
    fold = host.platform is Platform.WINDOWS
    named = incident.playbook.when.channels
    asked = bool(incident.connections.able(host.channels, LANGUAGES[host.platform].capability))
    facts: Facts = {}
    with Inside(host, incident.connections, named, deadline) as inside:
        if asked:
            facts = inside.facts()
            store.record(incident.case.path.parent, host.name, facts)
        files = inside.files()
        unfinished = find(files, steps.retrieve.unfinished, deadline, fold=fold)
        names = {file.path for file in unfinished}
        places = (*steps.retrieve.dumps, *LANGUAGES[host.platform].dumps(facts))
        dumps = [d for d in find(files, places, deadline, fold=fold) if d.path not in names]
    clock = number(facts, "clock") or datetime.now(UTC).timestamp()
    oldest = max(clock - elapsed - _CLOCK_SLACK, last_answer(incident.case.journal.entries()) or 0.0)
    return Look(
        uptime=number(facts, "uptime"),
        asked=asked,
        dumps=tuple(d for d in dumps if d.modified >= oldest and d.size > 0),
        # Debian names a dump of no bytes as if it were saved: it is as unfinished as any.
        unfinished=tuple(
            file for file in (*unfinished, *(d for d in dumps if d.size == 0)) if file.modified >= oldest
        ),
        older=max((d for d in dumps if d.modified < oldest), key=lambda d: d.modified, default=None),
        writer=value(facts, "dump_writer"),
        in_slot=LANGUAGES[host.platform].in_slot(facts),
    )


def _ping(observations: Sequence[Observation]) -> str:
    icmp = next((o for o in observations if o.protocol == "icmp"), None)
    if icmp is None or icmp.reach is Reach.UNTRIED:
        return "not tried"
    return "answers" if icmp.answered else "silent"


def _elapsed(claimed_at: datetime) -> float:
    return (datetime.now(UTC) - claimed_at).total_seconds()
