"""From a connection to a proven host: go on through jump hosts if need be, greet, and verify the host key.

Not one byte of a credential is sent from here. paramiko is imported inside functions, because the settings
loader imports the adapters.
"""

from __future__ import annotations

import re
import shlex
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from collector.adapters.known_hosts import SSH_PORT, KnownHosts, Trust, default_files, fingerprint
from collector.adapters.limits import Deadline
from collector.adapters.tcp import place
from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    HostKeyError,
    PeerFailedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from paramiko.channel import Channel

    from collector.adapters.ssh_transport import Transport

_HOP = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<address>\[[0-9A-Fa-f:.%\w]+\]|[^@:\[\]\s,]+)(?::(?P<port>\d{1,5}))?"
)
JUMP_WINDOW = 8 * 1024 * 1024
"""Bytes on the way from a jump host: 400 MB/s at 20 ms."""

_PROHIBITED = 1
"""Reason code SSH_OPEN_ADMINISTRATIVELY_PROHIBITED, RFC 4254 section 5.1."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way. `user` is None where the credential's user name is meant."""

    address: str
    port: int = SSH_PORT
    user: str | None = None

    def __str__(self) -> str:
        return place(self.address, self.port)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `user@host:port`, where user and port may be missing and IPv6 addresses stand in brackets.

        Raises:
            ValueError: it is not of that form.
        """
        match = _HOP.fullmatch(text.strip())
        if match is None or not 0 < int(match["port"] or SSH_PORT) < 65_536:  # noqa: PLR2004 - a port has 16 bits
            raise ValueError(f"{text.strip()!r} is not of the form user@host:port")
        return cls(match["address"].strip("[]"), int(match["port"] or SSH_PORT), match["user"])


@dataclass(frozen=True, slots=True)
class HostKeys:
    """How hosts are verified: `known` came from `file`, to which new keys would be added."""

    known: KnownHosts
    file: Path
    accept_any: bool

    @classmethod
    def load(cls, file: Path | None, accept_any: bool) -> Self:
        """Read `file`, or the user's and the system's when it is None. Raises: ConfigError."""
        files = default_files() if file is None else (file,)
        return cls(KnownHosts.load(files), files[0], accept_any)


def forward(through: Transport, hop: Hop, deadline: Deadline) -> Channel:
    """Open a channel through the connection to a jump host; it serves as the socket to `hop`.

    Raises:
        ForbiddenError: the jump host does not forward.
        UnreachableError: the jump host could not connect.
        DeadlineError: the jump host did not say in time.
    """
    from paramiko.ssh_exception import ChannelException, SSHException

    origin = ("127.0.0.1", 0)
    try:
        return through.open_channel(
            "direct-tcpip", (hop.address, hop.port), origin, JUMP_WINDOW, timeout=deadline.remaining()
        )
    except ChannelException as error:
        if error.code == _PROHIBITED:
            raise ForbiddenError(
                f"the jump host does not forward to {hop}",
                hint="Allow it there: AllowTcpForwarding and PermitOpen in sshd_config.",
            ) from error
        raise UnreachableError(
            f"the jump host has no connection to {hop}: {error.text}",
            hint="Is it switched on, and does sshd listen there? Log in to the jump host and try.",
        ) from error
    except (SSHException, EOFError, OSError) as error:
        silent = isinstance(error, SSHException) and through.is_active()
        raise _lost(through, hop, deadline, "behind the jump host", silent=silent) from error


def greet(transport: Transport, hop: Hop, keys: HostKeys, deadline: Deadline) -> None:
    """Exchange greetings and keys; `transport` holds the peer's key then, which is not yet believed.

    A host that has several keys is asked for one of a kind that is known.

    Raises:
        DeadlineError: the peer accepted the connection and fell silent, or is too slow.
        PeerFailedError: the peer hung up, or speaks something else.
    """
    transport.prefer_host_keys({key.kind for key in keys.known.of(hop.address, hop.port)})
    done = threading.Event()
    transport.banner_timeout = deadline.remaining() + 1.0  # our own wait is the one that ends first
    transport.start_client(event=done)
    silent = not done.wait(deadline.remaining())
    if not (transport.is_active() and transport.initial_kex_done):
        stage = "in the key exchange" if transport.remote_version else "before its greeting"
        raise _lost(transport, hop, deadline, stage, silent=silent) from transport.get_exception()


def verify(transport: Transport, hop: Hop, keys: HostKeys, via: Hop | None = None) -> tuple[str, ...]:
    """Compare the key that the peer proved to own with the known ones; `via` is the jump host before it.

    Returns:
        Notices for the user: one when the key was accepted unseen.

    Raises:
        HostKeyError: unknown, changed or revoked. Nothing secret was sent.
    """
    shown = transport.get_remote_server_key()
    key, kind = shown.asbytes(), shown.get_name()
    trust = keys.known.judge(hop.address, hop.port, key)
    if trust is Trust.REVOKED:
        raise HostKeyError(
            f"{hop} shows the key {fingerprint(key)}, which is revoked",
            hint="Somebody may hold this host's key. Do not log in; ask who revoked it.",
        )
    if trust is Trust.KNOWN:
        return ()
    if keys.accept_any:
        return (f"{hop}: the host key {fingerprint(key)} was NOT verified (insecure_accept_any_host_key)",)
    add = _keyscan(hop, kind, keys.file, via)
    if trust is Trust.CHANGED:
        places = ", ".join(line.place for line in keys.known.of(hop.address, hop.port))
        name = hop.address if hop.port == SSH_PORT else f"[{hop.address}]:{hop.port}"
        raise HostKeyError(
            f"the host key of {hop} is not the known one: {fingerprint(key)} ({kind}) against {places}",
            hint="It was installed anew, or somebody stands between. Compare the fingerprint on the console; "
            f"if it is right: ssh-keygen -R {shlex.quote(name)} -f {shlex.quote(str(keys.file))} && {add}",
        )
    raise HostKeyError(
        f"the host key of {hop} is unknown: {fingerprint(key)} ({kind})",
        hint=f"Compare the fingerprint on the console (ssh-keygen -lf /etc/ssh/ssh_host_*.pub); then: {add}",
    )


def quoted(text: object) -> str:
    """What a peer said, fit to be shown: one line of ASCII, not too long."""
    return ascii(str(text)[:200])


def _lost(transport: Transport, hop: Hop, deadline: Deadline, stage: str, *, silent: bool) -> AdapterError:
    """The error for a conversation that ended, or did not go on, at `stage`."""
    if silent:
        return DeadlineError(
            f"{hop} accepted the connection and fell silent {stage} ({deadline.seconds:g} s)",
            hint="The kernel still answers and sshd does not: the host may be hung. Probe it.",
        )
    said = transport.farewell or transport.saved_exception or "no reason given"
    return PeerFailedError(
        f"{hop} ended the connection {stage}: {quoted(said)}",
        hint="Look at sshd's log on the host (MaxStartups, firewall, protocol), or try `ssh -v`.",
    )


def _keyscan(hop: Hop, kind: str, file: Path, via: Hop | None) -> str:
    """The command that adds the host's key to `file`; run on the jump host when there is one."""
    short = kind.removeprefix("ssh-").split("-")[0]
    scan = f"ssh-keyscan -p {hop.port} -t {short} {shlex.quote(hop.address)}"
    if via is not None:
        user = f"{via.user}@" if via.user else ""
        scan = f"ssh -p {via.port} {shlex.quote(user + via.address)} {scan}"
    return f"{scan} >> {shlex.quote(str(file))}"
