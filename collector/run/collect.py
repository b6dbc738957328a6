"""String the stages together for one host, so that it always comes out as exactly one row.

A case that is killed at any line goes on from its journal: `collect` is given the same case again, asks
the journal what has happened, and does the rest. An NMI that was claimed is never sent again by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from collector.adapters.answers import NmiOutcome
from collector.case import claims, manifest, report
from collector.case.folder import CaseFolder
from collector.case.lock import hold
from collector.case.wording import size
from collector.errors import (
    CollectorError,
    NoDumpError,
    NotHungError,
    PartialError,
    PreflightError,
    UncertainError,
    WaitDeadlineError,
)
from collector.model.host import Host
from collector.model.result import HostResult, Outcome
from collector.playbook.schema import Act
from collector.probe.diagnosis import Diagnosis, Finding
from collector.run import history, snapshot
from collector.run.aftermath import own_words, read_records
from collector.run.diagnose import one_round, probe
from collector.run.evidence import collect_evidence
from collector.run.incident import Awaited, Incident, identities
from collector.run.preflight import preflight
from collector.run.retrieve import retrieve, retrieve_from_outside
from collector.run.triage import triage
from collector.run.trigger import trigger
from collector.run.validate import validate
from collector.run.wait import wait

Confirm = Callable[[Incident], str]
"""Asks a person for the host's name and returns how it was given; raises ConfirmationError."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the person on call decided.

    `send_again` is the reason for which an NMI may follow one whose arrival is uncertain. With `trigger_only`
    the run ends once the NMI is out. `crashed_within` are the seconds within which the host has crashed by
    itself, so that no NMI is sent.
    """

    dry_run: bool = False
    even_if_responsive: bool = False
    accepted: frozenset[str] = frozenset()
    send_again: str = ""
    trigger_only: bool = False
    crashed_within: float | None = None


def collect(incident: Incident, options: Options, confirm: Confirm) -> HostResult:
    """Run or resume every stage; close, report and seal the case however it ends.

    The caller holds the host (`held`), from before the case is opened until this returns.

    Raises:
        KeyboardInterrupt: passed on after it was written down; the case stays open for `resume`.
    """
    try:
        detail = _stages(incident, options, confirm)
    except CollectorError as error:
        return _close(incident, Outcome.of(error), error.message, error.hint, error.code)
    except KeyboardInterrupt:
        incident.case.journal.append("interrupted", signal="SIGINT")
        report.write_report(incident.case)
        raise
    return _close(incident, Outcome.SUCCESS, detail)


def held(cases: Path, host: Host) -> AbstractContextManager[None]:
    """Keep every other run away from the host and from each controller behind it.

    Raises:
        CaseLockedError: on entry, when another run is there already.
    """
    return hold(cases, identities(host))


def _stages(incident: Incident, options: Options, confirm: Confirm) -> str:
    """Every stage that the journal does not show as done; returns the story in one sentence."""
    if incident.playbook.steps.trigger.act is Act.SNAPSHOT:
        return _without_a_crash(incident, options, confirm)
    journal = incident.case.journal
    if options.send_again:
        journal.append("send.again", reason=options.send_again)
    if options.crashed_within is not None:
        _refuse_while_claimed_elsewhere(incident, options)
        said = f"a person says that it crashed within the last {options.crashed_within:g} s"
        journal.append("crash.seen", reason=said, within=options.crashed_within)
    since = history.crash_expected_since(journal.entries())
    if since is None or options.send_again:
        _make_it_crash(incident, options, confirm)
        if options.dry_run:
            return "dry run: everything up to the NMI was done for real, and no NMI was sent"
        since = history.crash_expected_since(journal.entries())
    assert since is not None, "a trigger that returned leaves a claim"
    if options.trigger_only:
        return _sent_and_left(incident)
    return _bring_it_home(incident, since)


def _sent_and_left(incident: Incident) -> str:
    """The story of a run that ends once the NMI is out."""
    outcome = history.trigger_outcome(incident.case.journal.entries())
    resume = f"hang-collector resume {incident.case.path} waits for the dump and brings it home"
    if outcome is NmiOutcome.UNCERTAIN:
        raise UncertainError(
            "nobody can say whether the NMI arrived",
            hint=f"Look at the console. {resume}.",
            host=incident.host.name,
        )
    if outcome is None:
        return f"no NMI was sent, for the host had crashed already; {resume}"
    return f"the NMI is sent; {resume}"


def _without_a_crash(incident: Incident, options: Options, confirm: Confirm) -> str:
    """Have the memory written out from outside, fetch the files, check them, and leave nothing there."""
    journal = incident.case.journal
    if journal.last("snapshot.claim") is None:
        finding = _prepare(incident, options)
        if options.dry_run:
            return "dry run: everything up to the snapshot was done for real, and none was taken"
        assert finding is not None, "a host that crashed may be taken a snapshot of"
        with _stage(incident, "confirm"):
            journal.append("confirmation", how=confirm(incident))
            _last_look(incident, finding)
    taken = history.found(journal.entries())
    if taken is None:
        with _stage(incident, "snapshot"):
            taken = snapshot.take(incident)
            _write_down(incident, taken)
    claim = journal.last("snapshot.claim")
    assert claim is not None, "a snapshot that was taken leaves a claim"
    failures = _fetch(incident, taken, claim.time)
    if not failures:
        with _stage(incident, "clean up"):
            failures = tuple(snapshot.remove(incident))
    return _all_home(incident, taken, failures)


def _make_it_crash(incident: Incident, options: Options, confirm: Confirm) -> None:
    """Prove the hang, keep the evidence, send the NMI. Afterwards the journal says since when to wait."""
    finding = _prepare(incident, options)
    if finding is None or options.dry_run:
        return
    with _stage(incident, "trigger"):
        incident.case.journal.append("confirmation", how=confirm(incident))
        _last_look(incident, finding)
        fired = trigger(incident)
        incident.progress.note(f"NMI {fired.outcome}: {fired.detail}")


def _prepare(incident: Incident, options: Options) -> Finding | None:
    """Prove the hang, judge what would come of acting, and keep the evidence; changes nothing on the host.

    None stands for a host that crashed already, so that no NMI may follow.
    """
    with _stage(incident, "probe"):
        _refuse_while_claimed_elsewhere(incident, options)
        finding = probe(incident)
        if incident.drill:
            _require_health(incident, finding)
    crashes = incident.playbook.steps.trigger.act is Act.NMI
    seen = finding.diagnosis is Diagnosis.ALREADY_CRASHED and "already-crashed" not in options.accepted
    if crashes and seen:
        incident.case.journal.append("crash.seen", reason=finding.reason)
        incident.progress.note("no NMI is sent; if that crash is an old one: --accept already-crashed")
        return None
    with _stage(incident, "preflight"):
        preflight(incident, finding, even_if_responsive=options.even_if_responsive, accepted=options.accepted)
    with _stage(incident, "evidence"):
        collect_evidence(incident, "evidence", "before")
    return finding


def _require_health(incident: Incident, finding: Finding) -> None:
    """A drill proves the way to the dump; whatever else may be wrong with the host must not come into it."""
    if finding.diagnosis is not Diagnosis.RESPONSIVE:
        raise PreflightError(
            f"no NMI was sent: a drill is for a healthy host, and this one is {finding.diagnosis}: "
            f"{finding.reason}",
            hint=f"If it hangs: hang-collector collect {incident.host.name}",
            host=incident.host.name,
        )


def _bring_it_home(incident: Incident, since: datetime) -> str:
    """Wait for the dump, fetch it and the logs, and check it.

    Raises:
        NoDumpError, UncertainError, WaitDeadlineError: there is no dump to fetch.
        PartialError: something that exists could not be brought home whole.
    """
    journal = incident.case.journal
    awaited = history.found(journal.entries())
    if awaited is None:
        with _stage(incident, "wait"):
            awaited = wait(incident, since)
            _write_down(incident, awaited)
    if not awaited.proved:
        raise _no_dump(incident, _from_outside(incident, awaited))
    failures = _fetch(incident, awaited, since)
    if not awaited.dumps:
        raise _no_dump(incident, awaited)
    return _all_home(incident, awaited, failures)


def _from_outside(incident: Incident, awaited: Awaited) -> Awaited:
    """What can be had of a host that nobody can look into: a last look, once, and its support bundle."""
    with _stage(incident, "evidence"):
        collect_evidence(incident, "evidence", "waited")
    if not awaited.back or not any(log.bundle for log in incident.playbook.steps.retrieve.logs):
        return awaited
    with _stage(incident, "retrieve"):
        home = retrieve_from_outside(incident)
    told = [f"its support bundle is home: {path}" for path in home.dumps] + list(home.failures)
    return replace(awaited, reason="; ".join([awaited.reason, *told]))


def _fetch(incident: Incident, awaited: Awaited, since: datetime) -> tuple[str, ...]:
    """Bring home what there is, check it, and ask it what hung the host; return what failed, in words."""
    with _stage(incident, "retrieve"):
        home = retrieve(incident, awaited.dumps, awaited.unfinished, since)
        read_records(incident, since)
        collect_evidence(incident, "logs", "after")
    with _stage(incident, "validate"):
        failures = home.failures + tuple(validate(incident, home.dumps, since))
    with _stage(incident, "triage"):
        triage(incident, home.dumps)
    return failures


def _all_home(incident: Incident, awaited: Awaited, failures: tuple[str, ...]) -> str:
    """The story of a dump that is home and whole; raises PartialError when something failed."""
    if failures:
        raise PartialError(
            "not everything is home and whole: " + "; ".join(failures),
            hint="Resume the case to try the rest again; the report lists what is missing.",
            host=incident.host.name,
        )
    dumps = ", ".join(f"{dump.path} ({size(dump.size)})" for dump in awaited.dumps)
    notes = {entry.data["path"]: entry.data["note"] for entry in incident.case.journal.all("dump.checked")}
    if doubts := "; ".join(str(note) for note in notes.values() if note):
        return f"the dump is home and whole: {dumps}; but {doubts}"
    by_itself = incident.case.journal.last("crash.seen") is not None
    what = "drill" if incident.drill else "crash" if by_itself else "hang"
    return f"the dump is home, whole, and of this {what}: {dumps}"


def _refuse_while_claimed_elsewhere(incident: Incident, options: Options) -> None:
    """An NMI of an older case may still be at work on this host."""
    case = incident.case.path
    if options.send_again:
        return
    for other in claims.cases_of(case.parent, identities(incident.host)):
        entries = CaseFolder.open(other).journal.entries() if other != case else []
        if history.claim_stands(entries):
            raise PreflightError(
                f"case {other.name} has sent an NMI, and nobody has seen yet what came of it",
                hint=f"hang-collector resume {other}: it looks for the dump and sends nothing.",
                host=incident.host.name,
            )
        if history.trigger_outcome(entries) not in (None, NmiOutcome.NOT_SENT):
            return  # the host was seen to come back after that NMI: older ones are over as well


def _last_look(incident: Incident, finding: Finding) -> None:
    """Ask once more right before the claim: a person may have thought for long about the confirmation."""
    now = one_round(incident, "last look", before=finding.diagnosis)
    if now.diagnosis is finding.diagnosis:
        return
    alive = now.diagnosis in (Diagnosis.RESPONSIVE, Diagnosis.DEGRADED)
    raise (NotHungError if alive else PreflightError)(
        f"no NMI was sent: the host was {finding.diagnosis} and is now {now.diagnosis}: {now.reason}",
        hint="Look at its console; then resume the case, or leave the host alone.",
        host=incident.host.name,
    )


def _write_down(incident: Incident, awaited: Awaited) -> None:
    journal = incident.case.journal
    for kind, files in (("dump.found", awaited.dumps), ("dump.unfinished", awaited.unfinished)):
        for file in files:
            journal.append(kind, path=file.path, bytes=file.size, modified=file.modified)
    if awaited.proved and not awaited.dumps:
        journal.append("dump.none", reason=awaited.reason)
    incident.progress.note(awaited.reason)


def _no_dump(incident: Incident, awaited: Awaited) -> CollectorError:
    host, outcome = incident.host.name, history.trigger_outcome(incident.case.journal.entries())
    resume = f"hang-collector resume {incident.case.path}"
    if awaited.refused is not None:
        return type(awaited.refused)(awaited.reason, hint=f"{awaited.refused.hint} Then: {resume}", host=host)
    if awaited.proved:
        why = own_words(incident.case.journal.entries())
        return NoDumpError(
            "; ".join(filter(None, (awaited.reason, why))),
            hint="Read the logs in the case; then arm the host for the next time.",
            host=host,
        )
    if outcome is NmiOutcome.UNCERTAIN and not awaited.ping_gap:
        return UncertainError(
            f"nobody can say whether the NMI arrived; {awaited.reason}",
            hint=f"Look at the console. Then {resume}; to send another: --send-again REASON.",
            host=host,
        )
    return WaitDeadlineError(
        f"no dump before the deadline; {awaited.reason}",
        hint=f"It may still be dumping: do not reset it. Later: {resume}.",
        host=host,
    )


@contextmanager
def _stage(incident: Incident, name: str) -> Iterator[None]:
    """Write down when a stage begins and how it ends, whatever happens in it."""
    journal, started = incident.case.journal, time.monotonic()
    journal.append("stage.started", stage=name)
    incident.progress.stage(name)
    outcome, detail = Outcome.FAILED, "interrupted"
    try:
        yield
        outcome, detail = Outcome.SUCCESS, ""
    except CollectorError as error:
        outcome, detail = Outcome.of(error), error.message
        raise
    finally:
        journal.append(
            "stage.ended",
            stage=name,
            outcome=str(outcome),
            detail=detail,
            seconds=round(time.monotonic() - started, 3),
        )


def _close(incident: Incident, outcome: Outcome, detail: str, hint: str = "", code: str = "") -> HostResult:
    """Write the last line, the report, and the manifest that `sha256sum -c` verifies."""
    case = incident.case
    case.journal.append("case.closed", outcome=str(outcome), detail=detail, hint=hint, code=code)
    report.write_report(case)
    manifest.seal(case)
    return HostResult(
        host=incident.host.name,
        outcome=outcome,
        detail=detail,
        hint=hint,
        code=code,
        case=case.path,
        steps=history.steps(case.journal.entries()),
    )
