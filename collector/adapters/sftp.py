"""Reading files over SFTP: a session on any byte stream, and a pipelined reader.

Why not paramiko's own client: its `get` waits for ever on a silent server, asks for the whole file at once,
and takes about twice the time (`bench/retrieve.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from collector.adapters.answers import Chunk, RemoteFile
from collector.adapters.limits import Deadline
from collector.adapters.patience import Patience
from collector.adapters.read_ahead import ReadAhead
from collector.adapters.sftp_packets import (
    CHUNK,
    DEPTH,
    Attributes,
    Fields,
    Kind,
    Packet,
    Splitter,
    Status,
    initialize,
    malformed,
    open_request,
    read_request,
    request,
    safe_name,
)
from collector.errors import (
    AdapterError,
    ForbiddenError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)

VERSION = 3
"""The version that every server speaks, and the last that OpenSSH implements."""

RECEIVE = 1024 * 1024
"""Bytes to take from the stream at a time."""

MAX_ENTRIES = 50_000
"""Entries of one folder. A folder of crash dumps has some dozen."""


class Stream(Protocol):
    """What a session needs: a connected socket has it, and so has an SSH channel."""

    def settimeout(self, timeout: float | None, /) -> None:
        """Seconds that `recv` and `sendall` may take until `TimeoutError`."""

    def sendall(self, data: bytes, /) -> object:
        """Send everything."""

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes, or nothing at the end."""
        ...


class SftpSession:
    """One SFTP session. Not for several threads; after an error nothing more can be asked of it.

    Whoever opened the stream closes it; that ends the server's process, and with it every open handle.

    Args:
        stream: connected to an SFTP server's input and output.
        deadline: for the exchange of versions.
    """

    def __init__(self, stream: Stream, deadline: Deadline) -> None:
        self._stream = stream
        self._splitter = Splitter()
        self._packets: deque[Packet] = deque()
        self._number = 0
        patience = Patience("SFTP", deadline)
        self._send(initialize(), patience)
        answer = self._receive(patience)
        if answer.kind != Kind.VERSION:
            raise malformed("something else than its version")
        if answer.number < VERSION:
            raise UnsupportedError(
                f"the SFTP server speaks version {answer.number} only",
                hint="Copy the file by other means (SMB, scp).",
            )

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """Describe `path`, following symbolic links.

        Raises:
            FileNotFoundError: it is not there.
            AdapterError: the server, or the connection, failed.
        """
        answer = self._ask(
            Kind.STAT, path.encode("utf-8", "surrogateescape"), path, Patience("SFTP", deadline)
        )
        if answer.kind != Kind.ATTRS:
            raise malformed("no attributes where it was asked for them")
        return _remote_file(path, Fields(answer.body).attributes())

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """The children of `folder`, in the server's order. Links are not followed: they are OTHER.

        Names that are no names (with a slash or NUL in them) are left out.

        Raises:
            FileNotFoundError: it is not there, or not a folder.
            AdapterError: the server, or the connection, failed.
        """
        patience = Patience("SFTP", deadline)
        answer = self._ask(Kind.OPENDIR, folder.encode("utf-8", "surrogateescape"), folder, patience)
        handle = _handle(answer)
        found: list[RemoteFile] = []
        seen = 0
        while (answer := self._ask(Kind.READDIR, handle, folder, patience)).kind == Kind.NAME:
            entries = list(Fields(answer.body).names())
            seen += len(entries)
            if not entries:
                raise malformed("a list of no names")
            if seen > MAX_ENTRIES:
                raise PeerFailedError(
                    f"the folder has more than {MAX_ENTRIES} entries", hint="Name a folder further down."
                )
            names = ((safe_name(name), attributes) for name, attributes in entries)
            found += (_remote_file(f"{folder.rstrip('/')}/{name}", what) for name, what in names if name)
        if answer.kind != Kind.STATUS:
            raise malformed("something else than names")
        self._ask(Kind.CLOSE, handle, folder, patience)
        return found

    def read(self, path: str, offset: int, stall: float) -> Iterator[Chunk]:
        """Yield the file's bytes in order from `offset` to where it ends when we get there.

        A session that reads can be asked for nothing else.

        Args:
            path: the file.
            offset: first byte wanted.
            stall: seconds without a single byte after which the server is given up.

        Raises:
            DeadlineError: the server fell silent.
            FileNotFoundError: there is no such file.
            AdapterError: the server, or the connection, failed.
        """
        patience = Patience("SFTP", stall=stall)
        self._number += 1
        self._send(open_request(self._number, path.encode("utf-8", "surrogateescape")), patience)
        handle = _handle(self._answer(path, patience))
        plan = ReadAhead(offset, CHUNK, DEPTH)
        while not plan.finished:
            wanted = b"".join(read_request(number, handle, *place) for number, *place in plan.requests())
            if wanted:
                self._send(wanted, patience)
            self._take_in(plan, self._receive(patience), path)
            while self._packets:
                self._take_in(plan, self._packets.popleft(), path)
            yield from plan.ready()

    def _take_in(self, plan: ReadAhead, answer: Packet, path: str) -> None:
        if answer.kind == Kind.DATA:
            plan.data(answer.number, Fields(answer.body).string())
        elif answer.kind == Kind.STATUS and Fields(answer.body).u32() == Status.EOF:
            plan.end_of_file(answer.number)
        else:
            raise _failure(answer, path)

    def _ask(self, kind: Kind, name: bytes, path: str, patience: Patience) -> Packet:
        self._number += 1
        self._send(request(kind, self._number, name), patience)
        return self._answer(path, patience)

    def _answer(self, path: str, patience: Patience) -> Packet:
        """The answer to the request made last; a STATUS only when it says OK or EOF."""
        answer = self._receive(patience)
        if answer.number != self._number:
            raise malformed("an answer to no request")
        if answer.kind == Kind.STATUS and Fields(answer.body).u32() not in (Status.OK, Status.EOF):
            raise _failure(answer, path)
        return answer

    def _send(self, data: bytes, patience: Patience) -> None:
        self._wait(patience)
        try:
            self._stream.sendall(data)
        except TimeoutError as error:
            raise patience.error() from error
        except OSError as error:
            raise _ended() from error

    def _receive(self, patience: Patience) -> Packet:
        while not self._packets:
            self._wait(patience)
            try:
                piece = self._stream.recv(RECEIVE)
            except TimeoutError as error:
                raise patience.error() from error
            except OSError as error:
                raise _ended() from error
            if not piece:
                raise _ended()
            self._packets.extend(self._splitter.feed(piece))
        return self._packets.popleft()

    def _wait(self, patience: Patience) -> None:
        seconds = patience.seconds()
        if seconds <= 0:
            raise patience.error()
        self._stream.settimeout(seconds)


