"""OpenSSH's own sshd on loopback, with keys made for the test."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.server import free_port, running, tool, wait_for_port


@dataclass(frozen=True)
class Sshd:
    """Where the server listens, and what a client needs to log in."""

    port: int
    pid: int
    user: str
    private_key: Path
    known_hosts: Path
    log: Path


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", *options: str) -> Path:
    """Make a key pair with ssh-keygen; return the private key's path."""
    keygen = tool("ssh-keygen", package="openssh-client")
    subprocess.run([keygen, "-q", "-t", kind, "-N", passphrase, *options, "-f", path], check=True)
    return path


def descendants(pid: int) -> list[int]:
    """The processes that `pid` has started, and theirs: one per connection, one per SFTP session."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return []
    return children + [grandchild for child in children for grandchild in descendants(child)]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop `pid` and everything below it for the length of the block, as a hung host stops sshd."""
    pids = [pid, *descendants(pid)]
    for process in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def agent(*keys: Path) -> Iterator[Path]:
    """Run an SSH agent that holds `keys`; yield its socket, for SSH_AUTH_SOCK."""
    binary, add = tool("ssh-agent", package="openssh-client"), tool("ssh-add", package="openssh-client")
    with tempfile.TemporaryDirectory(prefix="agent-") as short:  # a socket's path has at most 107 bytes
        sock = Path(short, "socket")
        with running([binary, "-D", "-a", sock], Path(short, "log")):
            while not sock.exists():
                time.sleep(0.02)
            for key in keys:
                environment = {**os.environ, "SSH_AUTH_SOCK": str(sock)}
                subprocess.run([add, "-q", key], env=environment, check=True, timeout=10)
            yield sock


_NO_STARTUP_FILES = "SetEnv=SHLVL=1"
"""bash reads ~/.bashrc for a command over SSH unless it is a shell within a shell: what this account's own
files do, and how long they take, is no part of a test."""


@contextlib.contextmanager
def sshd(folder: Path, *options: str) -> Iterator[Sshd]:
    """Run sshd with SFTP for the current user; `options` are further `Keyword=value` settings."""
    binary = tool("sshd", package="openssh-server")
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key, user_key = make_key(folder / "host_key"), make_key(folder / "user_key")
    authorized = folder / "authorized_keys"
    authorized.write_text((folder / "user_key.pub").read_text())
    authorized.chmod(0o600)
    port, log = free_port(), folder / "sshd.log"
    known_hosts = folder / "known_hosts"
    kind, key = (folder / "host_key.pub").read_text().split()[:2]
    known_hosts.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    settings = [
        f"Port={port}", "ListenAddress=127.0.0.1", f"HostKey={host_key}", "PidFile=none",
        f"AuthorizedKeysFile={authorized}", "StrictModes=no", "UsePAM=no", "PasswordAuthentication=no",
        "Subsystem=sftp internal-sftp", "MaxStartups=100", _NO_STARTUP_FILES, *options,
    ]  # fmt: skip
    command: list[str | Path] = [binary, "-D", "-e", "-f", "/dev/null"]
    for setting in settings:
        command += ["-o", setting]
    with running(command, log) as process:
        wait_for_port(port)
        yield Sshd(port, process.pid, getpass.getuser(), user_key, known_hosts, log)
