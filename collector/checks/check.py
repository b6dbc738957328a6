"""One check, as the catalog holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.checks.family import Family
from collector.model.audit import Link, Severity

Commands = Mapping[Family | None, tuple[str, ...]]
"""Lines by distribution; None stands for every one that has none of its own."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check, as its documentation tells it; `language` is that of its commands."""

    id: str
    title: str
    link: Link
    severity: Severity
    why: str
    remedy: str
    source: str
    commands: Commands = field(default_factory=dict)
    language: str = "sh"


_KDUMP = {Family.RHEL: "kdump", Family.SUSE: "kdump", Family.DEBIAN: "kdump-tools"}
RESTART: Commands = {kin: (f"systemctl restart {name}.service",) for kin, name in _KDUMP.items()}
ENABLE: Commands = {kin: (f"systemctl enable --now {name}.service",) for kin, name in _KDUMP.items()}


def set_sysctl(name: str) -> Commands:
    """Set kernel.`name` to 1, now and at each boot."""
    file = "/etc/sysctl.d/90-nmi.conf"
    return {None: (f"echo 'kernel.{name} = 1' >> {file}", f"sysctl -w kernel.{name}=1")}
