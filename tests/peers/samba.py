"""Samba's smbd on loopback, with every path of its own below one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.server import free_port, running, tool, wait_for_port


@dataclass(frozen=True)
class Smbd:
    """Where the server listens."""

    port: int
    pid: int
    log: Path


_CONFIG = """\
[global]
interfaces = 127.0.0.1
bind interfaces only = yes
smb ports = {port}
disable netbios = yes
load printers = no
disable spoolss = yes
log level = 1
log file = {folder}/smbd.log
lock directory = {folder}/lock
state directory = {folder}/state
cache directory = {folder}/cache
pid directory = {folder}/pid
private dir = {folder}/private
ncalrpc dir = {folder}/ncalrpc
{settings}
"""


@contextlib.contextmanager
def smbd(folder: Path, *settings: str) -> Iterator[Smbd]:
    """Run smbd without shares; `settings` are further lines of the global section."""
    binary = tool("smbd", package="samba")
    for name in ("lock", "state", "cache", "pid", "private", "ncalrpc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    port, config = free_port(), folder / "smb.conf"
    config.write_text(_CONFIG.format(port=port, folder=folder, settings="\n".join(settings)))
    # In a process group of its own, which it makes by itself: it signals the whole group when it ends.
    command = [binary, "--foreground", f"--configfile={config}"]
    with running(command, folder / "smbd.out") as process:
        wait_for_port(port)
        yield Smbd(port, process.pid, folder / "smbd.log")
