"""smbprotocol's connection, bounded: a peer may send what it likes, and we neither fill up nor get stuck.

What smbprotocol 1.17 leaves open, and is closed here:

- Its waits have no end, and a thread of its own reads for ever: here whoever waits reads, and has `patience`.
- A packet may claim four gigabytes: here no frame is larger than what was asked for.
- An answer without a signature, or in the clear on an encrypted session, is taken: here it is refused.
- A byte is copied six times on its way: here it stays where it arrived until it is written. A request to read
  takes a quarter of a millisecond to pack: here a twentieth of that.

Section numbers are of [MS-SMB2].
"""

from __future__ import annotations

import logging
import socket
import struct
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from smbprotocol.connection import Connection as SmbprotocolConnection
from smbprotocol.connection import Request, SMB2Echo
from smbprotocol.exceptions import SMBConnectionClosed, SMBException, SMBResponseException
from smbprotocol.header import Commands, NtStatus, Smb2Flags, SMB2HeaderResponse
from smbprotocol.session import Session
from smbprotocol.structure import Structure

from collector.adapters.answers import Chunk
from collector.adapters.buffers import Buffers
from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.adapters.smb_keys import ENCRYPTION, SIGNING, TAG, Keys, is_sealed, malformed
from collector.adapters.smb_read import pack_read
from collector.errors import AdapterError, PeerFailedError, UnreachableError, UnsupportedError

CHUNK = 2 * 1024 * 1024
"""Bytes to ask for at a time. Pieces of half the size take a tenth longer, of twice the size no less."""

UNIT = 64 * 1024
"""Bytes that one credit pays for (section 3.2.4.1.5)."""

SPARE_CREDITS = 8
"""Credits that a copy leaves for other requests."""

MAX_FRAME = CHUNK + 64 * 1024
"""Largest frame in bytes: a chunk, or 64 KiB of anything else, and its headers."""

SLOWEST = 16 * 1024
"""Bytes a second. A frame that takes longer is dripped on us."""

_HEADER = struct.Struct("<4s4xIHHIIQ32x")
"""Section 2.2.1.2: id, status, command, credits, flags, next, message."""

_READ_HEAD = 80  # bytes before the data in the answer to READ, section 2.2.20

