"""Stage 4 without a crash: have the memory written to files from outside; remove them once they are home.

The only caller of `take_snapshot` and `remove_snapshot` in the house. A snapshot stops the host while its
memory is written, and fills the disk it lies on, so its price is judged in preflight and said before anybody
confirms it. It is named after the case: taken up again, the case finds it and makes no second one.
"""

from __future__ import annotations

from collector.adapters.answers import RemoteFile, SnapshotPrice
from collector.adapters.base import MemorySnapshot
from collector.adapters.limits import Deadline
from collector.case.wording import size
from collector.errors import AdapterError, CollectorError, PreflightError
from collector.model.host import Endpoint
from collector.model.verdict import Level, Verdict
from collector.run.incident import Awaited, Incident


def judge_price(incident: Incident) -> list[Verdict]:
    """Is there somebody who can take a snapshot, and room for it? One that answers is enough."""
    deadline = Deadline.after(incident.playbook.steps.preflight.deadline)
    failures: list[str] = []
    for endpoint, login in incident.connections.in_turn(_ways(incident), MemorySnapshot, deadline):
        try:
            with incident.connections.open(incident.host, endpoint, MemorySnapshot, login) as taker:
                return [_judge(endpoint, taker.snapshot_price(deadline))]
        except CollectorError as error:
            failures.append(f"{endpoint.identity}: {error.message}")
    reason = "; ".join(failures) or "nothing that reaches this host can take one"
    return [Verdict("snapshot", Level.CRITICAL, reason, "Choose a playbook that sends an NMI.")]


def take(incident: Incident) -> Awaited:
    """Take the snapshot through the first endpoint that can, and return its files.

    Raises:
        PreflightError: nobody could take one; nothing was changed.
        AdapterError: it was begun, and nobody knows how it ended; the case can be resumed.
    """
    deadline = Deadline.after(incident.playbook.steps.trigger.deadline)
    failures: list[str] = []
    for endpoint, login in incident.connections.in_turn(_ways(incident), MemorySnapshot, deadline):
        begun = False
        try:
            with incident.connections.open(incident.host, endpoint, MemorySnapshot, login) as taker:
                incident.case.journal.append(
                    "snapshot.claim", name=incident.case.name, endpoint=endpoint.identity
                )
                begun = True
                files = tuple(taker.take_snapshot(incident.case.name, deadline))
                return _taken(endpoint, files)
        except AdapterError as error:
            if begun:
                raise
            failures.append(f"{endpoint.identity}: {error.message}")
    raise PreflightError(
        "no snapshot was taken: " + ("; ".join(failures) or "nothing that reaches this host can take one"),
        hint="Mend what it says, then resume this case; or choose another playbook.",
        host=incident.host.name,
    )


def remove(incident: Incident) -> list[str]:
    """Remove the snapshot whose files are home; return what failed, in words."""
    claim = incident.case.journal.last("snapshot.claim")
    assert claim is not None, "nothing is removed that was not taken"
    deadline = Deadline.after(incident.playbook.steps.trigger.deadline)
    endpoint = next(e for e in _ways(incident) if e.identity == claim.data["endpoint"])
    name = str(claim.data["name"])
    incident.progress.status(f"removing the snapshot {name}")
    try:
        with incident.connections.open(incident.host, endpoint, MemorySnapshot, deadline) as taker:
            taker.remove_snapshot(name, deadline)
    except AdapterError as error:
        return [f"the snapshot {name} is still at {endpoint.identity}: {error.message}"]
    incident.case.journal.append("snapshot.removed", name=name, endpoint=endpoint.identity)
    return []


def _ways(incident: Incident) -> tuple[Endpoint, ...]:
    return (*incident.host.controllers, *incident.host.channels)


def _judge(endpoint: Endpoint, price: SnapshotPrice) -> Verdict:
    cost = f"{size(price.needed)} of files through {endpoint.identity}; {price.suffering}"
    if price.free is None:
        return Verdict("snapshot", Level.WARNING, f"{cost}; how much is free there is not known")
    if price.free < price.needed:
        return Verdict(
            "snapshot",
            Level.CRITICAL,
            f"{cost}; only {size(price.free)} are free there",
            "Free space there, or choose a playbook that sends an NMI.",
        )
    return Verdict("snapshot", Level.OK, f"{cost}; {size(price.free)} are free there")


def _taken(endpoint: Endpoint, files: tuple[RemoteFile, ...]) -> Awaited:
    names = ", ".join(file.path for file in files)
    reason = f"the memory is written to {names} through {endpoint.identity}"
    return Awaited(files, (), reason, proved=True, ping_gap=False)
