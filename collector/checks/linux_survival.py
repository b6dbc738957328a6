"""Who would reset the host while it dumps? Watchdogs in it, and the cluster around it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from collector.checks.linux_target import dump_estimate
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, number, value
from collector.model.verdict import Level, Verdict

_CLUSTERS = ("pacemaker", "corosync", "sbd")
_PROXMOX = ("pve-ha-lrm", "watchdog-mux")
_EVICTING = ("ohasd", "oracle-ohasd")  # Oracle Clusterware
_REMEDIED = (
    "kubelet",
    "k3s",
    "k3s-agent",
    "rke2-server",
    "rke2-agent",
    "nova-compute",
    "openstack-nova-compute",
)
_HYPERVISORS = {"VMware": "vSphere HA", "Microsoft": "Hyper-V's heartbeat"}
_CLUSTER_MAINTENANCE = tuple(f'name="maintenance-mode" value="{yes}"' for yes in ("true", "1", "yes", "on"))
_PANIC_TIMEOUT = 255.0  # seconds; panic_wdt_timeout of drivers/char/ipmi/ipmi_watchdog.c
_HARMLESS = ("Software Watchdog",)  # softdog is a timer of the kernel that crashed, and stops with it


@dataclass(frozen=True, slots=True)
class _Maker:
    """A maker of servers: what DMI calls it, its timer, the agents that feed it, and where to look."""

    names: tuple[str, ...]
    timer: str
    agents: tuple[str, ...]
    look: str


_MAKERS = {
    "WD-4": _Maker(("HP", "HEWLETT"), "HPE's ASR", ("hp-asrd", "hp-health"), "see iLO or the system setup"),
    "WD-5": _Maker(
        ("DELL",), "Dell's automatic recovery", ("dsm_sa_datamgrd", "dcismeng"), "`omreport system recovery`"
    ),
    "WD-6": _Maker(
        ("FUJITSU", "LENOVO", "SUPERMICRO"),
        "the maker's OS watchdog",
        ("srvmagt", "eecd"),
        "see the BMC's page",
    ),
}


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


def panic_extension(facts: Facts) -> Verdict | None:
    """WD-2: kernel/panic.c starts kdump before the notifiers; one of them gives ipmi_watchdog more time."""
    if value(facts, "drivers") is None and not is_absent(facts, "drivers"):
        return unknown("WD-2", facts, "drivers")
    if "/sys/module/ipmi_watchdog" not in lines(facts, "drivers"):
        return None
    if value(facts, "watchdog_running") == "no":
        return good("WD-2", "ipmi_watchdog is loaded, and its timer does not run")
    early = value(facts, "crash_kexec_post_notifiers") == "Y"
    timeout = _PANIC_TIMEOUT if early else number(facts, "ipmi_watchdog_timeout")
    size = dump_estimate(facts)
    if timeout is None or size is None:
        return unknown("WD-2", facts, "ipmi_watchdog_timeout", "meminfo")
    text = f"ipmi_watchdog fires after {timeout:.0f} s, and the dump takes about {size.seconds:.0f} s"
    return good("WD-2", text) if timeout > size.seconds else bad("WD-2", text)


def hpe_recovery(facts: Facts) -> Verdict | None:
    """WD-4."""
    return _makers_recovery("WD-4", facts)


def dell_recovery(facts: Facts) -> Verdict | None:
    """WD-5."""
    return _makers_recovery("WD-5", facts)


def other_recovery(facts: Facts) -> Verdict | None:
    """WD-6."""
    return _makers_recovery("WD-6", facts)


def pausing(facts: Facts) -> Verdict | None:
    """FE-2: needs_fencing of Pacemaker's scheduler looks at the whole cluster's maintenance mode only."""
    running = _running(facts, _CLUSTERS)
    if running is None:
        return unknown("FE-2", facts, "cluster")
    if not running:
        return None
    if "sbd" in running:
        return bad("FE-2", "sbd runs: its watchdog resets the host in maintenance mode too")
    row = value(facts, "maintenance")
    if row is None and not is_absent(facts, "maintenance"):
        return unknown("FE-2", facts, "maintenance")
    if any(mode in (row or "") for mode in _CLUSTER_MAINTENANCE):
        return good("FE-2", "the cluster is in maintenance mode: it fences nobody")
    return good("FE-2", "maintenance mode of the whole cluster stops fencing; that of one node does not")


def outer_monitors(facts: Facts) -> Verdict | None:
    """FE-4: what watches the host from outside, or its cluster's other software."""
    running, vendor = _running(facts, _EVICTING, "agents"), value(facts, "vendor")
    if running is None:
        return unknown("FE-4", facts, "agents")
    if running:
        return bad(
            "FE-4", f"{running[0]} runs: the other nodes evict the host half a minute after its last word"
        )
    if vendor is None and not is_absent(facts, "vendor"):
        return unknown("FE-4", facts, "vendor")
    for name, monitor in _HYPERVISORS.items():
        if (vendor or "").startswith(name):
            return Verdict(
                "FE-4", Level.UNKNOWN, f"whether {monitor} resets the machine cannot be seen from in it"
            )
    return good("FE-4", "nothing is known of that would reset the host from outside")


def remediation(facts: Facts) -> Verdict | None:
    """FE-5: tools that replace a machine which does not answer."""
    running = _running(facts, _REMEDIED, "agents")
    if running is None:
        return unknown("FE-5", facts, "agents")
    if running:
        return bad(
            "FE-5", f"{running[0]} runs: its control plane may replace or reboot a node that falls silent"
        )
    return good(
        "FE-5", "no agent runs whose control plane would replace the host; other tools nobody sees here"
    )


def _makers_recovery(check: str, facts: Facts) -> Verdict | None:
    """The timer that the maker's agent feeds; where it is the BMC's watchdog, the BMC says if it runs."""
    maker, vendor = _MAKERS[check], value(facts, "vendor")
    if vendor is None:
        return None if is_absent(facts, "vendor") else unknown(check, facts, "vendor")
    if not vendor.upper().startswith(maker.names):
        return None
    running = _running(facts, maker.agents, "agents")
    if running is None:
        return unknown(check, facts, "agents")
    if running:
        return bad(check, f"{running[0]} feeds {maker.timer}, and nobody does while the host dumps")
    if value(facts, "watchdog_running") == "no":
        return good(check, f"no agent feeds {maker.timer}, and the BMC's watchdog does not run")
    return Verdict(check, Level.UNKNOWN, f"whether {maker.timer} is on was not read: {maker.look}")


def _stops_by_itself(identity: str, facts: Facts) -> bool:
    """Hpwdt stops its timer for a dump unless kdumptimeout says otherwise (drivers/watchdog/hpwdt.c)."""
    hpwdt = "iLO" in identity and (number(facts, "hpwdt_kdumptimeout") or 0) < 0
    return identity in _HARMLESS or hpwdt


def _running(facts: Facts, names: tuple[str, ...], fact: str = "cluster") -> list[str] | None:
    if value(facts, fact) is None and not is_absent(facts, fact):
        return None
    units = {posixpath.basename(path).removesuffix(".service") for path in lines(facts, fact)}
    return [name for name in names if name in units]


def _devices(facts: Facts) -> dict[str, dict[str, str]]:
    """What sysfs says of each watchdog: Linux Documentation/ABI/testing/sysfs-class-watchdog."""
    devices: dict[str, dict[str, str]] = {}
    for row in lines(facts, "watchdogs"):
        path, _, text = row.partition(":")
        devices.setdefault(posixpath.basename(posixpath.dirname(path)), {})[posixpath.basename(path)] = text
    return devices
