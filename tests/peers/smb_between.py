"""Somebody between us and an SMB server, who changes what it sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Change = Callable[[int, bytes], bytes]
"""From the number of a frame of the server's and its bytes, length and all, to what arrives instead."""


@contextlib.contextmanager
def between(target: int, change: Change) -> Iterator[int]:
    """Pass one connection on to the loopback port `target`; yield the port to connect to."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(("127.0.0.1", target)) as server,
    ):
        thread = threading.Thread(target=_serve, args=(listener, server, change), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            for sock in (listener, server):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(listener: socket.socket, server: socket.socket, change: Change) -> None:
    with contextlib.suppress(OSError):
        client, _ = listener.accept()
        upstream = threading.Thread(target=_upstream, args=(client, server), daemon=True)
        with client:
            upstream.start()
            _downstream(client, server, change)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            upstream.join(10)


def _upstream(client: socket.socket, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := client.recv(65_536):
            server.sendall(data)
        server.shutdown(socket.SHUT_RDWR)


def _downstream(client: socket.socket, server: socket.socket, change: Change) -> None:
    with contextlib.suppress(OSError), server.makefile("rb") as stream:
        number = 0
        while len(head := stream.read(4)) == 4:
            frame = head + stream.read(int.from_bytes(head, "big"))
            client.sendall(change(number, frame))
            number += 1
