"""The adapter to copy: a virtual machine of QEMU, over QMP on TCP.

QMP is one JSON object a line ("QEMU Machine Protocol Specification" in QEMU's documentation). The server
greets, the client leaves negotiation mode with `qmp_capabilities`, and each answer carries the `id` of its
command. Events may stand between them. There is no login: keep such a port on loopback, behind SSH.

::

    qemu-system-x86_64 -qmp tcp:127.0.0.1:4444,server=on,wait=off …
    controllers: [{type: qmp, address: 127.0.0.1, port: 4444}]
"""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import NmiAnswer, NmiOutcome, PowerState
from collector.adapters.limits import Deadline
from collector.errors import AdapterError, DeadlineError, PeerFailedError, UnreachableError
from collector.model.host import Credential, Endpoint

_MAX_LINE = 64 * 1024
"""Bytes. The longest line we ask for, the greeting, has some two hundred; the peer may send anything."""

_POWER = {"running": PowerState.ON, "paused": PowerState.ON, "guest-panicked": PowerState.ON}
_POWER |= {"shutdown": PowerState.OFF}
"""Of the states that `query-status` knows (RunState in qapi/run-state.json), those that say it plainly."""

_REFUSED_UNSEEN = "CommandNotFound"
"""The one error class that proves that the command was not begun (QapiErrorClass in qapi/error.json)."""


class QmpEndpoint(Endpoint):
    """A QEMU monitor that speaks QMP over TCP."""

    type: Literal["qmp"] = Field(default="qmp", description="A QEMU machine, over QMP on TCP.")
    port: int = Field(ge=1, le=65535, description="TCP port of the monitor.")


class QmpController:
    """One connection to a monitor, between `__enter__` and `__exit__`."""

    settings: ClassVar[type[Endpoint]] = QmpEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, QmpEndpoint)
        self._endpoint = endpoint
        self._deadline = deadline
        self._numbers = itertools.count(1)
        self._received = b""

    def __enter__(self) -> Self:
        place = (self._endpoint.address, self._endpoint.port)
        try:
            self._socket = socket.create_connection(place, max(self._deadline.remaining(), 0.001))
        except OSError as error:
            raise UnreachableError(
                f"no TCP connection to {self._endpoint.identity}: {error}",
                hint="Is the machine's QEMU running, and was it started with -qmp on this port?",
            ) from error
        try:
            self._greet(self._deadline)
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def power_state(self, deadline: Deadline) -> PowerState:
        """The machine's run state, as far as it says anything about power."""
        status = self._ask("query-status", deadline).get("return")
        state = status.get("status") if isinstance(status, dict) else None
        return _POWER.get(str(state), PowerState.UNKNOWN)

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """One `inject-nmi`, and what came of it."""
        if deadline.expired:
            return NmiAnswer(NmiOutcome.NOT_SENT, "nothing was put on the wire: the time was up")
        try:
            answer = self._exchange("inject-nmi", deadline)
        except AdapterError as error:
            return NmiAnswer(NmiOutcome.UNCERTAIN, f"the request may be out, and then {error.message}")
        if "return" in answer:
            return NmiAnswer(NmiOutcome.SENT, "QEMU injected the NMI")
        kind, words = _error(answer)
        outcome = NmiOutcome.NOT_SENT if kind == _REFUSED_UNSEEN else NmiOutcome.UNCERTAIN
        return NmiAnswer(outcome, f"QEMU answered {kind}: {words}")

    def _greet(self, deadline: Deadline) -> None:
        if "QMP" not in self._receive(deadline):
            raise self._gibberish()
        self._ask("qmp_capabilities", deadline)

    def _ask(self, command: str, deadline: Deadline) -> Mapping[str, object]:
        """Send a command that only reads; an error of the peer is raised."""
        answer = self._exchange(command, deadline)
        if "return" not in answer:
            kind, words = _error(answer)
            raise PeerFailedError(
                f"QEMU answered {command} with {kind}: {words}", hint="Look at the monitor of this machine."
            )
        return answer

    def _exchange(self, command: str, deadline: Deadline) -> Mapping[str, object]:
        """Put one command on the wire, once, and wait for the answer that carries its number."""
        number = next(self._numbers)
        line = json.dumps({"execute": command, "id": number}).encode() + b"\r\n"
        self._socket.settimeout(max(deadline.remaining(), 0.001))
        try:
            self._socket.sendall(line)
        except OSError as error:
            raise self._gone(error) from error
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == number:
                return answer

    def _receive(self, deadline: Deadline) -> Mapping[str, object]:
        """The next line. Events count against the deadline like everything else."""
        while b"\n" not in self._received:
            if len(self._received) > _MAX_LINE:
                raise self._gibberish()
            self._received += self._receive_some(deadline)
        line, _, self._received = self._received.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._gibberish() from error
        if not isinstance(answer, dict):
            raise self._gibberish()
        return answer

    def _receive_some(self, deadline: Deadline) -> bytes:
        if deadline.expired:
            raise self._silent(deadline)
        self._socket.settimeout(max(deadline.remaining(), 0.001))
        try:
            some = self._socket.recv(4096)
        except TimeoutError as error:
            raise self._silent(deadline) from error
        except OSError as error:
            raise self._gone(error) from error
        if not some:
            raise self._gone(None)
        return some

    def _silent(self, deadline: Deadline) -> DeadlineError:
        return DeadlineError(
            f"QEMU did not answer in {deadline.seconds:g} s",
            hint="A monitor serves one client at a time: is another one connected?",
        )

    def _gone(self, error: OSError | None) -> UnreachableError:
        return UnreachableError(
            f"QEMU closed the connection{f': {error}' if error else ''}", hint="Is the machine still there?"
        )

    def _gibberish(self) -> PeerFailedError:
        return PeerFailedError("what answers there does not speak QMP", hint="Correct address and port.")


def _error(answer: Mapping[str, object]) -> tuple[str, str]:
    """Class and description of an error; from a hostile peer, so cut to a bearable length."""
    error = answer.get("error")
    fields = error if isinstance(error, dict) else {}
    return str(fields.get("class", "an error"))[:100], str(fields.get("desc", "without a word"))[:500]
