"""The seam between a protocol and whatever carries its bytes.

A conversation is a state machine without I/O: bytes in, bytes out, how far it got. It holds a few hundred
bytes, so that a sweep can hold thousands, and it is made only once there is somebody to talk to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Protocol

from collector.probe.observation import Reach, printable

Transport = Literal["tcp", "udp", "icmp"]


class Conversation(Protocol):
    """One question to one peer.

    Over a datagram transport `receive` is called once a datagram, and what `opening` returned may be sent
    again. Over TCP the way in which the bytes are cut makes no difference.
    """

    @property
    def reach(self) -> Reach:
        """How far it got; CONNECTED (TCP) or SILENT (datagrams) before the peer has said anything."""
        ...

    @property
    def done(self) -> bool:
        """True when nothing that may still come would change the result; more bytes are ignored."""
        ...

    @property
    def evidence(self) -> dict[str, str]:
        """What was seen: short, printable, whatever the peer sent."""
        ...

    def opening(self) -> bytes:
        """Return the bytes to send first; empty where the peer speaks first."""
        ...

    def receive(self, data: bytes) -> bytes:
        """Take what the peer sent; return what to send back. Never raises, whatever the bytes are."""
        ...

    def ended(self) -> None:
        """Take note that the peer closed the connection, or reset it."""
        ...


class StreamConversation(ABC):
    """What the conversations over TCP share: a bounded buffer, and an end whatever the peer does.

    `_advance` decides from the buffer's beginning alone, so that it comes to the same end however the
    bytes were cut. Until it proves something, the first bytes are kept as evidence under `received`.
    """

    __slots__ = ("_buffer", "done", "evidence", "reach")

    limit: ClassVar[int] = 65536  # bytes; no answer that we ask for is longer

    def __init__(self) -> None:
        self.reach = Reach.CONNECTED
        self.done = False
        self.evidence: dict[str, str] = {}
        self._buffer = bytearray()

    def opening(self) -> bytes:
        """Return the bytes to send first; empty where the peer speaks first."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Take what the peer sent; return what to send back."""
        if self.done or not data:
            return b""
        self.reach = max(self.reach, Reach.SPOKE)
        self._buffer += data[: self.limit - len(self._buffer)]
        self.evidence["received"] = printable(self._buffer)
        answer = self._advance()
        if len(self._buffer) >= self.limit:
            self._stop(f"{self.limit} bytes that are no answer")
        return answer

    def ended(self) -> None:
        """Take note that the peer closed the connection, or reset it."""
        if not self.done:
            self.evidence["ended"] = "the peer closed the connection"
            self.done = True

    @abstractmethod
    def _advance(self) -> bytes:
        """Look at the buffer, and return what to send back."""

    def _prove(self) -> None:
        """This is the answer that only a living user mode can compose."""
        self.reach = Reach.PROVED
        self.done = True
        for doubt in ("received", "kernel"):
            self.evidence.pop(doubt, None)

    def _fail(self, failure: str) -> None:
        """The peer gave a complete answer, and it is that it failed."""
        self.evidence["failure"] = failure
        self.done = True
        self.evidence.pop("received", None)

    def _stop(self, problem: str) -> None:
        """The peer does not speak this protocol, as every kernel does; an earlier decision stands."""
        if not self.done:
            self.evidence["problem"] = problem
            self.evidence.pop("kernel", None)
            self.done = True
