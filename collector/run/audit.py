"""The audit of one host: read what can be read, judge it, and answer with one row whatever fails."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.model.audit import HostAudit
from collector.model.host import Host
from collector.model.verdict import Level


def audit(host: Host, connections: Connections, cases: Path, deadline: Deadline) -> HostAudit:
    """Ask the host and its controllers at the same time, and judge what they say.

    Changes nothing on the host. What it read is recorded under `cases`, for the night the host does not
    answer. Never raises `CollectorError`: a host that cannot be asked is a row of UNKNOWN.
    """
    return HostAudit(host.name, host.platform, datetime.now(UTC), Level.UNKNOWN, "not audited yet")
