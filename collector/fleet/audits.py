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
from collector.fleet.engine import Batch, Engine, Work
from collector.fleet.failures import MaxFailures, stop_after
from collector.fleet.reach import waves
from collector.model.audit import HostAudit
from collector.model.fleet import Row
from collector.model.host import Host
from collector.model.result import Outcome
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

    by_name = {host.name: host for host in hosts}
    alone = len(hosts) == 1
    batch = engine.submit(hosts, look) if alone else _Waves(hosts, look, engine, connections, observe)
    rows = stop_after(batch, len(hosts), limit, _failed) if limit else batch.rows()
    for row in rows:
        yield row.value or not_audited(by_name[row.host], row.detail)


class _Waves:
    """A batch whose hosts are submitted as it becomes known who answers."""

    def __init__(
        self,
        hosts: Sequence[Host],
        work: Work[HostAudit],
        engine: Engine,
        connections: Connections,
        observe: Observe,
    ) -> None:
        self._hosts = hosts
        self._work = work
        self._engine = engine
        self._connections = connections
        self._observe = observe
        self._under_way: Batch[HostAudit] | None = None
        self._cancelled = ""

    def rows(self) -> Iterator[Row[HostAudit]]:
        """Every host's row, exactly one each."""
        left = {host.name for host in self._hosts}
        for wave in waves(self._hosts, self._observe) if self._hosts else ():
            if self._cancelled:
                break
            for identity, reason in wave.unreachable.items():
                self._connections.give_up(identity, reason)
            self._under_way = self._engine.submit(wave.hosts, self._work)
            for row in self._under_way.rows():
                left.discard(row.host)
                yield row
        for host in self._hosts:
            if host.name in left:
                yield Row(host.name, Outcome.SKIPPED, detail=self._cancelled)

    def cancel(self, reason: str) -> None:
        """Start no more hosts."""
        self._cancelled = reason
        if self._under_way is not None:
            self._under_way.cancel(reason)


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
