"""Who would reset the host while it dumps? Watchdogs in it, and the cluster around it."""

from __future__ import annotations

import posixpath

from collector.checks.linux_target import dump_estimate
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, number, value
from collector.model.verdict import Verdict

_CLUSTERS = ("pacemaker", "corosync", "sbd")
_PROXMOX = ("pve-ha-lrm", "watchdog-mux")
_HARMLESS = ("Software Watchdog",)  # softdog is a timer of the kernel that crashed, and stops with it


def watchdogs(facts: Facts) -> Verdict | None:
    """WD-3: nobody feeds a running hardware watchdog unless its driver is in the capture image."""
    if is_absent(facts, "watchdogs"):
        return good("WD-3", "the host has no watchdog device")
    if value(facts, "watchdogs") is None:
        return unknown("WD-3", facts, "watchdogs")
    size = dump_estimate(facts)
    risky = []
    for name, about in _devices(facts).items():
        timeout = about.get("timeout", "")
        seconds = int(timeout) if timeout.isascii() and timeout.isdecimal() and len(timeout) < 12 else None  # noqa: PLR2004
        outlasts = size is not None and seconds is not None and seconds > size.seconds
        identity = about.get("identity", "unnamed")
        if about.get("state") == "active" and not _stops_by_itself(identity, facts) and not outlasts:
            risky.append(f"{name} ({identity}) is running and fires after {timeout or '?'} s")
    if risky:
        return bad("WD-3", "; ".join(risky))
    return good("WD-3", "no running watchdog would fire while the dump is written")


def cluster(facts: Facts) -> Verdict | None:
    """FE-1: fence_kdump tells the other nodes that this one is dumping."""
    running = _running(facts, _CLUSTERS)
    if running is None:
        return unknown("FE-1", facts, "cluster")
    if not running:
        return good("FE-1", "no cluster manager runs on the host")
    if any(not row.partition(":")[2].lstrip().startswith("#") for row in lines(facts, "fence_kdump")):
        return good("FE-1", f"{', '.join(running)} runs, and fence_kdump is configured")
    if not is_absent(facts, "fence_kdump"):
        return unknown("FE-1", facts, "fence_kdump")
    return bad(
        "FE-1", f"{', '.join(running)} runs without fence_kdump: the other nodes power the host off mid-dump"
    )


def proxmox(facts: Facts) -> Verdict | None:
    """FE-3."""
    running = _running(facts, _PROXMOX)
    if running is None:
        return unknown("FE-3", facts, "cluster")
    if not running:
        return None
    return bad(
        "FE-3", f"{', '.join(running)} runs: the node is fenced about a minute after it stops answering"
    )


def _stops_by_itself(identity: str, facts: Facts) -> bool:
    """Hpwdt stops its timer for a dump unless kdumptimeout says otherwise (drivers/watchdog/hpwdt.c)."""
    hpwdt = "iLO" in identity and (number(facts, "hpwdt_kdumptimeout") or 0) < 0
    return identity in _HARMLESS or hpwdt


def _running(facts: Facts, names: tuple[str, ...]) -> list[str] | None:
    if value(facts, "cluster") is None and not is_absent(facts, "cluster"):
        return None
    units = {posixpath.basename(path).removesuffix(".service") for path in lines(facts, "cluster")}
    return [name for name in names if name in units]


def _devices(facts: Facts) -> dict[str, dict[str, str]]:
    """What sysfs says of each watchdog: Linux Documentation/ABI/testing/sysfs-class-watchdog."""
    devices: dict[str, dict[str, str]] = {}
    for row in lines(facts, "watchdogs"):
        path, _, text = row.partition(":")
        devices.setdefault(posixpath.basename(posixpath.dirname(path)), {})[posixpath.basename(path)] = text
    return devices
