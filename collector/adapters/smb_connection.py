"""smbprotocol's connection, bounded: a peer may send what it likes, and we neither fill up nor get stuck.

What smbprotocol 1.17 leaves open, and is closed here:

- Its waits have no end, and a thread of its own reads for ever: here whoever waits reads, and has `patience`.
- A packet may claim four gigabytes: here no frame is larger than what was asked for.
- An answer without a signature, or in the clear on an encrypted session, is taken: here it is refused.
- A byte is copied six times on its way: here twice.

Section numbers are of [MS-SMB2].
"""

from __future__ import annotations

import hmac
import logging
import socket
import struct
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from smbprotocol import Dialects
from smbprotocol.connection import Ciphers, Request, SigningAlgorithms, SMB2Echo
from smbprotocol.connection import Connection as SmbprotocolConnection
from smbprotocol.exceptions import SMBConnectionClosed, SMBException, SMBResponseException
from smbprotocol.header import Commands, NtStatus, Smb2Flags, SMB2HeaderResponse
from smbprotocol.session import Session
from smbprotocol.structure import Structure

from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.errors import AdapterError, PeerFailedError, UnreachableError, UnsupportedError

CHUNK = 1024 * 1024
"""Bytes to ask for at a time. Larger ones are slower: they fall out of the caches."""

SPARE_CREDITS = 8
"""Credits that a copy leaves for other requests."""

MAX_FRAME = CHUNK + 64 * 1024
"""Largest frame in bytes: a chunk, or 64 KiB of anything else, and its headers."""

SLOWEST = 16 * 1024
"""Bytes a second. A frame that takes longer is dripped on us."""

_SIGNING = (SigningAlgorithms.AES_GMAC, SigningAlgorithms.AES_CMAC)
_ENCRYPTION = (Ciphers.AES_128_GCM, Ciphers.AES_128_CCM, Ciphers.AES_256_GCM, Ciphers.AES_256_CCM)
"""The fastest first. Without HMAC-SHA256, smbprotocol does not offer the dialects below 3.0."""

_HEADER = struct.Struct("<4s4xIHHIIQ32x")
"""Section 2.2.1.2: id, status, command, credits, flags, next, message."""

_SIGNATURE = slice(48, 64)
"""Where in the header the signature is."""

_TRANSFORM = struct.Struct("<4s16s16sI2xHQ")
"""Section 2.2.41: id, signature, nonce, size, flags, session."""

_TAG = 16  # bytes of a signature
_READ_HEAD = 80  # bytes before the data in the answer to READ, section 2.2.20

for _name in ("smbprotocol", "spnego"):
    logging.getLogger(_name).addHandler(logging.NullHandler())  # else Python prints their warnings


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer: the bytes that were read, or else the whole message with its header."""

    status: int
    body: bytes


class _Link:
    """Frames over a connected socket (section 2.1); takes the place of smbprotocol's transport."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self.patience = patience
        self.connected = True
        self._socket = sock
        self._length = memoryview(bytearray(4))
        self._frame = memoryview(bytearray(MAX_FRAME + _TAG))

    def connect(self) -> None:
        """It is connected already."""

    def close(self) -> None:
        """End the connection, and with it everything that is open at the server."""
        self.connected = False
        self._socket.close()

    def send(self, message: bytes) -> None:
        """Send one frame."""
        seconds = self._time_left()
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(len(message).to_bytes(4, "big") + message)
        except TimeoutError as error:
            self.close()  # half a frame may be out
            raise self.patience.error() from error
        except OSError as error:
            raise ended() from error

    def receive(self) -> memoryview:
        """The next frame, with room for a tag behind it; it is overwritten by the one after."""
        self._fill(self._length)
        length = int.from_bytes(self._length, "big")
        if not _HEADER.size <= length <= MAX_FRAME:
            raise malformed(f"a packet of {length} bytes")
        self._fill(self._frame[:length])
        return self._frame[: length + _TAG]

    def _fill(self, view: memoryview) -> None:
        whole = Deadline.after(self._time_left() + len(view) / SLOWEST)
        while view:
            if whole.expired:
                raise self.patience.error()
            seconds = min(self._time_left(), whole.remaining())
            try:
                self._socket.settimeout(max(seconds, 0.001))
                count = self._socket.recv_into(view)
            except TimeoutError as error:
                raise self.patience.error() from error
            except OSError as error:
                raise ended() from error
            if not count:
                raise ended()
            view = view[count:]

    def _time_left(self) -> float:
        seconds = self.patience.seconds()
        if seconds <= 0:
            raise self.patience.error()
        return seconds


