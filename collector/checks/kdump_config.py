"""Where kdump is configured to write, by the grammar of each distribution's own file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from collector.checks.family import Family, family
from collector.checks.rule import is_absent, lines
from collector.model.fact import Facts, value

DEFAULT_LEVEL = 31  # every distribution's default: kernel pages only


class Kind(StrEnum):
    """What kind of place a dump goes to."""

    LOCAL = "local"
    SSH = "ssh"
    NFS = "nfs"
    FTP = "ftp"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the dump goes, and what is left out of it.

    `device` is empty when the path says it; `level` is None when the whole memory is copied.
    """

    kind: Kind
    path: str
    device: str = ""
    level: int | None = DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class KdumpConfig:
    """The target, and all keys with their last values."""

    family: Family
    target: Target
    keys: Mapping[str, str]


SOURCES = {Family.RHEL: "kdump_conf", Family.DEBIAN: "kdump_tools", Family.SUSE: "kdump_sysconfig"}
"""The fact that holds each distribution's configuration."""

_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "virtiofs")
_URL = re.compile(r"(?P<scheme>\w+)://(?P<rest>.*)")


def config(facts: Facts) -> KdumpConfig | None:
    """The host's configuration; None when it could not be read, or its distribution is not known."""
    kin = family(facts)
    if kin is None or (value(facts, SOURCES[kin]) is None and not _defaults_hold(facts, kin)):
        return None
    rows = lines(facts, SOURCES[kin])
    if kin is Family.RHEL:
        keys = _kdump_conf(rows)
        return KdumpConfig(kin, _rhel_target(keys), keys)
    keys = _shell_variables(rows)
    return KdumpConfig(kin, (_debian_target if kin is Family.DEBIAN else _suse_target)(keys), keys)


def _defaults_hold(facts: Facts, kin: Family) -> bool:
    """An empty file, or none where the distribution does not need one, means its defaults."""
    fact = facts.get(SOURCES[kin])
    return fact is not None and (
        fact.missing == "empty" or (kin is not Family.RHEL and is_absent(facts, fact.name))
    )


def _kdump_conf(rows: list[str]) -> dict[str, str]:
    """`key value` with comments at the end of a line too; the last value of a key wins, kdump.conf(5)."""
    keys: dict[str, str] = {}
    for row in rows:
        key, _, rest = row.partition("#")[0].strip().partition(" ")
        if key:
            keys[key] = rest.strip().strip("\"'")
    return keys


def _shell_variables(rows: list[str]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for row in rows:
        key, equals, rest = row.partition("=")
        if equals and key.strip().isidentifier():
            keys[key.strip()] = _unquoted(rest)
    return keys


def _unquoted(text: str) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return text.strip("\"'")
    return words[0] if words else ""


def _rhel_target(keys: Mapping[str, str]) -> Target:
    path, level = keys.get("path", "/var/crash"), _level(keys.get("core_collector", "makedumpfile -d 31"))
    for key, kind in (("ssh", Kind.SSH), ("nfs", Kind.NFS), ("raw", Kind.RAW)):
        if key in keys:
            return Target(kind, path, keys[key], level)
    device = next((keys[name] for name in _FILE_SYSTEMS if name in keys), "")
    return Target(Kind.LOCAL, path, device, level)


def _debian_target(keys: Mapping[str, str]) -> Target:
    path, level = keys.get("KDUMP_COREDIR", "/var/crash"), _level(keys.get("MAKEDUMP_ARGS", "-d 31"))
    for key, kind in (("SSH", Kind.SSH), ("NFS", Kind.NFS), ("FTP", Kind.FTP)):
        if keys.get(key):
            return Target(kind, path, keys[key], level)
    return Target(Kind.LOCAL, path, "", level)


def _suse_target(keys: Mapping[str, str]) -> Target:
    level = _level(f"-d {keys.get('KDUMP_DUMPLEVEL') or DEFAULT_LEVEL}")
    match = _URL.match(keys.get("KDUMP_SAVEDIR") or "/var/crash")
    if match is None:
        return Target(Kind.LOCAL, keys.get("KDUMP_SAVEDIR") or "/var/crash", "", level)
    kinds = {"file": Kind.LOCAL, "ssh": Kind.SSH, "sftp": Kind.SSH, "nfs": Kind.NFS, "cifs": Kind.NFS}
    kind = kinds.get(match["scheme"], Kind.FTP)
    return Target(kind, match["rest"], "" if kind is Kind.LOCAL else match["rest"], level)


def _level(collector: str) -> int | None:
    """The dump level of a makedumpfile command line; None for `cp`, `scp`, and makedumpfile without -d."""
    if collector.split()[:1] and collector.split(maxsplit=1)[0].rpartition("/")[2] in ("cp", "scp", "dd"):
        return None
    found = re.search(r"(?:^|\s)(?:-d\s*|--dump-level[= ])([0-9,]{1,20})", collector)
    if found is None:
        return None
    return max((int(one) for one in found[1].split(",") if one), default=None)
