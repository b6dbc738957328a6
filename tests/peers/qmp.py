"""A monitor that speaks QMP and makes the trouble it is told to; it counts the NMIs that arrive."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

from collector.adapters.example import QmpController, QmpEndpoint
from collector.adapters.limits import Deadline

OK = b'{"return": {}, "id": %d}'
FAILED = b'{"error": {"class": "GenericError", "desc": "no"}, "id": %d}'
REFUSED = b'{"error": {"class": "CommandNotFound", "desc": "no such command"}, "id": %d}'
GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'
EVENT = b'{"event": "STOP", "timestamp": {}}\r\n'


class Monitor:
    """Serves one client at a time on loopback. `answers` yields the bytes for each `inject-nmi`.

    Args:
        answer: takes the command's number and returns what is sent back; None closes the connection.
        acts: False when an NMI request does nothing to the machine.
        greeting: what a client hears first.
        events: how many events come before each answer.
    """

    def __init__(
        self,
        answer: Callable[[int], bytes | None],
        *,
        acts: bool = True,
        greeting: bytes = GREETING,
        events: float = 1,
    ) -> None:
        self.nmis = 0
        self._answer, self._acts, self._greeting, self._events = answer, acts, greeting, events
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for sock in (self._listener, *self._clients):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                with client, contextlib.suppress(OSError):
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        client.sendall(self._greeting)
        with client.makefile("rb") as lines:
            for line in lines:
                command = json.loads(line)
                answer = self._take(command["execute"], command["id"])
                if answer is None:
                    return
                sent = 0
                while sent < self._events:
                    client.sendall(EVENT)
                    sent += 1
                client.sendall(answer)

    def _take(self, command: str, number: int) -> bytes | None:
        if command == "query-status":
            return b'{"return": {"status": "running", "running": true}, "id": %d}\r\n' % number
        if command != "inject-nmi":
            return OK % number + b"\r\n"
        self.nmis += self._acts
        return self._answer(number)


@contextlib.contextmanager
def logged_in(port: int, seconds: float = 30.0) -> Iterator[QmpController]:
    """Hold a connection for the length of the block."""
    endpoint = QmpEndpoint(address="127.0.0.1", port=port)
    with QmpController(endpoint, None, Deadline.after(seconds)) as controller:
        yield controller
