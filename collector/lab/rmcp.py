"""The server's half of RMCP+, without I/O: a datagram in, a datagram or a request out.

References are to the IPMI 2.0 specification, revision 1.1. One cipher suite is spoken, number 3:
RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128 (table 22-20). There is no Kg key, so a user's own key takes its
place (section 13.31).

What cannot be parsed, verified or decrypted is dropped without an answer.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP_HEADER = b"\x06\x00\xff\x07"
"""RMCP version 1.0, no acknowledgement, message class IPMI (section 13.1.3)."""

_FORMAT_IPMI_15, _FORMAT_RMCP_PLUS = 0x00, 0x06  # authentication type field, table 13-8
_ENCRYPTED_AND_AUTHENTICATED = 0xC0  # payload type field, table 13-8
_IPMI, _OPEN_REQUEST, _RAKP1, _RAKP3 = 0x00, 0x10, 0x12, 0x14  # payload types, table 13-16
_SUITE_3 = bytes([0, 0, 0, 8, 1, 0, 0, 0, 1, 0, 0, 8, 1, 0, 0, 0, 2, 0, 0, 8, 1, 0, 0, 0])  # table 13-9
_HEADER_BYTES, _INTEGRITY_BYTES, _BLOCK = 16, 12, 16
_BMC_ADDRESS = 0x20
_MIN_MESSAGE = 7  # bytes: two addresses, network function, sequence, command, two checksums
_MAX_SESSIONS = 32


class Status(IntEnum):
    """RMCP+ and RAKP message status codes (table 13-15)."""

    OK = 0x00
    INVALID_SESSION_ID = 0x02
    UNAUTHORIZED_ROLE = 0x0A
    UNAUTHORIZED_NAME = 0x0D
    INVALID_INTEGRITY_CHECK = 0x0F
    NO_CIPHER_SUITE = 0x11


class Privilege(IntEnum):
    """Privilege levels (table 22-28); a session may do what its level and those below it may."""

    NONE = 0  # no session at all
    CALLBACK = 1
    USER = 2
    OPERATOR = 3
    ADMINISTRATOR = 4


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the BMC, and the highest privilege level that it may ask for."""

    name: str
    password: str = field(repr=False)
    privilege: Privilege = Privilege.ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Login:
    """One RAKP message 1 or 3 that arrived, and what it was answered."""

    message: int
    name: str
    status: Status


@dataclass(slots=True)
class Session:
    """A session, from the open session request on; it carries commands once `integrity_key` is set."""

    id: int
    remote_id: int
    privilege: Privilege = Privilege.USER
    limit: Privilege = Privilege.USER
    account: Account | None = None
    remote_random: bytes = b""
    random: bytes = b""
    role: bytes = b""  # requested role, length of the name, name: as every RAKP hash wants them
    integrity_key: bytes = field(default=b"", repr=False)
    cipher_key: bytes = field(default=b"", repr=False)
    received: int = 0  # highest session sequence number seen
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """An IPMI command that arrived whole, and authenticated if it has a session (section 13.8)."""

    netfn: int
    command: int
    data: bytes
    session: Session | None
    requester: int
    sequence: int  # rqSeq and requester's LUN, to be given back
    lun: int
    format: int

    @property
    def privilege(self) -> Privilege:
        """The level this request was made at."""
        return self.session.privilege if self.session else Privilege.NONE


