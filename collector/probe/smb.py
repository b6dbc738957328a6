"""SMB2: NEGOTIATE, then the first half of an NTLM login, which names nobody.

On Windows the answer to NEGOTIATE comes from worker threads of a kernel driver (srv2.sys), so by itself
it proves no more than ping: it is SPOKE. The NTLM challenge must come from LSASS, a user-mode process, so
it is what PROVES. No user name and no password is sent, no login is attempted, and none can be refused.
Samba answers both from user mode; the steps mean no less there.

All integers are little-endian, except the length in the transport header. Sections are those of MS-SMB2.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from collector.probe.conversation import StreamConversation

_FRAME = 4  # bytes: zero, then the big-endian 24-bit length of the message, 2.1
_HEADER = 64  # bytes, 2.2.1.2
_MAGIC = b"\xfeSMB"
_NEGOTIATE, _SESSION_SETUP = 0, 1  # commands, 2.2.1.2
_NEGOTIATE_FIXED = 48  # bytes of the answer's body that we read, 2.2.4
_CHALLENGE = b"NTLMSSP\x00\x02\x00\x00\x00"  # MS-NLMP 2.2.1.2
_STATUS_OK = 0x00000000  # MS-ERREF 2.3.1
_STATUS_PENDING = 0x00000103
_STATUS_MORE_PROCESSING = 0xC0000016

_DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}  # 2.2.3
_NAME_OF = {_NEGOTIATE: "NEGOTIATE", _SESSION_SETUP: "SESSION_SETUP"}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)  # of FILETIME, MS-DTYP 2.3.3


class SmbConversation(StreamConversation):
    """PROVED by an NTLM challenge; a NEGOTIATE answer is SPOKE."""

    __slots__ = ("_asked", "_at")

    def __init__(self) -> None:
        super().__init__()
        self._at = 0  # where in the buffer the next message begins
        self._asked = _NEGOTIATE

    def opening(self) -> bytes:
        """Return the NEGOTIATE request."""
        return _message(_NEGOTIATE, 0, _NEGOTIATE_REQUEST)

    def _advance(self) -> bytes:
        answer = b""
        while not self.done and len(self._buffer) - self._at >= _FRAME:
            (length,) = struct.unpack_from(">I", self._buffer, self._at)
            if not _HEADER <= length < self.limit:  # the first byte of the four must be zero
                self._stop("not SMB2 over TCP")
                break
            begin, end = self._at + _FRAME, self._at + _FRAME + length
            if len(self._buffer) < end:
                break
            self._at = end
            answer += self._read_message(bytes(self._buffer[begin:end]))
        return answer

    def _read_message(self, message: bytes) -> bytes:
        status, command = struct.unpack_from("<IH", message, 8)
        if not message.startswith(_MAGIC) or command != self._asked:
            self._stop("not an answer in SMB2")
        elif status == _STATUS_PENDING:
            pass  # the server promises an answer, 3.3.4.2
        elif command == _NEGOTIATE and status == _STATUS_OK:
            return self._read_negotiate(message[_HEADER:])
        elif command == _SESSION_SETUP and status == _STATUS_MORE_PROCESSING and _CHALLENGE in message:
            self._prove()
        else:
            self._fail(f"{_NAME_OF[command]} status 0x{status:08x}")
        return b""

    def _read_negotiate(self, body: bytes) -> bytes:
        if len(body) < _NEGOTIATE_FIXED:
            self._stop("the NEGOTIATE answer is too short")
            return b""
        (dialect,) = struct.unpack_from("<H", body, 4)
        (ticks,) = struct.unpack_from("<Q", body, 40)
        self.evidence["dialect"] = _DIALECTS.get(dialect, f"0x{dialect:04x}")
        if ticks < _ticks(datetime.max.replace(tzinfo=UTC)):
            self.evidence["system_time"] = (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat()
        self.evidence["kernel"] = "srv2.sys answers NEGOTIATE by itself"
        self._asked = _SESSION_SETUP
        return _message(_SESSION_SETUP, 1, _SESSION_SETUP_REQUEST)


def _ticks(moment: datetime) -> int:
    """Return the FILETIME of `moment`, in units of 100 ns."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


def _message(command: int, message_id: int, body: bytes) -> bytes:
    """Put the transport and SMB2 headers (2.2.1.2) before a request's body; one credit is asked for."""
    header = struct.pack("<4sHHIHHIIQIIQ16x", _MAGIC, _HEADER, 1, 0, command, 1, 0, 0, message_id, 0, 0, 0)
    return struct.pack(">I", len(header) + len(body)) + header + body


def _negotiate_request() -> bytes:
    """Compose the body of NEGOTIATE (2.2.3) with the one context that 3.1.1 requires (2.2.3.1.1).

    The client's GUID and the salt are constant: they identify and protect a session, and none is made.
    """
    dialects = struct.pack(f"<{len(_DIALECTS)}H", *_DIALECTS)
    padding = bytes(-(_HEADER + 36 + len(dialects)) % 8)
    offset = _HEADER + 36 + len(dialects) + len(padding)
    sha512, salt = 1, bytes(32)
    integrity = struct.pack("<HHH", 1, len(salt), sha512) + salt
    context = struct.pack("<HHI", 1, len(integrity), 0) + integrity  # type 1: preauthentication integrity
    signing_enabled = 1
    fixed = struct.pack(
        "<HHHHI16sIHH", 36, len(_DIALECTS), signing_enabled, 0, 0, b"hang-collector\0\0", offset, 1, 0
    )
    return fixed + dialects + padding + context


def _session_setup_request() -> bytes:
    """Compose the body of SESSION_SETUP (2.2.5) with an NTLM NEGOTIATE_MESSAGE (MS-NLMP 2.2.1.1).

    Its flags ask for Unicode, the target's name, NTLM, signing, extended session security, 128 and 56 bits.
    """
    flags = 0x1 | 0x4 | 0x200 | 0x8000 | 0x80000 | 0x20000000 | 0x80000000
    ntlm = struct.pack("<8sII16x", b"NTLMSSP\0", 1, flags)
    return struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, _HEADER + 24, len(ntlm), 0) + ntlm


_NEGOTIATE_REQUEST = _negotiate_request()
_SESSION_SETUP_REQUEST = _session_setup_request()
