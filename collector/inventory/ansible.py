"""Hosts from an Ansible inventory, as `ansible-inventory --list` prints it: one format for all its sources.

Ansible itself resolves INI and YAML files, plugins, ranges, variables and vaults before it prints this JSON.
Every group of a host becomes a tag; `ansible_host` and `ansible_port` lead to it, `ansible_connection` tells
Windows, and `bmc_address` names its BMC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from collector.errors import InventoryError
from collector.inventory.entry import Entry, platform, port, read
from collector.model.host import Platform

BMC = "bmc_address"
"""The host variable that holds the address of the BMC; Ansible has no word of its own for it."""

_EVERYONE = ("all", "ungrouped")
_WINDOWS = ("winrm", "psrp")


def entries(path: Path) -> list[Entry]:
    """The hosts of the inventory, in its order.

    Raises:
        InventoryError: it cannot be read, or is not what `ansible-inventory --list` prints.
    """
    try:
        groups = json.loads(read(path))
        variables: Mapping[str, Mapping[str, object]] = groups.pop("_meta")["hostvars"]
        tags = _tags(groups)
        return [_entry(name, variables.get(name, {}), tags.get(name, {}), path) for name in tags]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InventoryError(
            f"{path} is not what ansible-inventory prints",
            hint="Make it with `ansible-inventory -i YOUR_INVENTORY --list > hosts.json`.",
        ) from error


def _tags(groups: Mapping[str, Mapping[str, list[str]]]) -> dict[str, dict[str, None]]:
    """The groups of each host, those above its own included; a dict for its order."""
    above: dict[str, list[str]] = {}
    for name, group in groups.items():
        for child in group.get("children", []):
            above.setdefault(child, []).append(name)
    found: dict[str, dict[str, None]] = {}
    for name, group in groups.items():
        for host in group.get("hosts", []):
            found.setdefault(str(host), {}).update(dict.fromkeys(_upwards(name, above)))
    return found


def _upwards(group: str, above: Mapping[str, list[str]]) -> list[str]:
    """The group and all that hold it, each once, but for those that hold everybody."""
    seen: dict[str, None] = {}
    waiting = [group]
    while waiting:
        name = waiting.pop(0)
        if name not in seen and name not in _EVERYONE:
            seen[name] = None
            waiting += above.get(name, [])
    return list(seen)


def _entry(name: str, variables: Mapping[str, object], tags: Mapping[str, None], path: Path) -> Entry:
    def said(key: str) -> str:
        return str(variables.get(key) or "")

    windows = said("ansible_connection") in _WINDOWS
    return Entry(
        name,
        said("ansible_host"),
        Platform.WINDOWS if windows else platform(said("platform"), f"{path}: {name}"),
        tuple(tags),
        port(said("ansible_port"), f"{path}: {name}"),
        bmc=said(BMC),
    )
