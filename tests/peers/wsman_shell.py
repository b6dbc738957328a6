"""The shells of the WS-Man server, and the commands in them (MS-WSMV 3.1.4)."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.peers import wsman_soap as soap
from tests.peers.wsman_powershell import Answer, Program, Scripted, program

_RUNNING, _DONE = (f"{soap.SHELL}/CommandState/{state}" for state in ("Running", "Done"))


@dataclass
class Command:
    """One command line. `answer` is there once the program runs."""

    program: Program
    piped: bool
    stdin: bytearray = field(default_factory=bytearray)
    answer: Answer | None = None
    ends_at: float = 0.0
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)


@dataclass
class Shells:
    """All open shells, by their id."""

    scripted: Scripted
    ran: list[tuple[str, Mapping[str, str]]]
    over: threading.Event
    open: dict[str, dict[str, Command]] = field(default_factory=dict)
    idle_timeouts: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def do(self, request: soap.Request) -> str:
        """Serve one operation; the body of the answer. Raises: WsmanFault."""
        if request.operation == "Receive":
            return self._receive(request)
        with self._lock:
            serve = {
                "Identify": lambda _: soap.identity(),
                "Create": self._create,
                "Command": self._command,
                "Send": self._send,
                "Signal": self._signal,
                "Delete": self._delete,
            }
            return serve[request.operation](request)

    def _create(self, request: soap.Request) -> str:
        identifier = str(uuid.uuid4()).upper()
        self.open[identifier] = {}
        self.idle_timeouts.append(request.text("IdleTimeOut"))
        return (
            f'<x:ResourceCreated xmlns:x="{soap.TRANSFER}"><a:ReferenceParameters><w:SelectorSet>'
            f'<w:Selector Name="ShellId">{identifier}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
            f"</x:ResourceCreated><rsp:Shell><rsp:ShellId>{identifier}</rsp:ShellId></rsp:Shell>"
        )

    def _command(self, request: soap.Request) -> str:
        line = " ".join(
            [
                request.text("Command"),
                *(e.text or "" for e in request.body.iter(f"{{{soap.SHELL}}}Arguments")),
            ]
        )
        skip_cmd = request.options.get("WINRS_SKIP_CMD_SHELL") == "TRUE"
        # With a console as its input, a program does not get what is sent as a pipe, nor its end.
        piped = request.options.get("WINRS_CONSOLEMODE_STDIN") == "FALSE"
        command = Command(program(line, skip_cmd=skip_cmd), piped)
        line_element = request.body.find(f"{{{soap.SHELL}}}CommandLine")
        given = line_element.get("CommandId") if line_element is not None else None
        identifier = given or str(uuid.uuid4()).upper()
        self._shell(request)[identifier] = command
        if not command.program.reads_input:
            self._start(command)
        return f"<rsp:CommandResponse><rsp:CommandId>{identifier}</rsp:CommandId></rsp:CommandResponse>"

    def _send(self, request: soap.Request) -> str:
        for stream in request.body.iter(f"{{{soap.SHELL}}}Stream"):
            command = self._shell(request)[stream.get("CommandId", "")]
            command.stdin += base64.b64decode(stream.text or "")
            if stream.get("End", "").lower() == "true" and command.piped and command.answer is None:
                self._start(command)
        return "<rsp:SendResponse/>"

    def _receive(self, request: soap.Request) -> str:
        wanted = request.body.find(f".//{{{soap.SHELL}}}DesiredStream")
        assert wanted is not None
        identifier = wanted.get("CommandId", "")
        command = self._shell(request)[identifier]
        until = time.monotonic() + request.timeout
        while not (done := self._done(command)) and not command.stdout:
            if time.monotonic() >= until or self.over.wait(0.01):
                raise soap.WsmanFault(
                    soap.OPERATION_TIMEOUT,
                    "w:TimedOut",
                    "The WS-Management service cannot complete the operation within the time specified "
                    "in OperationTimeout.",
                )
        room = max(1024, request.max_envelope // 4 * 3 - 4096)
        streams = ""
        for name, data in (("stdout", command.stdout), ("stderr", command.stderr)):
            piece, data[:room] = bytes(data[:room]), b""
            room -= len(piece)
            text = base64.b64encode(piece).decode()
            streams += f'<rsp:Stream Name="{name}" CommandId="{identifier}">{text}</rsp:Stream>'
        finished = done and not command.stdout and not command.stderr
        assert command.answer is not None or not finished
        status = command.answer.exit_status if command.answer and finished else 0
        exit_code = f"<rsp:ExitCode>{status}</rsp:ExitCode>" if finished else ""
        state = _DONE if finished else _RUNNING
        return (
            f'<rsp:ReceiveResponse>{streams}<rsp:CommandState CommandId="{identifier}" State="{state}">'
            f"{exit_code}</rsp:CommandState></rsp:ReceiveResponse>"
        )

    def _signal(self, request: soap.Request) -> str:
        return "<rsp:SignalResponse/>"

    def _delete(self, request: soap.Request) -> str:
        self._shell(request)
        del self.open[request.shell_id]
        return ""

    def _shell(self, request: soap.Request) -> dict[str, Command]:
        if request.shell_id not in self.open:
            raise soap.WsmanFault(
                soap.SHELL_NOT_FOUND, "w:InvalidSelectors", "The shell was not found on the server."
            )
        return self.open[request.shell_id]

    def _start(self, command: Command) -> None:
        answer, errors, called = command.program.run(bytes(command.stdin), self.scripted)
        self.ran.append(called)
        command.stdout += answer.early
        command.stderr += errors
        command.ends_at = time.monotonic() + answer.after
        command.answer = answer

    def _done(self, command: Command) -> bool:
        """Whether the program has ended; its output is there then."""
        with self._lock:
            if command.answer is None or time.monotonic() < command.ends_at:
                return False
            if command.ends_at >= 0:
                command.stdout += command.answer.stdout
                command.ends_at = -1.0
            return True
