"""One RMCP+ session with a BMC, in a process of its own that never outlives its deadline."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO

from collector.adapters.limits import Deadline
from collector.errors import AdapterError, DeadlineError, LoginRefusedError, PeerFailedError, UnreachableError

_CLOSING_S = 1.0  # seconds that the session has to be closed properly before its process is killed
_MAX_LINE = 4096  # bytes; an IPMI message over LAN has fewer than 256

_REFUSALS = {
    "Incorrect password provided": "the password is wrong",
    "Unauthorized name": "the user is unknown, or may not use IPMI over LAN",
    "Invalid integrity check value": "the password is wrong",
    "Invalid username length": "the user name is longer than the 16 bytes that IPMI allows",
}
_PRIVILEGE_REFUSALS = ("Unauthorized role", "Invalid role", "privelege level")
"""pyghmi's words, its spelling included, for what RAKP and Set Session Privilege Level refuse."""


@dataclass(frozen=True, slots=True)
class Target:
    """A BMC and how to log in to it. `privilege` is a level of table 22-28: 3 operator, 4 administrator."""

    address: str
    port: int
    user: bytes = field(repr=False)
    password: bytes = field(repr=False)
    privilege: int

    @property
    def place(self) -> str:
        """What a person reads."""
        return f"{self.address}:{self.port}/udp"


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion code (table 5-2) and, where it is 0, data."""

    code: int
    data: bytes


class IpmiSession:
    """Logs in on construction. `close` it, also after an error; one thread at a time.

    The BMC ends a session by itself when it is unused for a minute; then nothing is answered any more.

    Raises:
        UnreachableError: nothing answers there.
        LoginRefusedError: the login was tried once, and refused.
        PeerFailedError: the BMC answered, and there is no session.
    """

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "collector.adapters.ipmi_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True, name="ipmi")
        self._reader.start()
        try:
            self._log_in(deadline)
        except BaseException:
            self._process.kill()  # there is no session yet that could be closed
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """False once the session is closed or lost: a request would certainly not reach the BMC."""
        return self._process.poll() is None and not self._stdin.closed

    def exchange(
        self, netfn: int, command: int, data: bytes, deadline: Deadline, *, once: bool = False
    ) -> Reply:
        """Send a command, and wait for its answer until the deadline; unanswered, the session is closed.

        Args:
            netfn: network function (table 5-1), such as 0x06 for application.
            command: command number (appendix G).
            data: the request's data.
            deadline: when to give up.
            once: put exactly one packet on the wire. Otherwise it is repeated every second.

        Raises:
            DeadlineError: no answer in time.
            UnreachableError: the session was lost.
        """
        self._write({"netfn": netfn, "command": command, "data": data.hex(), "once": once})
        line = self._answer(deadline)
        if line is None:
            # A late answer must not be taken for that of the next command.
            self.close()
            raise DeadlineError(
                f"the BMC at {self._target.place} did not answer within {deadline.seconds:g} s",
                hint="It may be restarting or overloaded; ask it by ipmitool from this machine.",
            )
        try:
            reply = json.loads(line)
            return Reply(int(reply["code"]), bytes.fromhex(reply["data"]))
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            raise self._lost() from error

    def close(self) -> None:
        """Close the session at the BMC, which has few; kill what does not end within a second."""
        with contextlib.suppress(OSError):  # what was not written yet cannot be written to a dead process
            self._stdin.close()
        try:
            self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._stdout.close()

    def _log_in(self, deadline: Deadline) -> None:
        target = self._target
        self._write(
            {
                "address": target.address,
                "port": target.port,
                "user": target.user.hex(),
                "password": target.password.hex(),
                "privilege": target.privilege,
            }
        )
        line = self._answer(deadline)
        if line is None:
            raise _unreachable(target, f"within {deadline.seconds:g} s")
        if not line:
            raise AdapterError(
                "the process that holds IPMI sessions did not start",
                hint="Run `python -P -m collector.adapters.ipmi_worker </dev/null` to see why.",
            )
        answer = json.loads(line)
        if not answer["ready"]:
            raise _login_error(target, answer["reason"])

    def _write(self, message: dict[str, object]) -> None:
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: closed before
            raise self._lost() from error

    def _answer(self, deadline: Deadline) -> bytes | None:
        try:
            return self._answers.get(timeout=deadline.remaining())
        except queue.Empty:
            return None

    def _read(self) -> None:
        while line := self._stdout.readline(_MAX_LINE):
            self._answers.put(line)
        self._answers.put(b"")  # not JSON: the process ended

    def _lost(self) -> UnreachableError:
        return UnreachableError(
            f"the session with the BMC at {self._target.place} is lost",
            hint="Log in again; a BMC ends sessions when it restarts, and when they are unused for a minute.",
        )


def _login_error(target: Target, reason: str | None) -> AdapterError:
    """What a person reads of pyghmi's reason for not having a session; None stands for silence."""
    if reason is None:
        return _unreachable(target, "")
    if reason.startswith("gaierror"):
        return UnreachableError(
            f"the name of the BMC, {target.address!r}, does not resolve",
            hint="Correct `address`, or use the IP address: name servers may be down as well.",
        )
    for words, meaning in _REFUSALS.items():
        if words in reason:
            return LoginRefusedError(
                f"the BMC at {target.place} refused the login: {meaning}",
                hint="Correct the credential (IPMI passwords have at most 20 bytes). It was tried once.",
            )
    if any(words in reason for words in _PRIVILEGE_REFUSALS):
        return LoginRefusedError(
            f"the BMC at {target.place} refused the login: the account may not have this privilege level",
            hint="Give the account OPERATOR on the LAN channel, and check `privilege` of this endpoint.",
        )
    return PeerFailedError(
        f"the BMC at {target.place} gave no session: {reason}",
        hint="If it is out of sessions, wait a minute. It must offer IPMI 2.0 with cipher suite 3 or 17.",
    )


def _unreachable(target: Target, when: str) -> UnreachableError:
    return UnreachableError(
        f"the BMC at {target.place} does not answer {when}".rstrip(),
        hint="Check the address, IPMI over LAN in the BMC's settings, and UDP 623 through the firewalls.",
    )
