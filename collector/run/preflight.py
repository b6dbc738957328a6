"""Stage 2, preflight: would an NMI now be useful, and harmless to what we want to save?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from collector.adapters.base import GuestView, HostView, NmiInjector, Power, Watchdog
from collector.adapters.limits import Deadline
from collector.checks import preflight as rules
from collector.checks import preflight_esxi, preflight_windows
from collector.errors import AdapterError, CollectorError, NotHungError, PreflightError
from collector.model.fact import Facts
from collector.model.host import Platform
from collector.model.verdict import Level, Verdict
from collector.playbook.schema import Act
from collector.probe.diagnosis import Diagnosis, Finding
from collector.run import snapshot
from collector.run.examine import known_facts
from collector.run.incident import Incident

WOULD_DUMP: Mapping[Platform, Callable[[Facts, datetime], list[Verdict]]] = {
    Platform.LINUX: lambda facts, now: [rules.kdump_armed(facts, now), rules.nmi_panics(facts, now)],
    Platform.WINDOWS: preflight_windows.would_dump,
    Platform.ESXI: preflight_esxi.would_dump,
}
"""Would an NMI end in a dump? By platform, from facts that were read now or when the host last answered."""

_NOTHING = {Act.NMI: "no NMI was sent", Act.SNAPSHOT: "no snapshot was taken"}


def preflight(
    incident: Incident, finding: Finding, *, even_if_responsive: bool, accepted: frozenset[str]
) -> Sequence[Verdict]:
    """Judge everything that can still be read, write it down, and refuse where an NMI must not go out.

    Raises:
        NotHungError: the host answers.
        PreflightError: a check is critical and nobody accepted it, or no controller can send an NMI.
    """
    verdicts = [_diagnosis_allows(finding, drill=incident.drill, even_if_responsive=even_if_responsive)]
    if incident.playbook.steps.trigger.act is Act.SNAPSHOT:
        verdicts += snapshot.judge_price(incident)
    else:
        verdicts += _ask_controllers(incident)
        seen = _ask_vcenter(incident)
        better = {verdict.check for verdict in seen}
        verdicts += [each for each in _would_dump(incident, finding) if each.check not in better] + seen
    if incident.drill:
        verdicts = [_without_guessing(verdict) for verdict in verdicts]
    for verdict in verdicts:
        incident.case.journal.append(
            "check",
            check=verdict.check,
            level=str(verdict.level),
            reason=verdict.reason,
            remedy=verdict.remedy,
            accepted=verdict.check in accepted,
        )
        incident.progress.note(f"{verdict.level}: {verdict.check}: {verdict.reason}")
    _refuse(incident, finding, verdicts, accepted)
    return verdicts


def _diagnosis_allows(finding: Finding, *, drill: bool, even_if_responsive: bool) -> Verdict:
    match finding.diagnosis:
        case Diagnosis.HUNG_SOFTWARE | Diagnosis.ALREADY_CRASHED:
            return Verdict("diagnosis", Level.OK, finding.diagnosis)
        case Diagnosis.HUNG_KERNEL_OR_NETWORK:
            return Verdict(
                "diagnosis",
                Level.WARNING,
                finding.reason,
                "Ask a neighbour of the host, or its console, whether the network is to blame.",
            )
        case Diagnosis.RESPONSIVE if drill:
            return Verdict("diagnosis", Level.OK, f"{finding.diagnosis}, as a drill expects")
        case Diagnosis.RESPONSIVE | Diagnosis.DEGRADED if even_if_responsive:
            return Verdict("diagnosis", Level.WARNING, f"{finding.reason} (--even-if-responsive)")
        case _:
            return Verdict("diagnosis", Level.CRITICAL, finding.reason, "Do not send an NMI.")


def _without_guessing(verdict: Verdict) -> Verdict:
    """What a healthy host does not tell stops a drill: a login that fails now would fail for the dump too."""
    if verdict.level is not Level.UNKNOWN:
        return verdict
    remedy = f"Mend that first, or go on with --accept {verdict.check}."
    return replace(verdict, level=Level.CRITICAL, remedy=remedy)


def _ask_controllers(incident: Incident) -> list[Verdict]:
    """Log in to each controller that can send an NMI; one that answers and agrees is enough."""
    steps, host = incident.playbook.steps, incident.host
    deadline = Deadline.after(steps.preflight.deadline)
    assert steps.wait is not None, "the playbook was checked: whoever sends an NMI waits"
    failures: list[str] = []
    for endpoint, login in incident.connections.in_turn(host.controllers, NmiInjector, deadline):
        try:
            with incident.connections.open(host, endpoint, NmiInjector, login) as controller:
                verdicts = [Verdict("controller", Level.OK, f"logged in to {endpoint.identity}")]
                if isinstance(controller, Power):
                    verdicts.append(rules.power(controller.power_state(deadline)))
                if isinstance(controller, GuestView):
                    verdicts.append(rules.guest(controller.guest(deadline)))
                if isinstance(controller, Watchdog):
                    verdicts.append(_watchdog(controller, steps.wait.deadline, deadline))
                return verdicts
        except CollectorError as error:
            failures.append(f"{endpoint.identity}: {error.message}")
    reason = "; ".join(failures) or "none of the host's controllers can send an NMI"
    return [Verdict("controller", Level.CRITICAL, reason, "Send the NMI by hand at the machine.")]


def _watchdog(controller: Watchdog, dump_seconds: float, deadline: Deadline) -> Verdict:
    try:
        return rules.watchdog(controller.watchdog(deadline), dump_seconds)
    except AdapterError as error:
        return Verdict("watchdog", Level.UNKNOWN, f"the watchdog timer could not be read: {error.message}")


def _ask_vcenter(incident: Incident) -> list[Verdict]:
    """What the vCenter of an ESXi host says now is better than what the host said when it still answered."""
    deadline = Deadline.after(incident.playbook.steps.preflight.deadline)
    failures: list[str] = []
    for endpoint, login in incident.connections.in_turn(incident.host.controllers, HostView, deadline):
        try:
            with incident.connections.open(incident.host, endpoint, HostView, login) as vcenter:
                return preflight_esxi.seen_by_vcenter(vcenter.host_state(deadline))
        except CollectorError as error:
            failures.append(f"{endpoint.identity}: {error.message}")
    return [Verdict("vcenter", Level.UNKNOWN, "; ".join(failures))] if failures else []


def _would_dump(incident: Incident, finding: Finding) -> list[Verdict]:
    judge = WOULD_DUMP.get(incident.host.platform)
    if judge is None:
        return []
    deadline = Deadline.after(incident.playbook.steps.preflight.deadline)
    facts, troubles = known_facts(
        incident.host, incident.connections, incident.case.path.parent, finding.diagnosis, deadline
    )
    for trouble in troubles:
        incident.progress.note(trouble)
    incident.case.journal.append("facts", values={name: fact.value for name, fact in facts.items()})
    return judge(facts, datetime.now(UTC))


def _refuse(
    incident: Incident, finding: Finding, verdicts: Sequence[Verdict], accepted: frozenset[str]
) -> None:
    stopping = [v for v in verdicts if v.level is Level.CRITICAL and v.check not in accepted]
    if not stopping:
        return
    first = stopping[0]
    kind: type[CollectorError] = PreflightError
    hint = first.remedy
    if finding.diagnosis in (Diagnosis.RESPONSIVE, Diagnosis.DEGRADED) and first.check == "diagnosis":
        kind, hint = NotHungError, "If it must crash all the same: --even-if-responsive."
    nothing = _NOTHING[incident.playbook.steps.trigger.act]
    reasons = "; ".join(verdict.reason for verdict in stopping)
    raise kind(f"{nothing}: {reasons}", hint=hint, host=incident.host.name)
