"""One look at a host from every side at once: its services, its controllers, and what they mean together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.adapters.answers import GuestState, HostState, PowerState
from collector.adapters.base import GuestView, HostView, Power, StopSensors
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.errors import AdapterError, CollectorError
from collector.facts import store
from collector.model.fact import Facts
from collector.model.host import Host
from collector.model.result import Outcome
from collector.probe.diagnosis import ControllerView, Diagnosis, Finding, diagnose
from collector.probe.observation import Observation
from collector.probe.targets import targets_for
from collector.run.beside import beside
from collector.run.incident import Observe
from collector.run.inside import LANGUAGES


@dataclass(frozen=True, slots=True)
class ControllerAnswer:
    """What one controller said, or why it said nothing; a hypervisor says more of its guest or host."""

    controller: str
    outcome: Outcome
    power: PowerState | None = None
    crash: str | None = None
    detail: str = ""
    guest: GuestState | None = None
    seen: HostState | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything one look showed, and the finding."""

    host: str
    observations: Sequence[Observation]
    controllers: Sequence[ControllerAnswer]
    finding: Finding


def examine(
    host: Host,
    connections: Connections,
    observe: Observe,
    seconds: float,
    *,
    before: Diagnosis | None = None,
) -> Examination:
    """Ask all services and the controllers at the same time; ends with the slowest, after `seconds` at most.

    `before` is the finding of the round before, if there was one.
    """
    deadline = Deadline.after(seconds)
    asking = beside(lambda: ask_controllers(host, connections, deadline))
    observations = observe(targets_for(host), seconds)
    answers = asking()
    said = next((a for a in answers if a.outcome is Outcome.SUCCESS), None)
    seen = seen_by_vcenter(answers)
    view = ControllerView(
        said.power if said else None, said.crash if said else None, seen.connection if seen else None
    )
    return Examination(host.name, observations, answers, diagnose(observations, view, before=before))


def not_examined(host: Host, why: str) -> Examination:
    """The row of a host that could not be looked at: nobody knows, and `why`."""
    return Examination(host.name, (), (), Finding(Diagnosis.UNKNOWN, f"it could not be looked at: {why}"))


def ask_controllers(host: Host, connections: Connections, deadline: Deadline) -> list[ControllerAnswer]:
    """Ask one controller after the other, until one answers; and a vCenter of the host beside them.

    A vCenter does not stand for the others: of a host that hangs, it does not know the power.
    """
    views = connections.able(host.controllers, HostView)
    others = tuple(each for each in host.controllers if each not in views)
    looking = beside(lambda: _ask_vcenters(host, connections, deadline)) if views else None
    answers: list[ControllerAnswer] = []
    for endpoint, login in connections.in_turn(others, Power, deadline):
        try:
            with connections.open(host, endpoint, Power, login) as controller:
                guest = controller.guest(deadline) if isinstance(controller, GuestView) else None
                power = guest.power if guest else controller.power_state(deadline)
                crash = _crash_seen(controller, deadline)
        except CollectorError as error:  # also a missing secret: it costs this row, not the whole fleet
            answers.append(ControllerAnswer(endpoint.identity, Outcome.of(error), detail=error.message))
            continue
        answers.append(ControllerAnswer(endpoint.identity, Outcome.SUCCESS, power, crash, guest=guest))
        break
    return answers + (looking() if looking else [])


def seen_by_vcenter(answers: Sequence[ControllerAnswer]) -> HostState | None:
    """What the first vCenter that answered says of the host."""
    return next((answer.seen for answer in answers if answer.seen is not None), None)


def _ask_vcenters(host: Host, connections: Connections, deadline: Deadline) -> list[ControllerAnswer]:
    answers: list[ControllerAnswer] = []
    for vcenter, login in connections.in_turn(host.controllers, HostView, deadline):
        try:
            with connections.open(host, vcenter, HostView, login) as controller:
                seen = controller.host_state(deadline)
        except CollectorError as error:
            answers.append(ControllerAnswer(vcenter.identity, Outcome.of(error), detail=error.message))
            continue
        answers.append(ControllerAnswer(vcenter.identity, Outcome.SUCCESS, seen.power, seen=seen))
        break
    return answers


def known_facts(
    host: Host, connections: Connections, cases: Path, diagnosis: Diagnosis, deadline: Deadline
) -> tuple[Facts, Sequence[str]]:
    """Ask the host for its facts while something in it answers, and record them; recall what was not asked.

    Returns:
        The facts, and why channels that were tried gave none.
    """
    language = LANGUAGES.get(host.platform)
    troubles: list[str] = []
    if language is None:
        return {}, troubles
    if diagnosis in (Diagnosis.RESPONSIVE, Diagnosis.DEGRADED):
        for endpoint, login in connections.in_turn(host.channels, language.capability, deadline):
            try:
                with connections.open(host, endpoint, language.capability, login) as adapter:
                    facts = language.few(adapter, endpoint.type, deadline)
            except CollectorError as error:
                troubles.append(f"{endpoint.identity}: {error.message}")
                continue
            store.record(cases, host.name, facts)
            break
    return store.recorded(cases, host.name), troubles


def _crash_seen(controller: object, deadline: Deadline) -> str | None:
    if not isinstance(controller, StopSensors):
        return None
    try:
        stopped = controller.stop_sensors(deadline)
    except AdapterError:
        # Many controllers cannot read their sensors in time; the power state stands without them.
        return None
    return "; ".join(f"{sensor.name}: {', '.join(sensor.states)}" for sensor in stopped) or None
