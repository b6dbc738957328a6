"""Stage 3, evidence: keep what the NMI will destroy, while it can still be read from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from collector.adapters.base import Clock, EventLog, GuestView, HostView, Power, Screen, StopSensors, Watchdog
from collector.adapters.limits import Deadline
from collector.errors import CollectorError
from collector.model.host import Endpoint
from collector.model.result import Outcome
from collector.playbook.schema import Evidence
from collector.run.incident import Incident


@dataclass(frozen=True, slots=True)
class _Kind:
    """A piece of evidence: who can give it, what its file is called, how it is read."""

    capability: type[object]
    file_name: str
    read: Callable[[object, Deadline], bytes]


def collect_evidence(incident: Incident, folder: str, when: str) -> None:
    """Read what the playbook names from the first controller that has it, to `FOLDER/WHEN-NAME`.

    A piece that cannot be had is a row in the journal, never the end of the run: the dump matters more.
    """
    step = incident.playbook.steps.evidence
    deadline = Deadline.after(step.deadline)
    for name in step.collect:
        kind = _KINDS[name]
        connections, controllers = incident.connections, incident.host.controllers
        if not connections.able(controllers, kind.capability):
            incident.miss(name, "", Outcome.SKIPPED, "no controller of this host offers it")
        for endpoint, login in connections.in_turn(controllers, kind.capability, deadline):
            incident.progress.status(f"reading {name} from {endpoint.identity}")
            try:
                data = _read(incident, endpoint, kind, login, deadline)
            except CollectorError as error:
                incident.miss(name, endpoint.identity, Outcome.of(error), error.message)
                continue
            place = f"{folder}/{when}-{kind.file_name}"
            incident.keep(place, data, source=endpoint.identity, kind="evidence")
            break


def _read(incident: Incident, endpoint: Endpoint, kind: _Kind, login: Deadline, deadline: Deadline) -> bytes:
    with incident.connections.open(incident.host, endpoint, kind.capability, login) as controller:
        return kind.read(controller, deadline)


def _json(data: object) -> bytes:
    return json.dumps(data, indent=1, default=str).encode()


def _power(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, Power)
    return _json({"power": controller.power_state(deadline)})


def _event_log(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, EventLog)
    return _json([asdict(event) for event in controller.events(deadline)])


def _clock(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, Clock)
    asked, told, heard = datetime.now(UTC), controller.clock(deadline), datetime.now(UTC)
    return _json({"asked": asked, "controller": told, "heard": heard})


def _watchdog(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, Watchdog)
    return _json(asdict(controller.watchdog(deadline)))


def _stop_sensors(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, StopSensors)
    return _json([asdict(sensor) for sensor in controller.stop_sensors(deadline)])


def _guest(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, GuestView)
    return _json(asdict(controller.guest(deadline)))


def _host(controller: object, deadline: Deadline) -> bytes:
    """The vCenter's events of the host stand with its view: the event log of the case is the BMC's."""
    assert isinstance(controller, HostView)
    told: dict[str, object] = {"host": asdict(controller.host_state(deadline))}
    if isinstance(controller, EventLog):
        told["events"] = [asdict(event) for event in controller.events(deadline)]
    return _json(told)


def _screen(controller: object, deadline: Deadline) -> bytes:
    assert isinstance(controller, Screen)
    return controller.screenshot(deadline)


_KINDS = {
    Evidence.POWER: _Kind(Power, "power.json", _power),
    Evidence.CLOCK: _Kind(Clock, "clock.json", _clock),
    Evidence.EVENT_LOG: _Kind(EventLog, "event-log.json", _event_log),
    Evidence.WATCHDOG: _Kind(Watchdog, "watchdog.json", _watchdog),
    Evidence.STOP_SENSORS: _Kind(StopSensors, "stop-sensors.json", _stop_sensors),
    Evidence.GUEST: _Kind(GuestView, "guest.json", _guest),
    Evidence.HOST: _Kind(HostView, "host.json", _host),
    Evidence.SCREEN: _Kind(Screen, "screen.png", _screen),
}
