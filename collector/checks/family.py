"""Which kdump a host has: that of Red Hat, Debian or SUSE, and their relatives."""

from __future__ import annotations

from enum import StrEnum

from collector.model.fact import Facts, value


class Family(StrEnum):
    """Distributions whose kdump is the same software."""

    RHEL = "rhel"
    DEBIAN = "debian"
    SUSE = "suse"


_FAMILIES = {
    **dict.fromkeys(("rhel", "fedora", "centos", "rocky", "almalinux", "ol"), Family.RHEL),
    **dict.fromkeys(("debian", "ubuntu"), Family.DEBIAN),
    **dict.fromkeys(("suse", "sles", "opensuse"), Family.SUSE),
}


def family(facts: Facts) -> Family | None:
    """The host's distribution by its own and its relatives' names in os-release(5)."""
    for key in ("ID", "ID_LIKE"):
        for line in (value(facts, "os_release") or "").splitlines():
            name, _, text = line.partition("=")
            for word in text.strip("\"'").split() if name == key else ():
                if word in _FAMILIES:
                    return _FAMILIES[word]
    return None
