"""Samba's smbd on loopback, with every path of its own below one folder."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.model.host import Credential, SecretRef
from tests.peers.server import free_port, running, tool, wait_for_port


@dataclass(frozen=True)
class Smbd:
    """Where the server listens, and what a client needs to log in to one that has shares."""

    port: int
    pid: int
    log: Path
    config: Path
    user: str = ""
    password: str = ""


_CONFIG = """\
[global]
interfaces = 127.0.0.1
bind interfaces only = yes
smb ports = {port}
disable netbios = yes
load printers = no
disable spoolss = yes
log level = {level}
log file = {folder}/smbd.log
lock directory = {folder}/lock
state directory = {folder}/state
cache directory = {folder}/cache
pid directory = {folder}/pid
private dir = {folder}/private
ncalrpc dir = {folder}/ncalrpc
{settings}
"""

_DRIVE = """
mangled names = no
[{name}]
path = {path}
read only = {read_only}
"""

_PASSWORD = "correct horse"  # of an account that lives as long as one test


@contextlib.contextmanager
def smbd(folder: Path, *settings: str, level: str = "1") -> Iterator[Smbd]:
    """Run smbd without shares; `settings` are further lines of the global section."""
    binary = tool("smbd", package="samba")
    for name in ("lock", "state", "cache", "pid", "private", "ncalrpc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    port, config = free_port(), folder / "smb.conf"
    config.write_text(_CONFIG.format(port=port, folder=folder, settings="\n".join(settings), level=level))
    # In a process group of its own, which it makes by itself: it signals the whole group when it ends.
    command = [binary, "--foreground", f"--configfile={config}"]
    with running(command, folder / "smbd.out") as process:
        wait_for_port(port)
        yield Smbd(port, process.pid, folder / "smbd.log", config)


@contextlib.contextmanager
def drive(
    folder: Path, path: Path, *settings: str, name: str = "C$", writable: bool = False
) -> Iterator[Smbd]:
    """Run smbd with `path` as its one share, for the current user with a password of its own.

    Logins are in the log with the user's name.
    """
    shares = _DRIVE.format(name=name, path=path, read_only="no" if writable else "yes")
    with smbd(folder, *settings, shares, level="1 auth_audit:3") as server:
        user = getpass.getuser()
        command = [tool("pdbedit", package="samba"), "-s", server.config, "-a", "-u", user, "-t"]
        said = f"{_PASSWORD}\n{_PASSWORD}\n".encode()
        subprocess.run(command, input=said, check=True, timeout=20, capture_output=True)
        yield Smbd(server.port, server.pid, server.log, server.config, user, _PASSWORD)


def smb_login(server: Smbd, user: str | None = None, password: str | None = None) -> Credential:
    """The server's account, or another one, with the password in a file."""
    secret = server.config.with_name("password")
    secret.write_text(server.password if password is None else password)
    secret.chmod(0o600)
    return Credential("win", username=user or server.user, password=SecretRef("file", str(secret), Path()))
