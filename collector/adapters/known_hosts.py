"""Which keys a host is known by: OpenSSH's known_hosts files.

The format is described in sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"; the form of hashed names in OpenSSH's
`hostfile.c`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from collector.errors import ConfigError

SSH_PORT = 22
"""The port that known_hosts leaves out; every other one is written `[host]:port`."""


class Trust(StrEnum):
    """What the files say of a key that a host has shown."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # no line names this host
    CHANGED = "changed"  # lines name this host, with other keys
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line: `key` is the binary public key, `place` the file and line it stands on."""

    marker: str  # "", "@revoked" or "@cert-authority"
    hosts: str
    kind: str
    key: bytes
    place: str


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The lines of one or several files."""

    keys: tuple[KnownKey, ...] = ()

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Self:
        """Read `paths`; a file that does not exist knows nobody.

        Raises:
            ConfigError: a file cannot be read, or a line with a marker cannot be understood.
        """
        found: list[KnownKey] = []
        for path in paths:
            try:
                text = path.read_text("utf-8", "surrogateescape")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigError(
                    f"the known_hosts file {path} cannot be read: {error.strerror}",
                    hint="Correct the path or its rights.",
                ) from error
            found += parse(text, str(path))
        return cls(tuple(found))

    def of(self, host: str, port: int) -> tuple[KnownKey, ...]:
        """The lines that name this host at this port, whatever their marker."""
        name = written(host, port)
        return tuple(key for key in self.keys if _names(key.hosts, name))

    def judge(self, host: str, port: int, key: bytes) -> Trust:
        """Say whether the host may be believed that shows the public key `key` (binary form).

        A `@cert-authority` line trusts certificates, not keys: it counts for nothing here.
        """
        lines = self.of(host, port)
        if any(line.marker == "@revoked" and line.key == key for line in lines):
            return Trust.REVOKED
        plain = [line for line in lines if not line.marker]
        if any(line.key == key for line in plain):
            return Trust.KNOWN
        return Trust.CHANGED if plain else Trust.UNKNOWN


def parse(text: str, source: str) -> list[KnownKey]:
    """Read the lines of one file. A line that is no entry is passed over, as OpenSSH does.

    Raises:
        ConfigError: a line starts with a marker and cannot be understood. To pass over a `@revoked`
            line would be to trust a stolen key.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = f"{source}:{number}"
        marker = words.pop(0) if words[0].startswith("@") else ""
        key = _entry(marker, words, place)
        if key is not None:
            found.append(key)
        elif marker:
            raise ConfigError(
                f"{place}: the line starts with {marker!a} and is not understood",
                hint="Correct the line; sshd(8) describes the format.",
            )
    return found


def written(host: str, port: int) -> str:
    """The name that known_hosts uses for a host at a port."""
    return host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"


def fingerprint(key: bytes) -> str:
    """What `ssh-keygen -l` prints for the binary public key `key`."""
    digest = hashlib.sha256(key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def default_files() -> tuple[Path, ...]:
    """The user's file and the system's, where ssh(1) looks for them."""
    if sys.platform == "win32":
        system = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"), "ssh", "ssh_known_hosts")
    else:
        system = Path("/etc/ssh/ssh_known_hosts")
    return (Path("~/.ssh/known_hosts").expanduser(), system)


def _entry(marker: str, words: list[str], place: str) -> KnownKey | None:
    if marker not in ("", "@revoked", "@cert-authority") or len(words) < 3:  # noqa: PLR2004 - hosts, kind, key
        return None
    try:
        key = base64.b64decode(words[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    return KnownKey(marker, words[0], words[1], key, place)


def _names(hosts: str, name: str) -> bool:
    """True if the first field of a line names `name`: hashed, or by patterns of which `!` takes some out."""
    if hosts.startswith("|1|"):
        return _hashed(hosts, name)
    named = False
    for pattern in hosts.lower().split(","):
        if _matches(pattern.removeprefix("!"), name):
            if pattern.startswith("!"):
                return False
            named = True
    return named


def _matches(pattern: str, name: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name) is not None


def _hashed(field: str, name: str) -> bool:
    """`|1|SALT|HASH`, both in base64; the hash is HMAC-SHA1 of the name with the salt as its key."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in field[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1"), digest)
