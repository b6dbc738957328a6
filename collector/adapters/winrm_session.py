"""WinRM sessions with one host, in a process of their own that never outlives a deadline."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from collector.adapters.limits import Deadline
from collector.adapters.winrm_errors import error_of, too_late
from collector.adapters.winrm_script import COMMAND_LINE, standard_input
from collector.errors import (
    AdapterError,
    DeadlineError,
    LoginRefusedError,
    MissingExtraError,
    UnreachableError,
)

_CLOSING_S = 2.0  # seconds that a shell has to be removed from the host before the process is killed
_MAX_LINE = 8 * 1024 * 1024  # bytes; an answer of the host has at most 4 MiB, and Base64 adds a third


@dataclass(frozen=True, slots=True)
class Target:
    """A WinRM service and how to log in to it. `certificate` and `key` are PEM files of a client."""

    url: str
    transport: str
    verify: bool
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(slots=True)
class Call:
    """A script and what became of it so far, also after its call has failed.

    `begun` is False as long as it is proved that the script has not run and will not.
    """

    script: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    limit: int = 16 * 1024 * 1024
    begun: bool = False
    exit_status: int | None = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    cut: bool = False

    def take(self, line: Mapping[str, Any]) -> None:
        """Note one line of the worker's."""
        self.begun = self.begun or "begun" in line
        self._keep(self.stdout, line.get("stdout", ""))
        self._keep(self.stderr, line.get("stderr", ""))
        self.exit_status = line.get("exit")

    def _keep(self, stream: bytearray, text: str) -> None:
        piece = base64.b64decode(text)
        room = self.limit - len(stream)
        stream += piece[:room]
        self.cut = self.cut or len(piece) > room


class WinrmSession:
    """Logs in on construction, and again for each call. `close` it, also after an error.

    Several threads may use it; they wait for each other. After a call that failed, the next one starts anew,
    unless the login was refused: then each call raises that refusal, and the host is not asked again.

    Raises:
        UnreachableError, DeadlineError: nothing answers there, or not in time.
        HostKeyError: the host's certificate is not proved; no credential was sent.
        LoginRefusedError: the login was tried once, and refused.
        NotTriedError: no login came about: no ticket, wrong clock, or it offers no such login.
        PeerFailedError: what answers is not WinRM, or has no use for us.
        MissingExtraError: pywinrm, or what it needs for this transport, is not installed.
    """

    def __init__(self, target: Target, deadline: Deadline) -> None:
        if importlib.util.find_spec("winrm") is None:
            raise MissingExtraError(
                "WinRM needs an optional package", hint="Run `pip install 'hang-collector[windows]'`."
            )
        self._target = target
        self._turn = threading.Lock()
        self._worker: _Worker | None = None
        self._refusal: AdapterError | None = None
        with self._taking_turns(deadline):
            self._log_in(deadline)

    def run(self, call: Call, deadline: Deadline) -> None:
        """Run the script once, and fill in `call`.

        Raises:
            DeadlineError: no end by the deadline. The script may still run if `call.begun`.
            AdapterError: as on construction.
        """
        with self._taking_turns(deadline):
            worker = self._worker or self._log_in(deadline)
            stdin = standard_input(call.script, call.arguments).decode()
            try:
                worker.write({"command": COMMAND_LINE, "stdin": stdin, "seconds": deadline.remaining()})
                while call.exit_status is None:
                    call.take(self._next(worker, deadline))
            except BaseException:
                self._worker = None
                for line in worker.end():  # it may have begun at the last moment
                    call.take(line)
                raise

    def close(self) -> None:
        """End the process, which removes what is left on the host, if it can in two seconds."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    @contextlib.contextmanager
    def _taking_turns(self, deadline: Deadline) -> Iterator[None]:
        if not self._turn.acquire(timeout=deadline.remaining()):
            raise DeadlineError(
                f"another script was under way at {self._target.url} until the deadline",
                hint="Give the step a longer deadline.",
            )
        try:
            yield
        finally:
            self._turn.release()

    def _log_in(self, deadline: Deadline) -> _Worker:
        if self._refusal is not None:
            raise type(self._refusal)(self._refusal.message, hint=self._refusal.hint)
        worker = _Worker()
        try:
            worker.write(asdict(self._target))
            self._next(worker, deadline)
        except BaseException:
            worker.end(0.0)  # there is nothing on the host yet that could be removed
            raise
        self._worker = worker
        return worker

    def _next(self, worker: _Worker, deadline: Deadline) -> Mapping[str, Any]:
        """The worker's next line; a failure is raised."""
        line = worker.read(deadline)
        if line is None:
            raise too_late(self._target.url, deadline)
        if "failed" in line:
            error = error_of(line, self._target.url, self._target.transport, deadline)
            if isinstance(error, LoginRefusedError):
                self._refusal = error
            raise error
        return line


class _Worker:
    """The process, and its lines."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "collector.adapters.winrm_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._listen, daemon=True, name="winrm")
        self._reader.start()

    def write(self, message: Mapping[str, object]) -> None:
        """Raises: UnreachableError: the process is gone."""
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except (OSError, ValueError) as error:
            raise UnreachableError("the WinRM session is lost", hint="Log in again.") from error

    def read(self, deadline: Deadline) -> Mapping[str, Any] | None:
        """The next line; None at the deadline."""
        try:
            return _parsed(self._lines.get(timeout=deadline.remaining()))
        except queue.Empty:
            return None

    def end(self, patience: float = _CLOSING_S) -> list[Mapping[str, Any]]:
        """End the process within so many seconds, and return what it said that nobody has read."""
        with contextlib.suppress(OSError):  # what was not written yet cannot be written to a dead process
            self._stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._stdout.close()
        lines = []
        while line := self._lines.get():
            lines.append(_parsed(line))
        return [line for line in lines if "failed" not in line]

    def _listen(self) -> None:
        while line := self._stdout.readline(_MAX_LINE):
            self._lines.put(line)
        self._lines.put(b"")  # the process ended


def _parsed(line: bytes) -> Mapping[str, Any]:
    return json.loads(line) if line else {"failed": "ended", "words": ""}
