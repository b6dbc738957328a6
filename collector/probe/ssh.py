"""SSH: the server's banner, then its key exchange proposal.

sshd writes the banner and its KEXINIT from a process of its own, in user mode, so the KEXINIT proves that
the host schedules processes. No key is agreed on and nobody logs in: we leave after the proposals.
"""

from __future__ import annotations

import struct

from collector.probe.conversation import StreamConversation
from collector.probe.observation import printable

_BANNER_LIMIT = 255  # bytes with CR LF, RFC 4253 section 4.2
_PACKET_LIMIT = 35000  # bytes that every implementation must be able to take, RFC 4253 section 6.1
_LENGTHS = 5  # bytes: uint32 packet_length, byte padding_length, RFC 4253 section 6
_COOKIE = 16  # bytes, RFC 4253 section 7.1
_MSG_DISCONNECT = 1  # RFC 4250 section 4.1.2
_MSG_KEXINIT = 20

_OUR_BANNER = b"SSH-2.0-HangCollector\r\n"
# What sshd offers in most versions, so that its log shows a closed connection and no failed negotiation.
_PROPOSAL = (
    b"curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256",
    b"ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-rsa",
    b"aes128-ctr,aes256-ctr",
    b"aes128-ctr,aes256-ctr",
    b"hmac-sha2-256,hmac-sha2-512",
    b"hmac-sha2-256,hmac-sha2-512",
    b"none",
    b"none",
    b"",
    b"",
)


class SshConversation(StreamConversation):
    """PROVED by the server's KEXINIT, or by its reasoned DISCONNECT; a banner alone is SPOKE."""

    __slots__ = ("_at", "_greeted")

    def __init__(self) -> None:
        super().__init__()
        self._at = 0  # where in the buffer the next line or packet begins
        self._greeted = False

    def _advance(self) -> bytes:
        answer = b"" if self._greeted else self._read_lines()
        if self._greeted:
            self._read_packets()
        return answer

    def _read_lines(self) -> bytes:
        """Look for the identification; a server may send other lines before it (RFC 4253 section 4.2)."""
        while (end := self._buffer.find(b"\n", self._at)) >= 0:
            line = bytes(self._buffer[self._at : end])
            if line.startswith(b"SSH-"):
                return self._greet(line, end + 1)
            self.evidence.setdefault("before_banner", printable(line.rstrip(b"\r")))
            self._at = end + 1
        if self._buffer.startswith(b"SSH-", self._at) and len(self._buffer) - self._at >= _BANNER_LIMIT:
            self._stop("the banner does not end")
        return b""

    def _greet(self, line: bytes, end: int) -> bytes:
        if len(line) >= _BANNER_LIMIT:
            self._stop("the banner does not end")
            return b""
        self.evidence["banner"] = printable(line.rstrip(b"\r"), _BANNER_LIMIT)
        # 1.99 is a 2.0 server that would also speak 1.x, RFC 4253 section 5.1.
        if not line.startswith((b"SSH-2.0-", b"SSH-1.99-")):
            self._stop("not SSH 2.0")
            return b""
        self._greeted, self._at = True, end
        return _OUR_BANNER + _KEXINIT

    def _read_packets(self) -> None:
        while not self.done and len(self._buffer) - self._at >= _LENGTHS:
            length, padding = struct.unpack_from(">IB", self._buffer, self._at)
            if not padding + 1 < length <= _PACKET_LIMIT:
                self._stop("not an SSH packet after the banner")
                return
            end = self._at + 4 + length
            if len(self._buffer) < end:
                return
            self._read_message(bytes(self._buffer[self._at + _LENGTHS : end - padding]))
            self._at = end

    def _read_message(self, payload: bytes) -> None:
        if payload[0] == _MSG_KEXINIT:
            (length,) = struct.unpack_from(">I", payload.ljust(_COOKIE + 5, b"\0"), 1 + _COOKIE)
            names = payload[_COOKIE + 5 : _COOKIE + 5 + length]
            self.evidence["key_exchange"] = printable(names)
            self._prove()
        elif payload[0] == _MSG_DISCONNECT:
            # byte type, uint32 reason, string description: RFC 4253 section 11.1
            self.evidence["disconnect"] = printable(payload[9:])
            self._prove()


def _kexinit() -> bytes:
    """Compose our KEXINIT packet, RFC 4253 section 7.1.

    The cookie need not be random: it would guard the session key, and none is made.
    """
    lists = b"".join(struct.pack(">I", len(names)) + names for names in _PROPOSAL)
    payload = bytes([_MSG_KEXINIT]) + bytes(_COOKIE) + lists + bytes(5)  # no guess follows; reserved
    padding = 8 - (_LENGTHS + len(payload)) % 8
    padding += 8 if padding < 4 else 0  # noqa: PLR2004 - at least four bytes, RFC 4253 section 6
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


_KEXINIT = _kexinit()
