"""Bring home the support bundle that a controller's server makes of a host that nobody gets into.

Making it writes a file on that server, so it happens here only: after the host is back, in `retrieve`.
"""

from __future__ import annotations

from collector.adapters.base import SupportBundle
from collector.adapters.limits import Deadline
from collector.case.partfile import PartFile
from collector.case.wording import size
from collector.errors import CollectorError
from collector.model.host import Endpoint
from collector.model.result import Outcome
from collector.playbook.schema import LogSource
from collector.run.copy import Patient
from collector.run.incident import Incident

_LOGIN = 60.0
"""Seconds that the login may take."""


def source_of(log: LogSource) -> str:
    """What the journal calls it."""
    return f"support bundle {log.name}"


def fetch_bundle(incident: Incident, log: LogSource, deadline: Deadline) -> list[str]:
    """Have it made by the first controller that can, and download it; return what failed, in words.

    A bundle that an earlier run of the case had made is downloaded on; it is not made again.
    """
    source = source_of(log)
    endpoints = incident.connections.able(incident.host.controllers, SupportBundle)
    if not endpoints:
        incident.miss(log.name, source, Outcome.SKIPPED, "no controller of this host makes one")
        return []
    try:
        url = _made_before(incident, log) or _make(incident, endpoints[0], log, deadline)
        _Download(incident, endpoints[0], log, url, deadline).run()
    except FileNotFoundError:
        incident.case.journal.append("bundle.gone", name=log.name)
        detail = "the server does not keep it any more; resume the case to have another one made"
        incident.miss(log.name, source, Outcome.MISSING, detail)
        return [f"{log.name}: {detail}"]
    except CollectorError as error:
        incident.miss(log.name, source, Outcome.of(error), error.message)
        return [f"{log.name}: {error.message}"]
    return []


def _made_before(incident: Incident, log: LogSource) -> str | None:
    """Where an earlier run of this case had it made, unless it is gone from there."""
    for entry in reversed(incident.case.journal.entries()):
        if entry.event in ("bundle.made", "bundle.gone") and entry.data["name"] == log.name:
            return str(entry.data["url"]) if entry.event == "bundle.made" else None
    return None


def _make(incident: Incident, endpoint: Endpoint, log: LogSource, deadline: Deadline) -> str:
    incident.progress.status(f"{log.name}: {endpoint.identity} makes it, which takes minutes")
    login = deadline.within(_LOGIN)
    with incident.connections.open(incident.host, endpoint, SupportBundle, login) as controller:
        url = controller.make_bundle(deadline.within(log.deadline))
    incident.case.journal.append("bundle.made", name=log.name, url=url, by=endpoint.identity)
    return url


class _Download:
    """Only reads, so a cut connection is taken up again at the last byte that is here."""

    def __init__(
        self, incident: Incident, endpoint: Endpoint, log: LogSource, url: str, deadline: Deadline
    ) -> None:
        self._incident = incident
        self._endpoint = endpoint
        self._log = log
        self._url = url
        self._deadline = deadline
        self._patient = Patient(incident, log.name, deadline)

    def run(self) -> None:
        """Raises what ended it for good."""
        self._patient.run(self._once)

    def _once(self) -> None:
        incident, log = self._incident, self._log
        with PartFile.open(incident.case, f"logs/{log.name}", f"bundle {self._url}") as part:
            incident.case.journal.append("copy.started", path=source_of(log), bytes=None, offset=part.offset)
            self._read_into(part)
            artifact = part.finish()
        incident.record(artifact, source=source_of(log), kind="log")

    def _read_into(self, part: PartFile) -> None:
        incident, done = self._incident, part.offset
        stall = incident.playbook.steps.retrieve.stall
        login = self._deadline.within(_LOGIN)
        with incident.connections.open(incident.host, self._endpoint, SupportBundle, login) as controller:
            for chunk in controller.read_bundle(self._url, done, stall):
                part.write(chunk)
                done += len(chunk)
                incident.progress.status(f"{self._log.name}: {size(done)} so far")
                self._patient.came(f"{done} bytes")
