"""Python's own HTTP server behind TLS, on loopback."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.peers.certificate import make_certificate


@contextlib.contextmanager
def https_server(folder: Path, *, status: int = 200, days: int = 1) -> Iterator[int]:
    """Serve every GET with `status` for the length of the block; yields the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(http.server.HTTPServer):
        def get_request(self) -> tuple[ssl.SSLSocket, object]:
            connection, peer = super().get_request()
            connection.settimeout(10)
            return context.wrap_socket(connection, server_side=True), peer

    folder.mkdir(parents=True, exist_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(folder / "https.pem", days=days))
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
