"""ICMP echo: does the kernel live, and the path to it?

The kernel answers by itself, so an echo reply is SPOKE and never PROVED.
"""

from __future__ import annotations

import struct

from collector.probe.observation import Reach

_REQUEST, _REPLY = 8, 0  # RFC 792
_REQUEST_V6, _REPLY_V6 = 128, 129  # RFC 4443 section 4
_HEADER = 8  # bytes: type, code, checksum, identifier, sequence number
_IPV4_HEADER = 20  # bytes at least, RFC 791 section 3.1


class IcmpConversation:
    """SPOKE by an echo reply that carries `token`.

    Args:
        ipv6: whether to speak ICMPv6.
        token: what tells our reply from those of others: a raw socket sees all that come to this machine.
    """

    __slots__ = ("_ipv6", "_token", "done", "evidence", "reach")

    def __init__(self, token: bytes, *, ipv6: bool) -> None:
        self._token = token
        self._ipv6 = ipv6
        self.reach = Reach.SILENT
        self.done = False
        self.evidence: dict[str, str] = {}

    def opening(self) -> bytes:
        """Return the echo request; it only reads, and may be sent again."""
        return echo_request(self._token, ipv6=self._ipv6)

    def receive(self, data: bytes) -> bytes:
        """Take one datagram; there is never more to send."""
        if not self.done and echoed(data, ipv6=self._ipv6) == self._token:
            self.reach, self.done = Reach.SPOKE, True
        return b""

    def ended(self) -> None:
        """Datagrams have no end."""


def echo_request(token: bytes, *, ipv6: bool) -> bytes:
    """Build an echo request with `token` as its data.

    Identifier and sequence number are zero: a datagram socket's identifier is set by the kernel, and 16 bits
    would not tell 100,000 hosts apart, so it is the data that identifies. For ICMPv6 the kernel sets the
    checksum, which covers addresses that only it knows (RFC 3542 section 3.1).
    """
    kind = _REQUEST_V6 if ipv6 else _REQUEST
    header = struct.pack(">BBHHH", kind, 0, 0, 0, 0)
    checksum = 0 if ipv6 else _checksum(header + token)
    return struct.pack(">BBHHH", kind, 0, checksum, 0, 0) + token


def echoed(datagram: bytes, *, ipv6: bool) -> bytes | None:
    """Return the data of an echo reply, None if the datagram is anything else.

    Raw IPv4 sockets, and datagram sockets on macOS, deliver the IPv4 header too. It begins with a 4 in its
    upper half byte, an echo reply with a zero, so the bytes themselves tell.
    """
    if not ipv6 and len(datagram) >= _IPV4_HEADER and datagram[0] >> 4 == 4:  # noqa: PLR2004 - IP version
        datagram = datagram[(datagram[0] & 0x0F) * 4 :]
    if len(datagram) < _HEADER or datagram[0] != (_REPLY_V6 if ipv6 else _REPLY):
        return None
    return datagram[_HEADER:]


def _checksum(data: bytes) -> int:
    """Return the Internet checksum, RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
