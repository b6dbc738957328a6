"""ESXi's authd, as far as its first word goes, over a real socket."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator

BANNER = b"220 VMware Authentication Daemon Version 1.10: SSL Required, NFCSSL supported/t\r\n"


@contextlib.contextmanager
def authd(*, says: bytes = BANNER, received: list[bytes] | None = None) -> Iterator[int]:
    """Say `says` to whoever connects, and keep what they send; yields the port."""
    heard = received if received is not None else []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            if says:
                self.request.sendall(says)
            with contextlib.suppress(OSError):
                while data := self.request.recv(4096):
                    heard.append(data)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
