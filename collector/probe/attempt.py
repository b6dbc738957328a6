"""One question to one target: a socket, its timers, and exactly one observation, whatever happens.

Every service gets one TCP connection a round and no more: on a hung host nobody accepts them, and each
takes one of the few places in the listener's queue for good.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from collector.probe.conversation import Conversation
from collector.probe.observation import Observation, Reach, Target, untried
from collector.probe.protocols import PROTOCOLS, Service

CONNECT_SECONDS = 3.5
"""How long a SYN or an echo request may stay unanswered.

A lost SYN is sent again after 1 s and after 2 s more (RFC 6298 section 2), so a shorter limit calls a host
dead for a lost packet. 3.5 s also hears the "no route" of a neighbour that does not answer, which takes 3 s.
"""

_SEND = (0.0, 1.0, 2.0)  # seconds at which a datagram is sent; requests only read, so they may be repeated
_CHUNK = 16384  # bytes read at once; the conversations bound what they keep

# Have ICMP errors reported on datagram sockets: <linux/in.h>, <linux/in6.h>; the socket module lacks them.
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}

# What an error says of the peer. Any other (no right, no more files, no such address family) is our own.
_REACH_OF = {
    errno.ENETUNREACH: Reach.NO_ROUTE,
    errno.EHOSTUNREACH: Reach.NO_ROUTE,
    errno.EHOSTDOWN: Reach.NO_ROUTE,
    errno.ENETDOWN: Reach.NO_ROUTE,
    errno.ETIMEDOUT: Reach.SILENT,
    errno.ECONNREFUSED: Reach.REFUSED,
    errno.ECONNRESET: Reach.REFUSED,  # so Windows reports a closed UDP port
}

_NO_PING = (
    "sending ICMP takes an administrator"
    if sys.platform == "win32"
    else "sending ICMP takes CAP_NET_RAW, or a group that net.ipv4.ping_group_range allows"
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """An address family, and an address as `getaddrinfo` gives it for that family."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