class RmcpServer:
    """The sessions of one BMC. `logins` is what was tried, oldest first."""

    def __init__(self, accounts: Sequence[Account], guid: bytes) -> None:
        self._accounts = {account.name.encode(): account for account in accounts}
        self._guid = guid
        self._sessions: dict[int, Session] = {}
        self.logins: list[Login] = []

    def receive(self, datagram: bytes) -> Request | bytes | None:
        """Take one datagram: a command to execute, an answer to send back, or nothing."""
        if not datagram.startswith(RMCP_HEADER):
            return None
        try:
            if datagram[4] == _FORMAT_IPMI_15:
                return self._sessionless_15(datagram)
            if datagram[4] == _FORMAT_RMCP_PLUS:
                return self._rmcp_plus(datagram)
        except (struct.error, IndexError, ValueError):
            pass  # shorter than its own fields say
        return None

    def respond(self, request: Request, code: int, data: bytes = b"") -> bytes:
        """The datagram that answers `request` with a completion code and, on success, data."""
        head = bytes([request.requester, (request.netfn + 1) << 2 | request.sequence & 0b11])
        body = bytes([_BMC_ADDRESS, request.sequence & 0xFC | request.lun, request.command, code]) + data
        message = head + _checksum(head) + body + _checksum(body)
        if request.session is not None:
            return _seal(request.session, message)
        if request.format == _FORMAT_RMCP_PLUS:
            return _plain(_IPMI, message)
        return RMCP_HEADER + struct.pack("<BIIB", _FORMAT_IPMI_15, 0, 0, len(message)) + message

    def close(self, session_id: int) -> bool:
        """Forget a session; False if there is none of this number."""
        return self._sessions.pop(session_id, None) is not None

    @property
    def sessions(self) -> int:
        """How many sessions are open and logged in."""
        return sum(bool(session.integrity_key) for session in list(self._sessions.values()))

    def _sessionless_15(self, datagram: bytes) -> Request | None:
        sequence, session_id, length = struct.unpack_from("<IIB", datagram, 5)
        if sequence or session_id:
            return None  # IPMI 1.5 sessions are not offered
        return _parse_message(datagram[14 : 14 + length], None, _FORMAT_IPMI_15)

    def _rmcp_plus(self, datagram: bytes) -> Request | bytes | None:
        payload_type, session_id, sequence, length = struct.unpack_from("<BIIH", datagram, 5)
        payload = datagram[_HEADER_BYTES : _HEADER_BYTES + length]
        if session_id == 0:
            handlers = {_OPEN_REQUEST: self._open, _RAKP1: self._rakp1, _RAKP3: self._rakp3}
            if payload_type == _IPMI:
                return _parse_message(payload, None, _FORMAT_RMCP_PLUS)
            return handlers[payload_type](payload) if payload_type in handlers else None
        session = self._sessions.get(session_id)
        if session is None or payload_type != _ENCRYPTED_AND_AUTHENTICATED | _IPMI:
            return None
        message = _unseal(session, datagram, sequence, payload)
        return None if message is None else _parse_message(message, session, _FORMAT_RMCP_PLUS)

    def _open(self, payload: bytes) -> bytes:
        """Open session request and response (section 13.17 and 13.18)."""
        tag, wanted, remote_id = struct.unpack_from("<BB2xI", payload)
        if not _proposes_suite_3(payload[8:32]):
            return _plain(_OPEN_REQUEST + 1, struct.pack("<BBBxI", tag, Status.NO_CIPHER_SUITE, 0, remote_id))
        while len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        session = Session(secrets.randbelow(0xFFFF_FFFE) + 1, remote_id)
        self._sessions[session.id] = session
        allowed = wanted & 0x0F or Privilege.ADMINISTRATOR
        head = struct.pack("<BBBxII", tag, Status.OK, allowed, remote_id, session.id)
        return _plain(_OPEN_REQUEST + 1, head + _SUITE_3)

    def _rakp1(self, payload: bytes) -> bytes | None:
        """RAKP messages 1 and 2 (section 13.20 and 13.21): who wants in, and do we share a password?"""
        tag, session_id, remote_random, role, length = struct.unpack_from("<B3xI16sB2xB", payload)
        name = payload[28 : 28 + length]
        session = self._sessions.get(session_id)
        if session is None or session.integrity_key:
            return None
        account = self._accounts.get(name)
        status = Status.OK
        if account is None:
            status = Status.UNAUTHORIZED_NAME
        elif role & 0x0F > account.privilege:
            status = Status.UNAUTHORIZED_ROLE
        self._note(1, name, status)
        if account is None or status is not Status.OK:
            self.close(session_id)
            return _plain(_RAKP1 + 1, struct.pack("<BB2xI", tag, status, session.remote_id))
        session.account, session.limit = account, Privilege(role & 0x0F)
        session.remote_random, session.random = remote_random, secrets.token_bytes(16)
        session.role = bytes([role, length]) + name
        proof = _sha1(
            account.password.encode(),
            struct.pack("<II", session.remote_id, session.id),
            remote_random + session.random + self._guid + session.role,
        )
        head = struct.pack("<BB2xI", tag, Status.OK, session.remote_id)
        return _plain(_RAKP1 + 1, head + session.random + self._guid + proof)

    def _rakp3(self, payload: bytes) -> bytes | None:
        """RAKP messages 3 and 4 (section 13.22 to 13.24): the client proves its password, keys are made."""
        tag, status, session_id = struct.unpack_from("<BB2xI", payload)
        session = self._sessions.get(session_id)
        if session is None or session.account is None or session.integrity_key:
            return None
        if status != Status.OK:
            # The client did not like message 2: it has another password. It expects no answer.
            self._note(3, session.account.name.encode(), Status.INVALID_INTEGRITY_CHECK)
            self.close(session_id)
            return None
        key = session.account.password.encode()
        proof = _sha1(key, session.random, struct.pack("<I", session.remote_id), session.role)
        proven = hmac.compare_digest(proof, payload[8:28])
        answer = Status.OK if proven else Status.INVALID_INTEGRITY_CHECK
        self._note(3, session.account.name.encode(), answer)
        head = struct.pack("<BB2xI", tag, answer, session.remote_id)
        if not proven:
            self.close(session_id)
            return _plain(_RAKP3 + 1, head)
        session.privilege = min(Privilege.USER, session.limit)
        session_key = _sha1(key, session.remote_random, session.random, session.role)
        session.integrity_key = _sha1(session_key, b"\x01" * 20)  # K1 and K2, section 13.32
        session.cipher_key = _sha1(session_key, b"\x02" * 20)[:16]
        check = _sha1(session_key, session.remote_random, struct.pack("<I", session.id), self._guid)
        return _plain(_RAKP3 + 1, head + check[:_INTEGRITY_BYTES])

    def _note(self, message: int, name: bytes, status: Status) -> None:
        self.logins.append(Login(message, name.decode(errors="backslashreplace"), status))