def _handle(answer: Packet) -> bytes:
    if answer.kind != Kind.HANDLE:
        raise malformed("no handle for what it opened")
    return Fields(answer.body).string()


def _remote_file(path: str, attributes: Attributes) -> RemoteFile:
    return RemoteFile(path, attributes.kind, attributes.size, attributes.modified)


def _failure(answer: Packet, path: str) -> AdapterError | FileNotFoundError:
    """What a STATUS packet means for `path`."""
    if answer.kind != Kind.STATUS:
        return malformed("an answer of another kind than it was asked for")
    fields = Fields(answer.body)
    code, said = fields.u32(), ascii(fields.string()[:200].decode("utf-8", "replace"))
    shown = ascii(path)
    if code == Status.NO_SUCH_FILE:
        return FileNotFoundError(path)
    if code == Status.PERMISSION_DENIED:
        return ForbiddenError(
            f"this account may not read {shown}", hint="Log in as root, or give the account the right to."
        )
    if code == Status.OP_UNSUPPORTED:
        return UnsupportedError(
            f"the SFTP server does not support this for {shown}: {said}", hint="Copy it by other means."
        )
    return PeerFailedError(
        f"the SFTP server failed at {shown}: {said} (status {code})",
        hint="Is it a file, and is its disk well? Look at the host's kernel log.",
    )


def _ended() -> UnreachableError:
    return UnreachableError(
        "the SFTP connection ended in the middle",
        hint="Look whether the host is still up (`probe`), then try again; a copy goes on where it stopped.",
    )