for _name in ("smbprotocol", "spnego"):
    logging.getLogger(_name).addHandler(logging.NullHandler())  # else Python prints their warnings


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer: the bytes that were read, or else the whole message with its header."""

    status: int
    body: Chunk


class _Link:
    """Frames over a connected socket (section 2.1); takes the place of smbprotocol's transport."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self.patience = patience
        self.connected = True
        self._socket = sock
        self._length = memoryview(bytearray(4))
        self._frames = Buffers(MAX_FRAME + TAG)

    def connect(self) -> None:
        """It is connected already."""

    def close(self) -> None:
        """End the connection, and with it everything that is open at the server."""
        self.connected = False
        self._socket.close()

    def send(self, message: bytes | bytearray) -> None:
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
        """The next frame, with room for a tag behind it."""
        self._fill(self._length)
        length = int.from_bytes(self._length, "big")
        if not _HEADER.size <= length <= MAX_FRAME:
            raise malformed(f"a packet of {length} bytes")
        frame = self._frames.take()[: length + TAG]
        self._fill(frame[:-TAG])
        return frame

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
        self._keys: Keys | None = None
        self._reads: set[int] = set()
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
        # Without HMAC-SHA256, smbprotocol does not offer the dialects below 3.0.
        self.connect(preferred_encryption_algos=list(ENCRYPTION), preferred_signing_algos=list(SIGNING))
        unknown = self.signing_algorithm_id not in (None, *SIGNING)
        if self.dialect not in self.negotiated_dialects or unknown:
            raise UnsupportedError(
                "the SMB server chose a dialect that was not offered to it",
                hint="SMB 3 is needed: Windows 8, Windows Server 2012, or later.",
            )

    def secure(self, session: Session) -> None:
        """Refuse from here on whatever this session's keys do not prove. It has just logged in."""
        self._session = session
        self._keys = Keys(session, self.cipher_id, self.signing_algorithm_id, MAX_FRAME)

    def post(self, message: Structure, tree: int, earn: int = 0) -> int:
        """Send a request, and ask for `earn` credits, or for those that it costs; return its number."""
        assert self._session is not None
        try:
            request = self.send(message, self._session.session_id, tree, credit_request=earn)
        except SMBConnectionClosed as error:
            raise ended() from error
        except SMBException as error:  # no credits are left
            raise no_credits() from error
        return int(request.message["message_id"].get_value())

    def post_read(self, file: bytes, tree: int, offset: int, length: int) -> int:
        """Ask for `length` bytes of an open file; return the request's number."""
        assert self._session is not None
        assert self._keys is not None
        cost = -(-length // UNIT) if self.supports_multi_credit else 0
        if self.credits < max(cost, 1):
            raise no_credits()
        number = int(self.sequence_window["low"])
        self.sequence_window["low"] += max(cost, 1)
        message = pack_read(
            number=number,
            session=self._session.session_id,
            tree=tree,
            cost=cost,
            dfs=self._session.tree_connect_table[tree].is_dfs_share,
            signed=not self._keys.seals,
            file=file,
            offset=offset,
            length=length,
        )
        self._reads.add(number)
        if self._keys.seals:
            self._link.send(self._keys.seal(message))
        else:
            self._keys.sign(message, number)
            self._link.send(message)
        return number

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
        assert self._keys is not None
        return self._keys.seal(b_data)

    def _take(self, frame: memoryview) -> None:
        """Sort one frame to the request that it answers, after it has been proved to be the server's."""
        keys, sealed = self._keys, is_sealed(frame)
        if sealed and keys is None:
            raise malformed("an encrypted packet before the login")
        message = keys.unseal(frame) if sealed and keys is not None else frame[:-TAG]
        if len(message) < _HEADER.size:
            raise malformed("less than a header")
        magic, status, command, gained, flags, following, number = _HEADER.unpack_from(message)
        if magic != b"\xfeSMB" or following or self._command(number) is None:
            raise malformed("an answer to no request")
        if command != self._command(number):
            raise malformed("an answer of another kind than it was asked for")
        interim = status == NtStatus.STATUS_PENDING  # the answer itself will follow
        if keys is not None and not sealed and not interim:
            keys.verify(message, number, signed=bool(flags & Smb2Flags.SMB2_FLAGS_SIGNED))
        self.sequence_window["high"] += gained
        if not interim:
            self._reads.discard(number)
            self.outstanding_requests.pop(number, None)
            self._keep(command, status, number, message)

    def _command(self, number: int) -> int | None:
        """The kind of a request that has no answer yet; None if there is no such request."""
        if number in self._reads:
            return int(Commands.SMB2_READ)
        known = self.outstanding_requests.get(number)
        return None if known is None else int(known.message["command"].get_value())

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


def _data(message: memoryview) -> Chunk:
    """The bytes that an answer to READ carries (section 2.2.20); few are copied, to hold no whole frame."""
    if len(message) < _READ_HEAD:
        raise malformed("less than an answer to a read")
    start, length = message[66], int.from_bytes(message[68:72], "little")
    if start < _READ_HEAD or start + length > len(message):
        raise malformed("a field that is longer than its packet")
    data = message[start : start + length]
    return data if length > CHUNK // 2 else bytes(data)


def no_credits() -> PeerFailedError:
    """The error for a server that grants nothing more."""
    return PeerFailedError(
        "the SMB server allows no further request", hint="It may be overloaded; resume the case later."
    )


def ended() -> UnreachableError:
    """The error for a connection that is gone."""
    return UnreachableError(
        "the SMB connection ended in the middle",
        hint="Look whether the host is still up (`probe`), then try again; a copy goes on where it stopped.",
    )
