"""A dump that goes over the network: can the capture kernel get there, and is it let in?"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from collector.checks.family import Family
from collector.checks.kdump_config import KdumpConfig, Kind, config
from collector.checks.linux_target import no_config
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict

_SSH = "/root/.ssh"
_KEY = f"{_SSH}/kdump_id_rsa"  # kdump.conf(5) and kdump-tools(5), unless it is set
_KNOWN_HOSTS = f"{_SSH}/known_hosts"
_KEY_NAMES = {Family.RHEL: "sshkey", Family.DEBIAN: "SSH_KEY", Family.SUSE: "KDUMP_SSH_IDENTITY"}
_OWN_KEYS = tuple(f"{_SSH}/id_{kind}" for kind in ("rsa", "ecdsa", "ed25519"))  # ssh(1)


def ssh_login(facts: Facts) -> Verdict | None:
    """TG-7: nobody is there to type a password, or to accept a host key."""
    found = config(facts)
    if found is None:
        return no_config("TG-7", facts)
    if found.target.kind is not Kind.SSH:
        return None
    keys = _keys(found)
    if any(posixpath.dirname(key) != _SSH for key in keys):
        return Verdict("TG-7", Level.UNKNOWN, f"whether {' or '.join(keys)} is there was not read")
    if value(facts, "ssh_files") is None and not is_absent(facts, "ssh_files"):
        return unknown("TG-7", facts, "ssh_files")
    there = lines(facts, "ssh_files")
    missing = [] if any(key in there for key in keys) else [" or ".join(keys)]
    missing += [_KNOWN_HOSTS] if _KNOWN_HOSTS not in there else []
    if missing:
        return bad("TG-7", f"to log in to {found.target.device} kdump lacks {' and '.join(missing)}")
    return good("TG-7", f"a key and {_KNOWN_HOSTS} are there; a drill shows whether they fit")


def network_path(facts: Facts) -> Verdict | None:
    """TG-8: what is bonded, bridged or tagged has to be built anew in the capture kernel."""
    found = config(facts)
    if found is None:
        return no_config("TG-8", facts)
    if found.target.kind in (Kind.LOCAL, Kind.RAW):
        return None
    if value(facts, "interfaces") is None:
        return unknown("TG-8", facts, "interfaces")
    stacked = _stacked(lines(facts, "interfaces"))
    goal = f"{found.target.device} ({found.target.kind})"
    if stacked:
        return bad(
            "TG-8",
            f"the way to {goal} may lead over {', '.join(stacked)}, which the capture kernel must build",
        )
    return good("TG-8", f"the way to {goal} leads over a plain network card; only a drill proves the rest")


def _keys(found: KdumpConfig) -> Sequence[str]:
    """The keys of which one must be there."""
    named = found.keys.get(_KEY_NAMES[found.family])
    if named:
        return (named,)
    return _OWN_KEYS if found.family is Family.SUSE else (_KEY,)


def _stacked(paths: Sequence[str]) -> list[str]:
    """Cards with a master above them (a bond, a team, a bridge), and VLANs."""
    cards = {path.split("/")[4] for path in paths if path.endswith("/device")}
    slaves = {path.split("/")[4] for path in paths if path.endswith("/master")}
    vlans = {posixpath.basename(path) for path in paths if path.startswith("/proc/net/vlan/")} - {"config"}
    return [*(f"{card} in a bond or bridge" for card in sorted(cards & slaves)), *sorted(vlans)]