def _proposes_suite_3(proposal: bytes) -> bool:
    """Are the three proposed algorithms those of suite 3, or left to us (length 0, table 13-9)?"""
    if len(proposal) != len(_SUITE_3):
        return False
    for start in (0, 8, 16):
        kind, length, algorithm = proposal[start], proposal[start + 3], proposal[start + 4]
        if kind != _SUITE_3[start] or (length and algorithm & 0x3F != _SUITE_3[start + 4]):
            return False
    return True


def _parse_message(message: bytes, session: Session | None, form: int) -> Request | None:
    """An IPMI LAN message (section 13.8); None if a checksum is wrong or it is not for the BMC."""
    if len(message) < _MIN_MESSAGE or message[0] != _BMC_ADDRESS:
        return None
    if _checksum(message[:2]) != message[2:3] or _checksum(message[3:-1]) != message[-1:]:
        return None
    return Request(
        netfn=message[1] >> 2,
        lun=message[1] & 0b11,
        requester=message[3],
        sequence=message[4],
        command=message[5],
        data=message[6:-1],
        session=session,
        format=form,
    )


def _plain(payload_type: int, payload: bytes) -> bytes:
    """A packet outside of any session."""
    head = struct.pack("<BBIIH", _FORMAT_RMCP_PLUS, payload_type, 0, 0, len(payload))
    return RMCP_HEADER + head + payload


def _seal(session: Session, message: bytes) -> bytes:
    """Encrypt (section 13.29) and authenticate (table 13-8) a message of a session."""
    session.sent += 1
    padding = -(len(message) + 1) % _BLOCK
    clear = message + bytes(range(1, padding + 1)) + bytes([padding])
    start = secrets.token_bytes(_BLOCK)
    encryptor = Cipher(algorithms.AES(session.cipher_key), modes.CBC(start)).encryptor()
    payload = start + encryptor.update(clear) + encryptor.finalize()
    kind = _ENCRYPTED_AND_AUTHENTICATED | _IPMI
    packet = struct.pack("<BBIIH", _FORMAT_RMCP_PLUS, kind, session.remote_id, session.sent, len(payload))
    packet += payload
    fill = -(len(packet) + 2) % 4
    packet += b"\xff" * fill + bytes([fill, 0x07])
    return RMCP_HEADER + packet + _sha1(session.integrity_key, packet)[:_INTEGRITY_BYTES]


def _unseal(session: Session, datagram: bytes, sequence: int, payload: bytes) -> bytes | None:
    """Verify and decrypt; None for a packet that is forged, damaged or seen before."""
    if not session.integrity_key:
        return None
    signed, code = datagram[len(RMCP_HEADER) : -_INTEGRITY_BYTES], datagram[-_INTEGRITY_BYTES:]
    if not hmac.compare_digest(_sha1(session.integrity_key, signed)[:_INTEGRITY_BYTES], code):
        return None
    if sequence <= session.received:
        return None  # a copy that the network made must not act again
    session.received = sequence
    decryptor = Cipher(algorithms.AES(session.cipher_key), modes.CBC(payload[:_BLOCK])).decryptor()
    clear = decryptor.update(payload[_BLOCK:]) + decryptor.finalize()
    return clear[: len(clear) - 1 - clear[-1]]


def _checksum(data: bytes) -> bytes:
    """Two's complement checksum: all bytes and it sum to zero (section 13.8)."""
    return bytes([-sum(data) & 0xFF])


def _sha1(key: bytes, *parts: bytes) -> bytes:
    return hmac.new(key, b"".join(parts), hashlib.sha1).digest()
