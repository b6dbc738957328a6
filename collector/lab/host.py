"""The lab's server: it runs, hangs, panics on the NMI, dumps, boots, and comes back with a vmcore.

What a hang is here is what it is on a real server: the listening socket stays, so the kernel goes on
completing handshakes, and nobody accepts; connections that were open fall silent.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from collector.lab import story, vmcore
from collector.lab.commands import Answer, Commands
from collector.lab.crash import Crash, Reaction, Script
from collector.lab.tree import Content, Tree

if TYPE_CHECKING:
    from collector.lab.sshd import Connection, Service

_BACKLOG = 32
_TICK_S = 0.02
_FIRST_UPTIME_S = 14 * 86400.0 + 3723.0


class State(StrEnum):
    """Where the host is in its life."""

    RUNNING = "running"
    HUNG = "hung"
    CRASHING = "crashing"  # the capture kernel writes the dump; it has no network
    BOOTING = "booting"
    OFF = "off"


_DEFAULT_SCRIPT = Script()


class LabHost:
    """A Linux server on a loopback port, for the real SSH and SFTP clients; a context manager.

    It is the `Machine` that the lab's BMC controls. All methods return at once.

    Args:
        folder: receives the client's private key and the known_hosts file.
        script: how its life goes.
        name: its host name.
        user: who may log in.
        files: further files, by absolute path.
        answers: further commands, by exact text or by a regular expression that matches all of it.
    """

    address = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        script: Script = _DEFAULT_SCRIPT,
        *,
        name: str = "db01",
        user: str = "root",
        files: Mapping[str, Content] | None = None,
        answers: Mapping[str, Answer] | None = None,
    ) -> None:
        self.script, self.name, self.user = script, name, user
        self.private_key, self.known_hosts = folder / "client_key", folder / "known_hosts"
        self.port = 0
        self.nmis = 0
        self.boot_id = str(uuid.uuid4())
        self.tree = Tree()
        for path, content in {**story.files(), **self._proc(), **(files or {})}.items():
            self.tree.put(path, content, time.time())
        self._answers: dict[str, Answer] = {**self._defaults(), **(answers or {})}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._state = State.RUNNING
        self._until = math.inf  # when the state ends by itself, on the monotonic clock
        self._booted = time.monotonic() - _FIRST_UPTIME_S
        self._previous_log: story.Log = ()
        self._crash: Crash | None = None
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        self._service = self._make_service()
        self._listener = self._reserve()
        self.port = self._listener.getsockname()[1]
        self._write_known_hosts()
        self._listener.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._live, name="lab-host", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._listener.close()
        for connection in self._connections:
            connection.close()

    @property
    def state(self) -> State:
        """Where the host is in its life, at this moment."""
        return self._state

    @property
    def uptime(self) -> float:
        """Seconds since the boot."""
        return time.monotonic() - self._booted

    def hang(self) -> None:
        """User mode stops: connections fall silent, new ones are completed by the kernel and not accepted."""
        with self._lock:
            if self._state is State.RUNNING:
                self._enter(State.HUNG)

    def powered_on(self) -> bool:
        """Is the machine on?"""
        return self.state is not State.OFF

    def set_power(self, on: bool) -> None:
        """Power up, which boots, or down. What was being dumped is lost."""
        with self._lock:
            if on and self._state is State.OFF:
                self._boot()
            elif not on:
                self._crash = None
                self._enter(State.OFF)

    def reset(self) -> None:
        """Boot anew. What was being dumped is lost."""
        with self._lock:
            if self._state is not State.OFF:
                self._crash = None
                self._boot()

    def nmi(self) -> None:
        """Take one NMI. One more while the dump is being written destroys it, as on a real host."""
        with self._lock:
            self.nmis += 1
            if self._state is State.CRASHING and self._crash and self._crash.reaction is Reaction.DUMP:
                self._crash.reaction = Reaction.INCOMPLETE
            elif self._state in (State.RUNNING, State.HUNG) and self.script.on_nmi is not Reaction.NOTHING:
                log = story.crash_log(self.name, self.uptime)
                self._previous_log = log
                self._crash = Crash(self.script.on_nmi, datetime.now(UTC), log)
                never = self.script.on_nmi is Reaction.NEVER_BACK
                self._enter(State.CRASHING, math.inf if never else self.script.dump_seconds)

    # The host's life, on a thread of its own

    def _live(self) -> None:
        while not self._stopping.wait(_TICK_S):
            with self._lock:
                if time.monotonic() >= self._until:
                    self._advance()
                if self._state is State.RUNNING:
                    self._accept()

    def _advance(self) -> None:
        """Go on to the state that follows by itself."""
        if self._state is State.CRASHING:
            self._boot()
        elif self._state is State.BOOTING:
            self._listener.listen(_BACKLOG)
            self._enter(State.RUNNING, self.script.dump_delay)
        elif self._crash:  # running
            self._until = math.inf
            self._crash.publish(self.tree, self.name, self.script)
            self._crash = None
        else:
            self._until = math.inf

    def _boot(self) -> None:
        self.boot_id = str(uuid.uuid4())
        self._booted = time.monotonic()
        self._enter(State.BOOTING, self.script.boot_seconds)
        for connection in self._connections:
            connection.hang_up()

    def _enter(self, state: State, seconds: float = math.inf) -> None:
        """Change the state, for a time, and the network with it: silent when hung, refusing when down."""
        listens = self._state in (State.RUNNING, State.HUNG)
        self._state, self._until = state, time.monotonic() + seconds
        if state is State.RUNNING:
            return
        for connection in self._connections:
            connection.fall_silent()
        if listens and state is not State.HUNG:
            self._listener.close()
            self._listener = self._reserve()

    def _accept(self) -> None:
        """Serve everyone who waits at the port. Nobody blocks on it, so that a crash can close it."""
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # nobody is there, or they left again
                return
            self._connections = [c for c in self._connections if not c.ended()]
            self._connections.append(self._service.serve(accepted))

    def _reserve(self) -> socket.socket:
        """Return a socket that holds the port, and refuses until it listens."""
        reserved = socket.socket()
        if sys.platform != "win32":  # there the option would let others share the port
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setblocking(False)
        try:
            reserved.bind((self.address, self.port))
        except OSError:
            reserved.close()
            raise
        return reserved

    # What it is made of

    def _make_service(self) -> Service:
        from collector.lab.sshd import Service, Wire, make_key

        user_key, text = make_key()
        descriptor = os.open(self.private_key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", newline="\n") as file:
            file.write(text)
        return Service(
            host_key=make_key()[0],
            user=self.user,
            user_key=user_key,
            commands=Commands(self.tree, self._answers),
            tree=self.tree,
            wire=Wire(self.script.sftp_bytes_per_s, self.script.sftp_cut_at),
        )

    def _write_known_hosts(self) -> None:
        key = self._service.host_key
        line = f"[{self.address}]:{self.port} {key.get_name()} {key.get_base64()}\n"
        self.known_hosts.write_text(line, newline="\n")

    def _proc(self) -> dict[str, Content]:
        """Files that the kernel makes up when they are read."""
        name = f"{self.name}\n".encode()
        return {
            "/etc/hostname": name,
            "/proc/loadavg": b"0.12 0.08 0.05 1/312 4711\n",
            "/proc/sys/kernel/hostname": name,
            "/proc/sys/kernel/random/boot_id": self._boot_id_line,
            "/proc/uptime": self._uptime_line,
        }

    def _defaults(self) -> dict[str, Answer]:
        """Commands whose answers follow from the host's state."""
        kernel = f"Linux {self.name} {vmcore.RELEASE} #1 SMP x86_64 x86_64 x86_64 GNU/Linux\n"
        return {
            "true": b"",
            "uname -r": f"{vmcore.RELEASE}\n".encode(),
            "uname -n|hostname": f"{self.name}\n".encode(),
            "uname -a": kernel.encode(),
            r"date \+%s": story.clock,
            "uname -m": b"x86_64\n",
            "id -u": b"0\n" if self.user == "root" else b"1000\n",
            "df -Pkl": story.DISK.encode(),
            r"timeout 5 stat -c %a /var/crash": b"700\n",
            "timeout 5 makedumpfile -v": b"makedumpfile: version 1.7.1 (released on 25 Apr 2022)\n",
            "uptime": lambda: story.uptime(self.uptime),
            "dmesg": story.text(story.boot_log(self.name)),
            "journalctl -b -1( .*)?": self._previous_journal,
        }

    def _boot_id_line(self) -> bytes:
        return f"{self.boot_id}\n".encode()

    def _uptime_line(self) -> bytes:
        return f"{self.uptime:.2f} {self.uptime:.2f}\n".encode()

    def _previous_journal(self) -> bytes:
        log = self._previous_log
        ended = time.time() - self.uptime
        return story.journal(self.name, log, ended - log[-1][0]) if log else b""
