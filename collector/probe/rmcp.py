"""RMCP: IPMI's Get Channel Authentication Capabilities, the one command a BMC answers without a session.

It says that the controller lives. It says nothing about the host.
"""

from __future__ import annotations

import struct

from collector.probe.observation import Reach, printable

# Sections are those of the IPMI specification, version 2.0.
# RMCP header: version 6, reserved, sequence number FFh (no acknowledgement), class 7 (IPMI): section 13.1.3.
_RMCP = bytes([0x06, 0x00, 0xFF, 0x07])
# Session header without a session: authentication none, sequence 0, session 0: section 13.6.
_SESSION = bytes(9)
_HEADERS = len(_RMCP) + len(_SESSION) + 1  # the last byte is the length of what follows
_BMC, _CONSOLE = 0x20, 0x81  # slave address of the BMC, software id of a remote console: section 5.5
_APP, _APP_ANSWER = 0x06 << 2, 0x07 << 2  # network function, in the upper six bits: section 5.1
_SEQUENCE = 0x04  # in the upper six bits; the answer repeats it
_GET_AUTH_CAPABILITIES = 0x38  # section 22.13
_THIS_CHANNEL, _WITH_IPMI_2 = 0x0E, 0x80
_ADMINISTRATOR = 0x04
_SHORTEST = 8  # bytes: six of header, the completion code, a checksum
_CAPABILITIES = 5  # bytes read after the completion code: channel, types, status, extended, OEM


class RmcpConversation:
    """PROVED by an answer to our request, even if its completion code refuses."""

    __slots__ = ("done", "evidence", "reach")

    def __init__(self) -> None:
        self.reach = Reach.SILENT
        self.done = False
        self.evidence: dict[str, str] = {}

    def opening(self) -> bytes:
        """Return the request; it only reads, and may be sent again."""
        return _REQUEST

    def receive(self, data: bytes) -> bytes:
        """Take one datagram; there is never more to send."""
        if self.done:
            return b""
        self.reach = Reach.SPOKE
        message = _unwrap(data)
        if message is None:
            self.evidence["received"] = printable(data)
        else:
            self._read(message[6], message[7:-1])
        return b""

    def ended(self) -> None:
        """Datagrams have no end."""

    def _read(self, completion: int, data: bytes) -> None:
        self.evidence.pop("received", None)
        self.reach, self.done = Reach.PROVED, True
        if completion != 0:
            self.evidence["completion_code"] = f"0x{completion:02x}"
        elif len(data) >= _CAPABILITIES:
            # Bit 7 of the types says that the extended byte is valid; its bit 1 means IPMI 2.0.
            ipmi_2 = data[1] & 0x80 and data[3] & 0x02
            self.evidence["ipmi"] = "2.0" if ipmi_2 else "1.5"
            self.evidence["authentication_types"] = f"0x{data[1] & 0x3F:02x}"


def _checksum(data: bytes) -> int:
    """Return the byte that makes the sum zero modulo 256, section 13.8."""
    return -sum(data) & 0xFF


def _request() -> bytes:
    target = bytes([_BMC, _APP])
    command = bytes(
        [_CONSOLE, _SEQUENCE, _GET_AUTH_CAPABILITIES, _WITH_IPMI_2 | _THIS_CHANNEL, _ADMINISTRATOR]
    )
    message = target + bytes([_checksum(target)]) + command + bytes([_checksum(command)])
    return _RMCP + _SESSION + bytes([len(message)]) + message


def _unwrap(datagram: bytes) -> bytes | None:
    """Return the IPMI message if the datagram is an answer to our request, None otherwise."""
    # RMCP's sequence number and the session header are not compared: BMCs fill them as they like.
    if len(datagram) < _HEADERS + _SHORTEST or datagram[0] != _RMCP[0] or datagram[3] != _RMCP[3]:
        return None
    message = datagram[_HEADERS : _HEADERS + datagram[_HEADERS - 1]]
    if (
        len(message) < _SHORTEST
        or _checksum(message[:2]) != message[2]
        or _checksum(message[3:-1]) != message[-1]
    ):
        return None
    console, function, _, _, sequence, command = struct.unpack_from("6B", message)
    expected = (_CONSOLE, _APP_ANSWER, _SEQUENCE, _GET_AUTH_CAPABILITIES)
    return message if (console, function & 0xFC, sequence & 0xFC, command) == expected else None


_REQUEST = _request()
