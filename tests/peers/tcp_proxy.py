"""A TCP proxy on loopback that stops, or hangs up, after so many bytes of the server: at any stage."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Where it listens. `passed` counts the server's bytes, `connections` the clients'."""

    port: int
    passed: int = 0
    connections: int = 0
    dead: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def proxy(target: int, *, after: int | None = None, hang_up: bool = False) -> Iterator[Proxy]:
    """Pass connections on to the loopback port `target`.

    Once `after` bytes of the server have passed, on all connections together, or once `dead` is set,
    nothing passes any more in any direction: both sides stay open and silent, or are closed.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        state = Proxy(listener.getsockname()[1])
        threads: list[threading.Thread] = []

        def serve(client: socket.socket) -> None:
            with client, socket.create_connection(("127.0.0.1", target)) as server:
                with contextlib.suppress(OSError):  # one side has gone
                    _pass_on(client, server, state, over, after)
                if not hang_up:
                    over.wait()

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    state.connections += 1
                    threads.append(threading.Thread(target=serve, args=(client,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield state
        finally:
            over.set()
            accepting.join()
            for thread in threads:
                thread.join()


def _pass_on(
    client: socket.socket, server: socket.socket, state: Proxy, over: threading.Event, after: int | None
) -> None:
    other = {client: server, server: client}
    with selectors.DefaultSelector() as selector:
        for sock in other:
            selector.register(sock, selectors.EVENT_READ)
        while not over.is_set() and not state.dead.is_set():
            for key, _ in selector.select(0.05):
                source = key.fileobj
                assert isinstance(source, socket.socket)
                room = 65_536 if after is None or source is client else after - state.passed
                if room <= 0:
                    return
                data = source.recv(min(room, 65_536))
                if not data:
                    return
                if source is server:
                    state.passed += len(data)
                other[source].sendall(data)
