"""Exit 0 once a BMC answers an ASF presence ping at ADDRESS PORT, 1 if none does within SECONDS."""

from __future__ import annotations

import contextlib
import socket
import sys
import time

PING = bytes.fromhex("0600ff06 000011be 80 01 00 00")
"""RMCP header of class ASF, IANA number 4542, message type 80h, tag 1 (ASF 2.0, section 3.2.4.2)."""
PONG = 0x40


def answers(address: str, port: int, seconds: float) -> bool:
    """Ping until a pong comes back or the time is over."""
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        client.connect((address, port))
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                client.send(PING)
                answer = client.recv(1024)
                if len(answer) > 8 and answer[8] == PONG:
                    return True
            time.sleep(0.02)
    return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])) else 1)
