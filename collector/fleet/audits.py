"""The audit of many hosts: asked now, or as it was recorded, each of them one row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.errors import InventoryError
from collector.fleet.changes import as_of
from collector.fleet.engine import Engine
from collector.fleet.failures import MaxFailures, stop_after
from collector.fleet.reach import unreachable
from collector.model.audit import HostAudit
from collector.model.fleet import Row
from collector.model.host import Host
from collector.run.audit import audit, not_audited
from collector.run.incident import Observe

MAX_REPORT = 256 * 1024 * 1024
"""Bytes of a JSON report that are read back: about 25 KiB a host, for ten thousand hosts."""


def audit_all(
    hosts: Sequence[Host],
    connections: Connections,
    cases: Path,
    *,
    engine: Engine,
    observe: Observe,
    limit: MaxFailures | None = None,
) -> Iterator[HostAudit]:
    """Audit every host; the rows come as they are ready. A host that does not answer counts as a failure.

    With more than one host, every endpoint is first asked whether anybody is there.
    """

    def look(host: Host, deadline: Deadline) -> HostAudit:
        return audit(host, connections, cases, deadline)

    if len(hosts) > 1:
        for identity, reason in unreachable(hosts, observe).items():
            connections.give_up(identity, reason)
    by_name = {host.name: host for host in hosts}
    batch = engine.submit(hosts, look)
    rows = stop_after(batch, len(hosts), limit, _failed) if limit else batch.rows()
    for row in rows:
        yield row.value or not_audited(by_name[row.host], row.detail)


def recorded(
    hosts: Sequence[Host], last: Mapping[str, HostAudit], now: datetime, max_age: timedelta
) -> list[HostAudit]:
    """The last recorded audit of each host as it counts now; a host that has none is UNKNOWN."""
    return [
        as_of(last[host.name], now, max_age)
        if host.name in last
        else not_audited(host, "no audit of it is recorded in which it answered")
        for host in hosts
    ]


def unanswered(report: Path) -> list[str]:
    """The hosts that did not answer, from the JSON report of an earlier audit.

    Raises:
        InventoryError: it cannot be read, or is no such report.
    """
    try:
        with report.open("rb") as file:
            document = json.loads(file.read(MAX_REPORT))
        return [str(row["host"]) for row in document["hosts"] if not row["answered"]]
    except OSError as error:
        raise InventoryError(
            f"{report} cannot be read: {error.strerror}", hint="Name a file that --report json:PATH wrote."
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InventoryError(
            f"{report} is no JSON report of an audit", hint="Name a file that --report json:PATH wrote."
        ) from error


def _failed(row: Row[HostAudit]) -> bool:
    return row.value is None or not row.value.answered
