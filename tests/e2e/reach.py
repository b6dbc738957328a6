"""Say how far a client of ADDRESS PORT comes: refused, no answer, connected, or banner."""

from __future__ import annotations

import socket
import sys

SECONDS = 8.0
"""More than two retransmissions of a SYN (1 s and 3 s), so that a slow guest is not called deaf."""


def reach(address: str, port: int) -> str:
    """Connect and wait for the first line of an SSH server."""
    try:
        with socket.create_connection((address, port), SECONDS) as client:
            try:
                return "banner" if client.recv(255).startswith(b"SSH-") else "connected"
            except (TimeoutError, ConnectionResetError):
                return "connected"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "no answer"


if __name__ == "__main__":
    print(reach(sys.argv[1], int(sys.argv[2])))
