"""Who would reset a Windows host while it dumps, and may its dump be fetched?"""

from __future__ import annotations

from collector.checks import controller
from collector.checks.rule import bad, good, unknown
from collector.checks.windows_memory import dump_estimate
from collector.checks.windows_read import is_cluster_node, is_hyperv_host, rows, services, unread
from collector.model.fact import Facts, value
from collector.model.verdict import Verdict

_AGENTS = {"hpqilo": "HPE's", "cpqasm": "HPE's", "dcdbas": "Dell's"}
_SHORTEST_RECOVERY_S = 300.0  # what HPE's firmware allows at least for Automatic Server Recovery
_HEARTBEATS = {"vmicheartbeat": "Hyper-V's", "vmtools": "VMware's"}
_NAMED = 3


def watchdog_timer(facts: Facts) -> Verdict | None:
    """WD-1."""
    return controller.timer(facts, dump_estimate(facts))


def recovery(facts: Facts) -> Verdict | None:
    """WSV-1: the drivers of server makers feed a timer of the hardware, and stop when Windows does."""
    if unread(facts, "services"):
        return unknown("WSV-1", facts, "services")
    found = sorted(
        {maker for start, maker in _AGENTS.items() if any(s.startswith(start) for s in services(facts))}
    )
    if not found:
        return good("WSV-1", "no driver of a server maker runs that would feed a recovery timer")
    size = dump_estimate(facts)
    if size is None:
        return unknown("WSV-1", facts, "crash_dump_enabled", "ram")
    whose = " and ".join(found)
    if size.seconds < _SHORTEST_RECOVERY_S:
        return good("WSV-1", f"{whose} driver runs, and the dump is written in {size.seconds:.0f} s")
    return bad(
        "WSV-1",
        f"{whose} driver runs, and the dump takes {size.seconds / 60:.0f} min at most: its timer may end it",
    )


def clustered_guests(facts: Facts) -> Verdict | None:
    """WSV-2: of a Hyper-V host in a cluster, about the machines that it runs."""
    if unread(facts, "services"):
        return unknown("WSV-2", facts, "services")
    if not (is_hyperv_host(facts) and is_cluster_node(facts)):
        return None
    if unread(facts, "cluster_vms"):
        return unknown("WSV-2", facts, "cluster_vms")
    watched = [
        row.get("name", "?") for row in rows(facts, "cluster_vms") if row.get("check_heartbeat") == "1"
    ]
    if not watched:
        return good("WSV-2", "no clustered machine is reset when its heartbeat stops")
    more = f" and {len(watched) - _NAMED} more" if len(watched) > _NAMED else ""
    return bad(
        "WSV-2",
        f"CheckHeartbeat is 1 for {', '.join(watched[:_NAMED])}{more}: "
        "the cluster resets them about a minute into their dump",
    )


def heartbeat(facts: Facts) -> Verdict | None:
    """WSV-3: what watches a guest is configured outside of it."""
    if unread(facts, "services"):
        return unknown("WSV-3", facts, "services")
    found = [whose for name, whose in _HEARTBEATS.items() if name in services(facts)]
    if not found:
        return good("WSV-3", "no hypervisor listens to a heartbeat of this host")
    return good(
        "WSV-3", f"{found[0]} heartbeat runs: what happens when it stops is set at the hypervisor's cluster"
    )


def cluster_node(facts: Facts) -> Verdict | None:
    """WSV-4."""
    if unread(facts, "services"):
        return unknown("WSV-4", facts, "services")
    if is_cluster_node(facts):
        return good("WSV-4", "the host is a cluster node: while it dumps, the others take over its roles")
    return good("WSV-4", "the host is in no cluster")


def may_read_dumps(facts: Facts) -> Verdict | None:
    """WCH-1: MEMORY.DMP is readable for administrators and the system."""
    administrator = value(facts, "administrator")
    if administrator is None:
        return unknown("WCH-1", facts, "administrator")
    if administrator == "1":
        return good("WCH-1", "the account is an administrator")
    return bad("WCH-1", "the account is no administrator, and dumps are readable for administrators only")
