"""Stage 1, probe: is the host really hung? Several rounds, because one silence proves little."""

from __future__ import annotations

import time

from collector.probe.diagnosis import Diagnosis, Finding
from collector.run.examine import ControllerAnswer, Examination, examine
from collector.run.incident import Incident


def probe(incident: Incident) -> Finding:
    """Examine the host in rounds; the finding is hung only when every round says so."""
    step = incident.playbook.steps.probe
    finding = one_round(incident, "1")
    for number in range(2, step.rounds + 1):
        if not finding.diagnosis.hung:
            break
        incident.progress.status(f"{finding.diagnosis}; asking again in {step.pause:g} s")
        time.sleep(step.pause)
        finding = one_round(incident, str(number), before=finding.diagnosis)
    return finding


def one_round(incident: Incident, name: str, *, before: Diagnosis | None = None) -> Finding:
    """Examine the host once, and write down everything it showed."""
    seconds = incident.playbook.steps.probe.deadline
    seen = examine(incident.host, incident.connections, incident.observe, seconds, before=before)
    _write_down(incident, seen, name)
    reason = f": {seen.finding.reason}" if seen.finding.diagnosis is not before else " as before"
    incident.progress.note(f"{_named(name)}: {seen.finding.diagnosis}{reason}")
    return seen.finding


def _told(answer: ControllerAnswer) -> dict[str, object]:
    """A controller's answer as the journal keeps it: of a guest or of a host only where it sees one."""
    told: dict[str, object] = {
        "controller": answer.controller,
        "outcome": answer.outcome,
        "power": answer.power,
        "crash": answer.crash,
        "detail": answer.detail,
    }
    if answer.guest is not None:
        told |= {"heartbeat": answer.guest.heartbeat, "question": answer.guest.question}
    if answer.seen is not None:
        told |= {
            "connection": answer.seen.connection,
            "maintenance": answer.seen.maintenance,
            "running": answer.seen.running,
            "boot_time": answer.seen.boot_time.isoformat() if answer.seen.boot_time else None,
        }
    return told


def _named(round_name: str) -> str:
    return f"round {round_name}" if round_name.isdigit() else round_name


def _write_down(incident: Incident, seen: Examination, name: str) -> None:
    journal = incident.case.journal
    for one in seen.observations:
        journal.append(
            "observation",
            round=name,
            protocol=one.protocol,
            address=one.address,
            port=one.port,
            reach=str(one.reach),
            seconds=round(one.seconds, 3),
            evidence=dict(one.evidence),
        )
    for answer in seen.controllers:
        journal.append("controller", round=name, **_told(answer))
    journal.append("diagnosis", round=name, diagnosis=seen.finding.diagnosis, reason=seen.finding.reason)