class Attempt:
    """One target's turn.

    Args:
        loop: a selector event loop.
        target: what to ask.
        ends: the loop's time by which there must be an observation.
        resolve: finds the address; calls `resolved`, now or later.
        finished: called once, when `observation` holds the result.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: Target,
        ends: float,
        resolve: Callable[[Attempt], None],
        finished: Callable[[], None],
    ) -> None:
        self.target = target
        self.observation = untried(target, "not asked")
        self._loop = loop
        self._ends = ends
        self._resolve = resolve
        self._finished = finished
        self._began = 0.0
        self._over = False
        self._reach = Reach.UNTRIED  # what the socket says; the conversation, once begun, knows better
        self._conversation: Conversation | None = None
        self._socket: socket.socket | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._unsent = b""
        self._evidence: dict[str, str] = {}

    def start(self) -> None:
        """Begin. From here on there will be an observation at the deadline."""
        self._began = self._loop.time()
        self._later(self._ends, self._expire)
        self._guard(lambda: self._resolve(self))

    def resolved(self, result: Resolved | str) -> None:
        """Go on with the address, or end with the words that say why there is none."""
        if isinstance(result, str):
            self._finish(Reach.UNTRIED, problem=result)
        elif not self._over:
            self._guard(lambda: self._ask(PROTOCOLS[self.target.protocol], result))

    def close(self) -> None:
        """Let go of the socket and the timers."""
        for timer in self._timers:
            timer.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None

    def _ask(self, service: Service, peer: Resolved) -> None:
        ip = str(peer.address[0])
        if ip != self.target.address:
            self._evidence["ip"] = ip
        address = (ip, self.target.port or 0, *peer.address[2:])
        begin = partial(service.begin, self.target.address, ip)
        match service.transport:
            case "tcp":
                self._connect(self._own(socket.socket(peer.family, socket.SOCK_STREAM)), begin, address)
            case "udp":
                sock = self._own(socket.socket(peer.family, socket.SOCK_DGRAM))
                self._exchange(sock, begin, self._ends - self._loop.time(), address)
            case "icmp":
                # A kernel answers at once or never, so ping need not wait for the others' deadline.
                self._exchange(self._own(_icmp_socket(peer.family)), begin, CONNECT_SECONDS, address)

    def _own(self, sock: socket.socket) -> socket.socket:
        self._socket = sock
        sock.setblocking(False)
        return sock

    # Over TCP.

    def _connect(
        self, sock: socket.socket, begin: Callable[[], Conversation], address: tuple[Any, ...]
    ) -> None:
        self._reach = Reach.SILENT
        patience = self._later(self._loop.time() + CONNECT_SECONDS, self._expire)
        self._loop.add_writer(sock, self._guard, lambda: self._connected(sock, begin, patience))
        sock.connect(address)  # "would block" only says that the handshake is under way; the guard knows

    def _connected(
        self, sock: socket.socket, begin: Callable[[], Conversation], patience: asyncio.TimerHandle
    ) -> None:
        self._loop.remove_writer(sock)
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
        patience.cancel()
        self._reach = Reach.CONNECTED
        self._conversation = conversation = begin()
        self._loop.add_reader(sock, self._guard, lambda: self._read_stream(sock, conversation))
        self._send(sock, conversation.opening())

    def _read_stream(self, sock: socket.socket, conversation: Conversation) -> None:
        data = sock.recv(_CHUNK)
        if not data:
            conversation.ended()
        answer = conversation.receive(data)
        if conversation.done:
            self._finish()
        else:
            self._send(sock, answer)

    def _send(self, sock: socket.socket, data: bytes = b"") -> None:
        """Send what goes without waiting, and the rest when there is room."""
        self._unsent += data
        try:
            self._unsent = self._unsent[sock.send(self._unsent) :]
        except BlockingIOError:
            pass  # no room: wait for it
        except ConnectionError:
            self._unsent = b""  # the peer is gone; what it said before is still to be read
        if self._unsent:
            self._loop.add_writer(sock, self._guard, lambda: self._send(sock))
        else:
            self._loop.remove_writer(sock)

    # By datagrams.

    def _exchange(
        self,
        sock: socket.socket,
        begin: Callable[[], Conversation],
        patience: float,
        address: tuple[Any, ...],
    ) -> None:
        """Ask, ask again, and wait `patience` seconds. The connected socket lets no stranger's answer in."""
        if sys.platform == "linux":
            sock.setsockopt(*_RECVERR[sock.family], 1)
        sock.connect(address)
        self._reach = Reach.SILENT
        self._conversation = conversation = begin()
        self._loop.add_reader(sock, self._guard, lambda: self._read_datagram(sock, conversation))
        now, request = self._loop.time(), conversation.opening()
        self._later(now + patience, self._expire)
        for delay in _SEND:
            self._later(now + delay, self._guard, lambda: sock.send(request))

    def _read_datagram(self, sock: socket.socket, conversation: Conversation) -> None:
        conversation.receive(sock.recv(_CHUNK))
        if conversation.done:
            self._finish()

    # To the end.

    def _later(self, when: float, do: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
        timer = self._loop.call_at(when, do, *arguments)
        self._timers.append(timer)
        return timer

    def _guard(self, step: Callable[[], object]) -> None:
        """Take one step; whatever goes wrong in it becomes this target's observation."""
        try:
            step()
        except BlockingIOError:
            pass  # a handshake has begun, or a socket that was announced as ready is not: both are normal
        except OSError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - our own defect must not pass for a silent host
            self._finish(Reach.UNTRIED, problem=f"{type(error).__name__}: {error}")

    def _fail(self, error: OSError) -> None:
        """Say what an error of the socket means."""
        if self._reach is Reach.CONNECTED and self._conversation is not None:
            self._conversation.ended()
            self._finish(error=str(error))
        else:
            self._finish(_REACH_OF.get(error.errno or 0, Reach.UNTRIED), error=str(error))

    def _expire(self) -> None:
        waited = f"{self._loop.time() - self._began:.1f} s"
        if self._reach is Reach.UNTRIED:
            self._finish(problem="the name did not resolve in time", waited=waited)
        else:
            self._finish(waited=waited)

    def _finish(self, reach: Reach | None = None, **evidence: str) -> None:
        """Make the observation; only the first call counts."""
        if self._over:
            return
        self._over = True
        self.close()
        seen = self._conversation.evidence if self._conversation else {}
        if reach is None:
            reach = self._conversation.reach if self._conversation else self._reach
        self.observation = Observation(
            self.target.protocol,
            self.target.address,
            self.target.port,
            reach,
            self._loop.time() - self._began,
            {**self._evidence, **seen, **evidence},
        )
        self._finished()


def _icmp_socket(family: socket.AddressFamily) -> socket.socket:
    """Open the socket that takes the fewest rights: a datagram socket where allowed, else a raw one.

    Raises:
        PermissionError: neither is allowed; the message says what it takes.
        OSError: this machine cannot open one now.
    """
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    try:
        return socket.socket(family, socket.SOCK_DGRAM, protocol)
    except OSError:
        pass  # not allowed (Linux), or unknown (Windows): a raw socket takes more rights, and is everywhere
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol)
    except PermissionError as error:
        raise PermissionError(error.errno, _NO_PING) from error
