"""Folders and files of one share: what is there, and a pipelined reader.

Section numbers are of [MS-SMB2], those marked FSCC of [MS-FSCC].
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smbprotocol.file_info import FileInformationClass
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    ShareAccess,
    SMB2CloseRequest,
    SMB2CreateRequest,
    SMB2QueryDirectoryRequest,
)
from smbprotocol.tree import TreeConnect

from collector.adapters.answers import Chunk, FileKind, RemoteFile
from collector.adapters.patience import Patience
from collector.adapters.read_ahead import ReadAhead
from collector.adapters.smb_connection import CHUNK, SPARE_CREDITS, UNIT, Answer, Connection, no_credits
from collector.adapters.smb_keys import malformed
from collector.adapters.smb_status import END_OF_FILE, NO_MORE_FILES, SUCCESS, failure
from collector.errors import AdapterError, PeerFailedError

DEPTH = 16
"""Requests outstanding. 32 MiB on the way are 200 MB/s at 160 ms."""

MAX_ENTRIES = 50_000
"""Entries of one folder. A folder of crash dumps has some dozen."""

MAX_NAME = 255
"""UTF-16 units in a file name of NTFS."""

_ATTRIBUTES = FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES
_DATA = FilePipePrinterAccessMask.FILE_READ_DATA | FilePipePrinterAccessMask.SYNCHRONIZE
_SHARED = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
"""Whoever writes, renames or deletes the file meanwhile is not hindered by us."""

_CREATED = struct.Struct("<64xHBBIQQQQQQII16s")
"""The answer to CREATE with its header, section 2.2.14: size, level, flags, action, four times, allocation,
end of file, attributes, reserved, id."""

_LISTED = struct.Struct("<64xHHI")
"""The answer to QUERY_DIRECTORY with its header, section 2.2.34: size, offset, length."""

_ENTRY = struct.Struct("<IIQQQQQQIII")
"""FileFullDirectoryInformation, FSCC section 2.4.14: next, index, four times, end of file, allocation,
attributes, length of the name, and the reparse tag where there is one."""

_FOLDER, _REPARSE = 0x10, 0x400
"""FILE_ATTRIBUTE_DIRECTORY and FILE_ATTRIBUTE_REPARSE_POINT, FSCC section 2.6."""

_LINKS = {0xA0000003, 0xA000000C}
"""Reparse tags of mount points and symbolic links, FSCC section 2.1.2.1. A deduplicated file has others."""


@dataclass(frozen=True, slots=True)
class _Opened:
    id: bytes
    kind: FileKind
    size: int
    modified: float


class Share:
    """One share of a server. `name` is a path within it with backslashes, `shown` what people call it.

    Everything raises `FileNotFoundError` for what is not there, and `AdapterError` for all else.
    """

    def __init__(self, connection: Connection, tree: TreeConnect) -> None:
        self._connection = connection
        self._tree = int(tree.tree_connect_id)

    def stat(self, name: str, shown: str) -> RemoteFile:
        """Describe a file or folder."""
        opened = self._open(name, shown, _ATTRIBUTES, 0)
        self._close(opened)
        return RemoteFile(shown, opened.kind, opened.size, opened.modified)

    def list(self, name: str, shown: str) -> Sequence[RemoteFile]:
        """The children of a folder. Links are not followed: they are OTHER.

        Names that are no names (with a slash, a colon or NUL in them) are left out.
        """
        opened = self._open(name, shown, _DATA | _ATTRIBUTES, CreateOptions.FILE_DIRECTORY_FILE)
        found: list[RemoteFile] = []
        seen = 0
        while (answer := self._ask_names(opened)).status == SUCCESS:
            entries = list(parse_entries(_listed(answer)))
            seen += len(entries)
            if not entries:
                raise malformed("a list of no names")
            if seen > MAX_ENTRIES:
                raise PeerFailedError(
                    f"the folder has more than {MAX_ENTRIES} entries", hint="Name a folder further down."
                )
            for child, kind, size, modified in entries:
                if child is not None:
                    found.append(RemoteFile(f"{shown.rstrip('/')}/{child}", kind, size, modified))
        self._close(opened)
        if answer.status != NO_MORE_FILES:
            raise failure(answer.status, shown)
        return found

    def read(self, name: str, shown: str, offset: int, patience: Patience) -> Iterator[Chunk]:
        """Yield the file's bytes in order from `offset` to where it ends when we get there.

        Other things may be asked of the share between two pieces.
        """
        connection = self._connection
        connection.patience = patience
        opened = self._open(name, shown, _DATA, CreateOptions.FILE_NON_DIRECTORY_FILE)
        chunk = self._chunk()
        plan = ReadAhead(offset, chunk, DEPTH, opened.size)
        asked: dict[int, int] = {}
        try:
            while not plan.finished:
                connection.patience = patience
                wanted = plan.requests()
                while self._affordable(chunk) and (place := next(wanted, None)):
                    number, start, length = place
                    asked[connection.post_read(opened.id, self._tree, start, length)] = number
                if not asked:
                    raise no_credits()
                self._take_in(plan, asked, shown)
                yield from plan.ready()
        finally:
            connection.forget(asked)
            self._close(opened)

    def _chunk(self) -> int:
        """Bytes to ask for at a time: two MiB, if the server lets us, and has credit for some of them."""
        largest = min(CHUNK, int(self._connection.max_read_size))
        if self._connection.supports_multi_credit and largest > UNIT:
            wanted = DEPTH * largest // UNIT + SPARE_CREDITS
            for _ in range(4):  # a server may grant less than it is asked for
                missing = wanted - self._connection.credits
                if missing <= 0:
                    break
                self._connection.earn(missing)
            if self._affordable(2 * largest):
                return largest
        return min(largest, UNIT)

    def _affordable(self, length: int) -> bool:
        return self._connection.credits >= length // UNIT + SPARE_CREDITS

    def _take_in(self, plan: ReadAhead, asked: dict[int, int], shown: str) -> None:
        number, answer = self._connection.wait(asked)
        planned = asked.pop(number)
        if answer.status == SUCCESS:
            plan.data(planned, answer.body)
        elif answer.status == END_OF_FILE:
            plan.end_of_file(planned)
        else:
            raise failure(answer.status, shown)

    def _ask_names(self, opened: _Opened) -> Answer:
        message = SMB2QueryDirectoryRequest()
        message["file_information_class"] = FileInformationClass.FILE_FULL_DIRECTORY_INFORMATION
        message["file_id"] = opened.id
        message["output_buffer_length"] = UNIT
        message["buffer"] = "*".encode("utf-16-le")
        return self._connection.ask(message, self._tree)

    def _open(self, name: str, shown: str, access: int, options: int) -> _Opened:
        message = SMB2CreateRequest()
        message["impersonation_level"] = ImpersonationLevel.Impersonation
        message["desired_access"] = access
        message["share_access"] = _SHARED
        message["create_disposition"] = CreateDisposition.FILE_OPEN
        message["create_options"] = options
        message["buffer_path"] = name.encode("utf-16-le", "surrogatepass") or b"\0\0"
        answer = self._connection.ask(message, self._tree)
        if answer.status != SUCCESS:
            raise failure(answer.status, shown)
        if len(answer.body) < _CREATED.size:
            raise malformed("less than an answer to an open")
        *_, written, _, _, size, attributes, _, handle = _CREATED.unpack_from(answer.body)
        kind = FileKind.FOLDER if attributes & _FOLDER else FileKind.FILE
        return _Opened(handle, kind, size, _seconds(written))

    def _close(self, opened: _Opened) -> None:
        """Close a handle without waiting: what the server says to it changes nothing."""
        message = SMB2CloseRequest()
        message["file_id"] = opened.id
        try:
            self._connection.forget((self._connection.post(message, self._tree),))
        except AdapterError:  # the connection is gone, and the handle with it
            self._connection.close()


def parse_entries(data: bytes) -> Iterator[tuple[str | None, FileKind, int, float]]:
    """Name, kind, size in bytes, and time of change of each entry; no name for what is no child's name.

    Raises:
        PeerFailedError: an entry is longer than the packet.
    """
    at = 0
    while True:
        if at + _ENTRY.size > len(data):
            raise malformed("an entry that is longer than its packet")
        following, _, _, _, written, _, size, _, attributes, length, tag = _ENTRY.unpack_from(data, at)
        start = at + _ENTRY.size
        if start + length > len(data) or 0 < following < _ENTRY.size:
            raise malformed("an entry that is longer than its packet")
        kind = FileKind.FOLDER if attributes & _FOLDER else FileKind.FILE
        if attributes & _REPARSE and tag in _LINKS:
            kind = FileKind.OTHER
        yield _safe_name(data[start : start + length]), kind, size, _seconds(written)
        if not following:
            return
        at += following


def _safe_name(raw: bytes) -> str | None:
    """A name from a folder as text, or None for what is not the name of a child."""
    if len(raw) % 2 or not 0 < len(raw) <= 2 * MAX_NAME:
        return None
    name = raw.decode("utf-16-le", "surrogatepass")
    return None if name in (".", "..") or not set(name).isdisjoint("/\\:\0") else name


def _seconds(filetime: int) -> float:
    """Seconds since 1970 from tenths of microseconds since 1601 (FSCC section 2.1.1)."""
    return filetime / 10_000_000 - 11_644_473_600


def _listed(answer: Answer) -> bytes:
    if len(answer.body) < _LISTED.size:
        raise malformed("less than a list of names")
    _, start, length = _LISTED.unpack_from(answer.body)
    if start < _LISTED.size or start + length > len(answer.body):
        raise malformed("a field that is longer than its packet")
    return bytes(answer.body[start : start + length])
