"""SFTP version 3 without I/O: packets in and out.

The protocol is draft-ietf-secsh-filexfer-02. Nothing here waits or sends, so that it can be tested with
every split and every lie of a peer.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from collector.adapters.answers import FileKind
from collector.errors import PeerFailedError

MAX_PACKET = 256 * 1024
"""Largest packet in bytes, OpenSSH's limit (`sftp-common.h`, SFTP_MAX_MSG_LENGTH)."""

CHUNK = 255 * 1024
"""Bytes asked for at a time: the most that OpenSSH's server puts into one packet (`sftp-server.c`)."""

DEPTH = 16
"""Requests outstanding. 16 chunks are 4 MiB on the way: 200 MB/s at 20 ms; more costs memory, not time."""

MAX_NAME = 1024
"""Bytes in a file name: 255 on Linux, 255 UTF-16 units on Windows. Longer ones are no names."""


class Kind(IntEnum):
    """Packet types, section 3."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    OPENDIR = 11
    READDIR = 12
    STAT = 17
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105


class Status(IntEnum):
    """Status codes, section 7."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    OP_UNSUPPORTED = 8


_SIZE, _UIDGID, _PERMISSIONS, _ACMODTIME, _EXTENDED = 1, 2, 4, 8, 0x80000000
"""Flags of the file attributes, section 5."""

_OPEN_READ = 1
"""SSH_FXF_READ, section 6.3."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the server says of a file. Size in bytes, `modified` in seconds since the epoch."""

    kind: FileKind
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Packet:
    """An answer. `number` is the id of the request, or the version in a VERSION packet."""

    kind: int
    number: int
    body: bytes


def initialize() -> bytes:
    """The first packet of a session: we speak version 3."""
    return struct.pack(">IBI", 5, Kind.INIT, 3)


def request(kind: Kind, number: int, name: bytes, rest: bytes = b"") -> bytes:
    """A request with the id `number` about a path or a handle."""
    return struct.pack(">IBII", 9 + len(name) + len(rest), kind, number, len(name)) + name + rest


def open_request(number: int, path: bytes) -> bytes:
    """Open a file for reading, without attributes (section 6.3)."""
    return request(Kind.OPEN, number, path, struct.pack(">II", _OPEN_READ, 0))


def read_request(number: int, handle: bytes, offset: int, length: int) -> bytes:
    """Ask for `length` bytes at `offset` (section 6.4)."""
    return request(Kind.READ, number, handle, struct.pack(">QI", offset, length))


class Splitter:
    """Cuts a stream of bytes into packets. It never holds more than one packet and one piece."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[Packet]:
        """Add a piece and yield the packets that are complete.

        Raises:
            PeerFailedError: a packet claims a length that no answer has.
        """
        self._buffer += piece
        while len(self._buffer) >= 4:  # noqa: PLR2004 - the length field
            length = int.from_bytes(self._buffer[:4], "big")
            if not 5 <= length <= MAX_PACKET:  # noqa: PLR2004 - type and id
                raise malformed(f"a packet of {length} bytes")
            if len(self._buffer) < 4 + length:
                return
            kind, number = struct.unpack_from(">BI", self._buffer, 4)
            with memoryview(self._buffer) as view:
                body = bytes(view[9 : 4 + length])
            del self._buffer[: 4 + length]
            yield Packet(kind, number, body)


class Fields:
    """Reads the fields of a packet's body, and takes no length on trust."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def u32(self) -> int:
        """An unsigned 32-bit number."""
        return int.from_bytes(self._take(4), "big")

    def u64(self) -> int:
        """An unsigned 64-bit number."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """A length and as many bytes."""
        return self._take(self.u32())

    def attributes(self) -> Attributes:
        """File attributes, section 5. What the server leaves out is zero, and of the kind OTHER."""
        flags = self.u32()
        size = self.u64() if flags & _SIZE else 0
        if flags & _UIDGID:
            self._take(8)
        mode = self.u32() if flags & _PERMISSIONS else 0
        modified = 0
        if flags & _ACMODTIME:
            self._take(4)
            modified = self.u32()
        if flags & _EXTENDED:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return Attributes(_kind_of(mode), size, float(modified))

    def names(self) -> Iterator[tuple[bytes, Attributes]]:
        """The entries of a NAME packet, section 7; the line for people (`longname`) is left out."""
        for _ in range(self.u32()):
            name = self.string()
            self.string()
            yield name, self.attributes()

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            raise malformed("a field that is longer than its packet")
        field, self._at = self._body[self._at : end], end
        return field


def safe_name(name: bytes) -> str | None:
    """A name from a folder as text, or None for what is not the name of a child.

    Bytes that are not UTF-8 become surrogates (PEP 383), so that the name can be sent back as it was.
    """
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(name) > MAX_NAME:
        return None
    return name.decode("utf-8", "surrogateescape")


def malformed(what: str) -> PeerFailedError:
    """The error for an answer that no SFTP server gives."""
    return PeerFailedError(
        f"the SFTP server sent {what}",
        hint="A login script that prints text breaks SFTP; if there is none, do not trust this host's files.",
    )


def _kind_of(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    return FileKind.FOLDER if stat.S_ISDIR(mode) else FileKind.OTHER