class Connection(SmbprotocolConnection):  # type: ignore[misc]
    """One connection to an SMB 3 server. Not for several threads.

    Args:
        sock: connected to the server; closed by `close`.
        address: the server's name, as shares and tickets are asked for.
        patience: how long everything may take from here on.
    """

    def __init__(self, sock: socket.socket, address: str, patience: Patience) -> None:
        self._link = _Link(sock, patience)
        self._session: Session | None = None
        self._answers: dict[int, Answer] = {}
        self._forgotten: set[int] = set()
        super().__init__(uuid.uuid4(), address, require_signing=True)

    @property
    def transport(self) -> _Link:
        """Our link."""
        return self._link

    @transport.setter
    def transport(self, made: object) -> None:
        """Whatever smbprotocol would connect itself: it is not used, and never connected."""

    @property
    def patience(self) -> Patience:
        """How long the next exchanges may take."""
        return self._link.patience

    @patience.setter
    def patience(self, patience: Patience) -> None:
        self._link.patience = patience

    @property
    def credits(self) -> int:
        """Units of 64 KiB that may be asked for at this moment (section 3.2.4.1.2)."""
        return int(self.sequence_window["high"] - self.sequence_window["low"])

    def negotiate(self) -> None:
        """Agree on a dialect, a cipher and a way to sign.

        Raises:
            UnsupportedError: the server has no SMB 3, or signs in a way that we did not offer.
        """
        self.connect(preferred_encryption_algos=list(_ENCRYPTION), preferred_signing_algos=list(_SIGNING))
        unknown = self.signing_algorithm_id not in (None, *_SIGNING)
        if self.dialect not in self.negotiated_dialects or unknown:
            raise UnsupportedError(
                "the SMB server chose a dialect that was not offered to it",
                hint="SMB 3 is needed: Windows 8, Windows Server 2012, or later.",
            )

    def secure(self, session: Session) -> None:
        """Refuse from here on whatever this session's keys do not prove. It has just logged in."""
        self._session = session
        if session.encrypt_data:
            galois = self.dialect >= Dialects.SMB_3_1_1 and self.cipher_id in (
                Ciphers.AES_128_GCM,
                Ciphers.AES_256_GCM,
            )
            self._opener = (AESGCM if galois else AESCCM)(session.decryption_key)
            self._nonce = 12 if galois else 11
            self._opened = memoryview(bytearray(MAX_FRAME))

    def post(self, message: Structure, tree: int, earn: int = 0) -> int:
        """Send a request, and ask for `earn` credits, or for those that it costs; return its number."""
        assert self._session is not None
        try:
            request = self.send(message, self._session.session_id, tree, credit_request=earn)
        except SMBConnectionClosed as error:
            raise ended() from error
        except SMBException as error:  # no credits are left
            raise PeerFailedError(
                "the SMB server allows no further request", hint="It may be overloaded; try again later."
            ) from error
        return int(request.message["message_id"].get_value())

    def earn(self, wanted: int) -> None:
        """Ask for this many credits more; the server may grant less, or none."""
        self.wait((self.post(SMB2Echo(), 0, wanted),))

    def ask(self, message: Structure, tree: int) -> Answer:
        """Send a request and wait for its answer."""
        number = self.post(message, tree)
        return self.wait((number,))[1]

    def wait(self, numbers: Collection[int]) -> tuple[int, Answer]:
        """The next answer to any of these requests, and which of them it is.

        After an error the connection is closed: half a frame may have been read.
        """
        while True:
            for number in self._answers:
                if number in numbers:
                    return number, self._answers.pop(number)
            try:
                self._take(self._link.receive())
            except AdapterError:
                self.close()
                raise

    def forget(self, numbers: Collection[int]) -> None:
        """Nobody will wait for the answers to these requests any more."""
        for number in numbers:
            if self._answers.pop(number, None) is None:
                self._forgotten.add(number)

    def receive(
        self, request: Request, wait: bool = True, timeout: object = None, resolve_symlinks: bool = False
    ) -> SMB2HeaderResponse:
        """What smbprotocol calls for its own requests: the answer's header with its data."""
        _, answer = self.wait((request.message["message_id"].get_value(),))
        header = SMB2HeaderResponse()
        header.unpack(answer.body)
        if answer.status != NtStatus.STATUS_SUCCESS:
            raise SMBResponseException(header)
        return header

    def close(self) -> None:
        """End the connection; the server closes what was open. No word of farewell: the peer may be hung."""
        self._link.close()

    def _process_message_thread(self) -> None:
        """smbprotocol's reading thread ends at once: whoever waits for an answer reads."""

    def _encrypt(self, b_data: bytes, session: Session) -> bytes:
        """An encrypted frame, as bytes for our link."""
        return bytes(super()._encrypt(b_data, session).pack())

    def _take(self, frame: memoryview) -> None:
        """Sort one frame to the request that it answers, after it has been proved to be the server's."""
        sealed = bytes(frame[:4]) == b"\xfdSMB"
        session = self._session
        message = self._unseal(frame, session) if sealed else frame[:-_TAG]
        if len(message) < _HEADER.size:
            raise malformed("less than a header")
        magic, status, command, gained, flags, following, number = _HEADER.unpack_from(message)
        known = self.outstanding_requests.get(number)
        if magic != b"\xfeSMB" or following or known is None:
            raise malformed("an answer to no request")
        if command != known.message["command"].get_value():
            raise malformed("an answer of another kind than it was asked for")
        interim = status == NtStatus.STATUS_PENDING  # the answer itself will follow
        if session is not None and not sealed and not interim:
            self._verify(message, number, session, signed=bool(flags & Smb2Flags.SMB2_FLAGS_SIGNED))
        self.sequence_window["high"] += gained
        if not interim:
            del self.outstanding_requests[number]
            self._keep(command, status, number, message)

    def _keep(self, command: int, status: int, number: int, message: memoryview) -> None:
        """Keep an answer for whoever waits, and what keys are made from (sections 3.2.5.2 and 3.2.5.3)."""
        if number in self._forgotten:
            self._forgotten.discard(number)
        elif command == Commands.SMB2_READ and status == NtStatus.STATUS_SUCCESS:
            self._answers[number] = Answer(status, _data(message))
        else:
            self._answers[number] = Answer(status, bytes(message))
        if command == Commands.SMB2_NEGOTIATE:
            self.preauth_integrity_hash_value.append(bytes(message))
        elif command == Commands.SMB2_SESSION_SETUP and status == NtStatus.STATUS_MORE_PROCESSING_REQUIRED:
            self.preauth_integrity_session_hash_value[number].append(bytes(message))

    def _unseal(self, frame: memoryview, session: Session | None) -> memoryview:
        """Decrypt a frame (section 3.2.5.1.1) into a buffer of ours."""
        _, signature, nonce, size, flags, owner = _TRANSFORM.unpack_from(frame)
        sealed = len(frame) - _TAG - _TRANSFORM.size
        if session is None or not session.encrypt_data or owner != session.session_id:
            raise _forged("is encrypted for another session")
        if flags != 1 or size != sealed:
            raise malformed("an encrypted packet of another size than it says")
        frame[-_TAG:] = signature  # the library wants the tag behind the data
        opened = self._opened[:sealed]
        try:
            self._opener.decrypt_into(
                nonce[: self._nonce], frame[_TRANSFORM.size :], bytes(frame[20 : _TRANSFORM.size]), opened
            )
        except InvalidTag:
            raise _forged("cannot be decrypted") from None
        return opened

    def _verify(self, message: memoryview, number: int, session: Session, *, signed: bool) -> None:
        """Refuse a message in the clear that the server has not signed (section 3.2.5.1.3)."""
        if session.encrypt_data:
            raise _forged("came unencrypted on an encrypted session")
        if not signed:
            raise _forged("was not signed")
        signature = bytes(message[_SIGNATURE])
        message[_SIGNATURE] = bytes(_TAG)
        if not hmac.compare_digest(self._signature(message, number, session), signature):
            raise _forged("has a wrong signature")

    def _signature(self, message: memoryview, number: int, session: Session) -> bytes:
        """The server's signature of a message whose own is zeroed (section 3.1.4.1)."""
        if self.signing_algorithm_id == SigningAlgorithms.AES_GMAC:
            nonce = struct.pack("<QI", number, Smb2Flags.SMB2_FLAGS_SERVER_TO_REDIR)
            return AESGCM(session.signing_key).encrypt(nonce, b"", message)
        cmac = CMAC(AES(session.signing_key))
        cmac.update(bytes(message))
        return cmac.finalize()


def _data(message: memoryview) -> bytes:
    """The bytes that an answer to READ carries (section 2.2.20)."""
    if len(message) < _READ_HEAD:
        raise malformed("less than an answer to a read")
    start, length = message[66], int.from_bytes(message[68:72], "little")
    if start < _READ_HEAD or start + length > len(message):
        raise malformed("a field that is longer than its packet")
    return bytes(message[start : start + length])


def malformed(what: str) -> PeerFailedError:
    """The error for an answer that no SMB server gives."""
    return PeerFailedError(
        f"the SMB server sent {what}", hint="Is it an SMB server? If so, do not trust this host's files."
    )


def _forged(what: str) -> PeerFailedError:
    return PeerFailedError(
        f"an answer of the SMB server {what}, and was refused",
        hint="Somebody between here and the host may alter what it sends: look at the network.",
    )


def ended() -> UnreachableError:
    """The error for a connection that is gone."""
    return UnreachableError(
        "the SMB connection ended in the middle",
        hint="Look whether the host is still up (`probe`), then try again; a copy goes on where it stopped.",
    )
