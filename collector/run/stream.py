"""Bring home what a command writes when it is too large for memory, such as a bundle of vm-support."""

from __future__ import annotations

import time

from collector.adapters.base import CommandStream
from collector.adapters.limits import Deadline
from collector.case.partfile import PartFile
from collector.case.wording import size
from collector.errors import AdapterError, CollectorError, DeadlineError
from collector.model.result import Outcome
from collector.playbook.schema import LogSource
from collector.run.incident import Incident
from collector.run.inside import ways

_LOGIN = 60.0
"""Seconds that the login may take."""


def stream(incident: Incident, log: LogSource, deadline: Deadline) -> list[str]:
    """Run the command over the first channel that can stream, and keep its output; return what failed.

    A stream has no offset to go on from: one that breaks off begins anew when the case is resumed.
    """
    command = log.command or ""
    incident.progress.status(f"collecting {log.name}")
    try:
        endpoint = ways(incident.host, incident.connections, CommandStream)[0]
        login = deadline.within(_LOGIN)
        with incident.connections.open(incident.host, endpoint, CommandStream, login) as channel:
            _copy(incident, channel, log, deadline)
    except CollectorError as error:
        incident.miss(log.name, command, Outcome.of(error), error.message)
        return [f"{log.name}: {error.message}"]
    return []


def _copy(incident: Incident, channel: CommandStream, log: LogSource, deadline: Deadline) -> None:
    command, done = log.command or "", 0
    with PartFile.open(incident.case, f"logs/{log.name}", f"{command} begun {time.time_ns()}") as part:
        try:
            for chunk in channel.stream(command, log.deadline):
                part.write(chunk)
                done += len(chunk)
                incident.progress.status(f"{log.name}: {size(done)} so far")
                if deadline.expired:
                    raise DeadlineError(
                        f"{done} bytes had come at the deadline", hint="Give `retrieve` a longer deadline."
                    )
        except AdapterError as error:
            if done == 0:
                raise
            # What came so far may hold the one log that explains it all.
            incident.miss(f"{log.name} (whole)", command, Outcome.of(error), error.message)
        artifact = part.finish()
    incident.record(artifact, source=command, kind="log")
