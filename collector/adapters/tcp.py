"""A TCP connection within a deadline, the name's resolution included."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from collector.adapters.limits import Deadline
from collector.errors import UnreachableError

T = TypeVar("T")


def dial(address: str, port: int, deadline: Deadline, *, hint: str) -> socket.socket:
    """Connect to the first address of the name `address` that accepts; `hint` says what to do if none does.

    Raises:
        UnreachableError: the name is unknown, or no address accepts.
    """
    try:
        found = in_time(
            lambda: socket.getaddrinfo(address, port, type=socket.SOCK_STREAM), deadline, "resolver"
        )
    except TimeoutError as error:
        raise UnreachableError(
            f"the name {address} was not resolved in {deadline.seconds:g} s",
            hint="Check the DNS servers, or use an IP address.",
        ) from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a label that is empty or too long for DNS
        raise UnreachableError(
            f"the name {address} does not resolve: {error}", hint="Correct the address."
        ) from error
    failure: OSError | None = None
    for left, (family, kind, protocol, _, target) in zip(range(len(found), 0, -1), found, strict=True):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(deadline.remaining() / left, 0.001))
            sock.connect(target)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            failure = error
            sock.close()
        else:
            return sock
    raise UnreachableError(f"no TCP connection to {place(address, port)}: {failure}", hint=hint) from failure


def place(address: str, port: int) -> str:
    """Address and port as people write them; IPv6 stands in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def in_time(work: Callable[[], T], deadline: Deadline, name: str) -> T:
    """Return what `work` returns, for calls that take no timeout; a late one keeps a thread of its own.

    Raises:
        TimeoutError: it took too long. Whatever `work` raises is raised, too.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # noqa: BLE001 - the caller's thread raises it again
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True, name=name).start()
    return answer.result(deadline.remaining())
