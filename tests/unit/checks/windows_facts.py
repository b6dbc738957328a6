"""Facts of a healthy Windows host, and the one thing that is different about it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from collector.facts.controller import NAMES as CONTROLLER_NAMES
from collector.facts.windows import NAMES
from collector.model.fact import Fact, Facts
from tests.unit.checks.facts import ABSENT, NOW

GIB = 1024**3
BOOT = 1793490000
"""When the host started: 2026-10-31 23:40 UTC."""


def rows(*each: Mapping[str, object]) -> str:
    """Rows as the gatherer gives them: all texts."""
    return "\n".join(json.dumps({name: str(item) for name, item in row.items()}) for row in each)


def volume(path: str, free_gib: float, kind: int = 3) -> dict[str, object]:
    """A volume; kind 3 is a fixed disk."""
    return {"path": path, "kind": kind, "free": int(free_gib * GIB), "boot": int(path == "C:\\")}


def page_file(gib: float, path: str = "C:\\pagefile.sys", temporary: int = 0) -> str:
    """The only page file in use."""
    return rows({"path": path, "allocated_mb": int(gib * 1024), "temporary": temporary})


def record(event: int, after_boot: int, *values: str) -> str:
    """A record of the System log, so many seconds after the start."""
    return rows({"id": event, "time": BOOT + after_boot, "values": "\n".join(values)})


WRITTEN = record(162, -5000)

HEALTHY = {
    "nmi_controller": "ipmi://192.0.2.110:623",
    "power": "on",
    "watchdog_running": "no",
    "watchdog_action": "none",
    "channel": "winrm://192.0.2.51:5986",
    "administrator": "1",
    "boot_time": str(BOOT),
    "os_version": "10.0.20348",
    "product_type": "3",
    "domain_role": "3",
    "system_drive": "C:",
    "crash_dump_enabled": "7",
    "dump_file": "C:\\Windows\\MEMORY.DMP",
    "overwrite": "1",
    "auto_reboot": "1",
    "dump_filters": "dumpfve.sys",
    "ram": str(64 * GIB - 8192),
    "ram_installed": str(64 * GIB),
    "paging_files": "?:\\pagefile.sys",
    "page_files": page_file(41),
    "volumes": rows(volume("C:\\", 200), volume("D:\\", 500), volume("E:\\", 0, kind=5)),
    "bitlocker": rows({"drive": "C:", "protection": 0}),
    "boot_disks": rows({"bus": 17, "model": "NVMe"}),
    "storage_drivers": "stornvme",
    "dump_events": WRITTEN,
}


def facts(*changes: Mapping[str, str]) -> Facts:
    """A healthy Windows Server 2022 with these changes; a value `!reason` is a missing fact."""
    values = dict.fromkeys((*NAMES, *CONTROLLER_NAMES), ABSENT) | HEALTHY
    for change in changes:
        values |= change
    return {
        name: Fact(name, None, "winrm", NOW, text[1:])
        if text.startswith("!")
        else Fact(name, text, "winrm", NOW)
        for name, text in values.items()
    }
