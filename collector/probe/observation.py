"""What one probe asked, and how far it got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reach(StrEnum):
    """How far a probe got, in ascending order: `Reach.CONNECTED < Reach.PROVED` holds.

    The steps that matter lie between CONNECTED and PROVED: the kernel of a hung host still completes
    the TCP handshake and answers ping, so neither says that anything above the kernel lives.
    """

    UNTRIED = "untried"  # this machine could not ask; the evidence says why
    NO_ROUTE = "no route"  # a router, or our own kernel, said that there is no way to the address
    SILENT = "silent"  # nothing came back at all: dead, filtered, or the accept queue is full
    REFUSED = "refused"  # RST, or ICMP port unreachable: a kernel lives, nobody listens
    CONNECTED = "connected"  # the kernel completed the handshake; not a byte came
    SPOKE = "spoke"  # bytes came, but not those that only a living user mode can compose
    PROVED = "proved"  # the answer that only a living user mode can compose

    def __lt__(self, other: str) -> bool:
        return _STEPS[self] < _STEPS[Reach(other)]

    def __le__(self, other: str) -> bool:
        return _STEPS[self] <= _STEPS[Reach(other)]

    def __gt__(self, other: str) -> bool:
        return _STEPS[self] > _STEPS[Reach(other)]

    def __ge__(self, other: str) -> bool:
        return _STEPS[self] >= _STEPS[Reach(other)]


_STEPS: Mapping[Reach, int] = {reach: step for step, reach in enumerate(Reach)}


@dataclass(frozen=True, slots=True)
class Target:
    """One question: `protocol` is a key of `PROTOCOLS`, `address` a host name or an IP address.

    `port` is None where the protocol has none (ICMP).
    """

    protocol: str
    address: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Observation:
    """The answer to one `Target`: how far it got, how long that took, and what was seen.

    The values of `evidence` are short and printable, whatever the peer sent. Three keys have a fixed
    meaning: `ended` is present when the peer closed the connection before it had given its answer,
    `failure` when it gave one, and the answer is that it failed, and `kernel` when all that was said
    may have been said by the host's kernel.
    """

    protocol: str
    address: str
    port: int | None
    reach: Reach
    seconds: float
    evidence: Mapping[str, str]

    @property
    def answered(self) -> bool:
        """True when the peer sent something of its own: an echo reply, a banner, any byte."""
        return self.reach >= Reach.SPOKE


def untried(target: Target, problem: str) -> Observation:
    """Make the observation of a target that this machine could not ask."""
    return Observation(target.protocol, target.address, target.port, Reach.UNTRIED, 0.0, {"problem": problem})


def printable(data: bytes | bytearray, limit: int = 80) -> str:
    """Show at most `limit` bytes a peer sent; what is not plain ASCII is escaped: it may drive a terminal."""
    shown = data[:limit].decode("latin-1").encode("unicode_escape").decode("ascii")
    return shown + "..." if len(data) > limit else shown
