"""RDP: the X.224 connection request and its confirm.

TermService composes the confirm in user mode. A negotiation failure is composed by the same code and
proves as much. Nothing follows the confirm: no TLS, no login.
"""

from __future__ import annotations

import struct

from collector.probe.conversation import StreamConversation

_TPKT = 4  # bytes: version 3, reserved, big-endian length of the whole, T.123 section 8
_VERSION = 3
_CONFIRM_CODE = 0xD0  # upper half of the second X.224 byte, X.224 section 13.4
_FIXED = 7  # bytes of X.224: length indicator, code, DST-REF, SRC-REF, class option
_PACKET_LIMIT = 512  # bytes; the confirm has 11 or 19
_NEGOTIATION = 8  # bytes: type, flags, little-endian length and value, MS-RDPBCGR 2.2.1.2.1
_RESPONSE = 2
_FAILURE = 3

# RDP_NEG_REQ asking for TLS (1), CredSSP (2) or CredSSP with early authorization (8): MS-RDPBCGR 2.2.1.1.1
_REQUEST = bytes.fromhex("03 00 00 13  0e e0 00 00 00 00 00  01 00 08 00 0b 00 00 00")

_PROTOCOLS = {0: "standard RDP security", 1: "TLS", 2: "CredSSP", 8: "CredSSP with early authorization"}
_FAILURES = {  # MS-RDPBCGR 2.2.1.2.2
    1: "SSL required by server",
    2: "SSL not allowed by server",
    3: "no SSL certificate on server",
    4: "inconsistent flags",
    5: "CredSSP required by server",
    6: "SSL with user authentication required by server",
}


class RdpConversation(StreamConversation):
    """PROVED by any connection confirm."""

    __slots__ = ()

    def opening(self) -> bytes:
        """Return the connection request."""
        return _REQUEST

    def _advance(self) -> bytes:
        if self._buffer[0] != _VERSION:
            self._stop("not RDP: no TPKT header")
        elif len(self._buffer) >= _TPKT:
            (length,) = struct.unpack_from(">H", self._buffer, 2)
            if not _TPKT + _FIXED <= length <= _PACKET_LIMIT:
                self._stop("not RDP: impossible TPKT length")
            elif len(self._buffer) >= length:
                self._read_confirm(bytes(self._buffer[_TPKT:length]))
        return b""

    def _read_confirm(self, packet: bytes) -> None:
        if packet[1] & 0xF0 != _CONFIRM_CODE:
            self._stop(f"not a connection confirm: X.224 code 0x{packet[1]:02x}")
            return
        negotiation = packet[_FIXED:]
        if len(negotiation) < _NEGOTIATION:
            self.evidence["security"] = _PROTOCOLS[0]
        else:
            kind, _, _, value = struct.unpack_from("<BBHI", negotiation)
            if kind == _RESPONSE:
                self.evidence["security"] = _PROTOCOLS.get(value, f"protocol {value}")
            elif kind == _FAILURE:
                self.evidence["negotiation_failure"] = _FAILURES.get(value, f"code {value}")
        self._prove()
