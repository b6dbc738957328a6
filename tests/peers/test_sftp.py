"""The SFTP session against OpenSSH's own sftp-server, without SSH between, and against servers that lie."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.adapters.answers import FileKind
from collector.adapters.limits import Deadline
from collector.adapters.sftp import SftpSession
from collector.adapters.sftp_packets import CHUNK, DEPTH, Kind, Splitter
from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)
from tests.peers.server import tool

SOON = 0.5


@contextlib.contextmanager
def real_server() -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """OpenSSH's sftp-server on the other end of a socket."""
    binary = tool("sftp-server", package="openssh-sftp-server")
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([binary], stdin=theirs, stdout=theirs) as process:
        theirs.close()
        try:
            yield ours, process
        finally:
            ours.close()
            process.kill()


def open_files(process: subprocess.Popen[bytes]) -> set[str]:
    return {str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()}


def soon() -> Deadline:
    return Deadline.after(20)


def test_a_file_arrives_byte_for_byte_from_any_offset(tmp_path: Path) -> None:
    data = os.urandom(CHUNK * (DEPTH + 5) + 12_345)
    (tmp_path / "vmcore").write_bytes(data)
    for offset in (0, 1, CHUNK, len(data) - 1, len(data), len(data) + 1):
        with real_server() as (stream, _):
            chunks = SftpSession(stream, soon()).read(str(tmp_path / "vmcore"), offset, 20.0)
            assert b"".join(chunks) == data[offset:]


def test_a_file_that_shrinks_or_grows_ends_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    data = os.urandom(CHUNK * 40)
    for size in (CHUNK * 30 + 7, CHUNK * 50):
        path.write_bytes(data)
        with real_server() as (stream, _):
            reader = SftpSession(stream, soon()).read(str(path), 0, 20.0)
            copied = next(reader)
            os.truncate(path, size)
            copied += b"".join(reader)
        assert copied == (data + bytes(CHUNK * 10))[:size]


def test_a_server_that_is_killed_in_a_copy_is_a_lost_connection(tmp_path: Path) -> None:
    (tmp_path / "vmcore").write_bytes(bytes(CHUNK * 100))
    with real_server() as (stream, process):
        reader = SftpSession(stream, soon()).read(str(tmp_path / "vmcore"), 0, 20.0)
        assert next(reader)
        process.kill()
        with pytest.raises(UnreachableError):
            list(reader)


def test_the_session_ends_with_its_stream_and_the_file_is_closed(tmp_path: Path) -> None:
    (tmp_path / "vmcore").write_bytes(bytes(CHUNK * 100))
    with real_server() as (stream, process):
        reader = SftpSession(stream, soon()).read(str(tmp_path / "vmcore"), 0, 20.0)
        assert next(reader)
        assert str(tmp_path / "vmcore") in open_files(process)
        stream.close()
        process.wait(10)


def test_folders_links_and_strange_names_are_listed_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in (b"\xff\xfe", b"two\nlines", b"\x1b[2J", b"-rf", b"a\\b"):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(b"12")
    os.mkfifo(tmp_path / "fifo")
    with real_server() as (stream, _):
        session = SftpSession(stream, soon())
        found = {entry.path: entry for entry in session.list(f"{tmp_path}/", soon())}
        assert {path: entry.kind for path, entry in found.items()} == {
            f"{tmp_path}/folder": FileKind.FOLDER,
            f"{tmp_path}/link": FileKind.OTHER,
            f"{tmp_path}/dangling": FileKind.OTHER,
            f"{tmp_path}/fifo": FileKind.OTHER,
            f"{tmp_path}/\udcff\udcfe": FileKind.FILE,
            f"{tmp_path}/two\nlines": FileKind.FILE,
            f"{tmp_path}/\x1b[2J": FileKind.FILE,
            f"{tmp_path}/-rf": FileKind.FILE,
            f"{tmp_path}/a\\b": FileKind.FILE,
        }
        assert session.stat(f"{tmp_path}/link", soon()).kind is FileKind.FOLDER
        assert session.stat(f"{tmp_path}/\udcff\udcfe", soon()).size == 2
        with pytest.raises(FileNotFoundError):
            session.stat(f"{tmp_path}/dangling", soon())
        with pytest.raises(FileNotFoundError):
            session.list(f"{tmp_path}/-rf", soon())


def test_a_large_folder_is_listed_whole(tmp_path: Path) -> None:
    names = {f"{number:05d}" for number in range(2_000)}
    for name in names:
        (tmp_path / name).touch()
    with real_server() as (stream, _):
        assert {Path(e.path).name for e in SftpSession(stream, soon()).list(str(tmp_path), soon())} == names


def test_a_folder_cannot_be_read_as_a_file(tmp_path: Path) -> None:
    with real_server() as (stream, _), pytest.raises(PeerFailedError):
        list(SftpSession(stream, soon()).read(str(tmp_path), 0, 20.0))


# --- servers that lie ---------------------------------------------------------------------------------

Answers = Callable[[int, int, bytes], bytes]
"""From a request (type, id, body) to the bytes of the answer."""

VERSION = struct.pack(">IBI", 5, Kind.VERSION, 3)


def answer(kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack(">IBI", 5 + len(body), kind, number) + body


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def status(number: int, code: int, said: bytes = b"no") -> bytes:
    return answer(Kind.STATUS, number, struct.pack(">I", code) + text(said) + text(b"en"))


def honest(kind: int, number: int, body: bytes) -> bytes:
    """A file full of x of CHUNK bytes, in an empty folder."""
    if kind in (Kind.OPEN, Kind.OPENDIR):
        return answer(Kind.HANDLE, number, text(b"h"))
    if kind == Kind.STAT:
        return answer(Kind.ATTRS, number, struct.pack(">IQI", 5, CHUNK, 0o100600))
    if kind == Kind.READ:
        offset, length = struct.unpack(">QI", body[-12:])
        data = b"x" * min(length, max(CHUNK - offset, 0))
        return answer(Kind.DATA, number, text(data)) if data else status(number, 1)
    return status(number, 0 if kind == Kind.CLOSE else 1)


@contextlib.contextmanager
def scripted(lie: Answers, version: bytes = VERSION) -> Iterator[socket.socket]:
    """A server that answers as `lie` says; with nothing, it stays silent."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        splitter = Splitter()
        with contextlib.suppress(OSError):
            while piece := theirs.recv(65_536):
                for packet in splitter.feed(piece):
                    if packet.kind == Kind.INIT:
                        theirs.sendall(version)
                    else:
                        theirs.sendall(lie(packet.kind, packet.number, packet.body))

    thread = threading.Thread(target=serve, daemon=True)
    with ours, theirs:
        thread.start()
        try:
            yield ours
        finally:
            ours.close()
            thread.join(5)


def instead(kind: Kind, lie: Answers) -> Answers:
    return lambda asked, number, body: (lie if asked == kind else honest)(asked, number, body)


def read(stream: socket.socket, stall: float = 20.0) -> bytes:
    return b"".join(SftpSession(stream, soon()).read("/vmcore", 0, stall))


def test_the_scripted_server_is_believed_when_it_is_honest() -> None:
    with scripted(honest) as stream:
        assert read(stream) == b"x" * CHUNK
    with scripted(honest) as stream:
        session = SftpSession(stream, soon())
        assert (session.stat("/vmcore", soon()).size, session.list("/", soon())) == (CHUNK, [])


READ_LIES: dict[str, Answers] = {
    "wrong id": lambda _, number, __: answer(Kind.DATA, number + 1000, text(b"x")),
    "more than asked for": lambda _, number, __: answer(Kind.DATA, number, text(b"x" * (CHUNK + 1))),
    "nothing at all": lambda _, number, __: answer(Kind.DATA, number, text(b"")),
    "length beyond the packet": lambda _, number, __: answer(Kind.DATA, number, struct.pack(">I", 2**32 - 1)),
    "giant packet": lambda _, __, ___: b"\xff\xff\xff\xff",
    "empty packet": lambda _, __, ___: b"\0\0\0\0",
    "another kind": lambda _, number, __: answer(Kind.NAME, number, b"\0\0\0\0"),
    "success": lambda _, number, __: status(number, 0),
    "unknown status": lambda _, number, __: status(number, 4_000_000_000, b"\x1b[2J\xff" * 1000),
    "twice": lambda _, number, __: answer(Kind.DATA, number, text(b"x" * CHUNK)) * 2,
}


@pytest.mark.parametrize("lie", READ_LIES)
def test_a_lie_in_a_copy_is_the_peers_failure(lie: str) -> None:
    with scripted(instead(Kind.READ, READ_LIES[lie])) as stream, pytest.raises(PeerFailedError) as raised:
        read(stream)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1500


OTHER_LIES: dict[str, Answers] = {
    "a handle is none": instead(Kind.OPENDIR, lambda _, number, __: status(number, 0)),
    "attributes are none": instead(Kind.STAT, lambda _, number, __: answer(Kind.NAME, number, bytes(4))),
    "an old answer": lambda kind, number, body: honest(kind, number - 1, body),
    "names without end": instead(
        Kind.READDIR, lambda _, number, __: answer(Kind.NAME, number, names([b"x"] * 1000))
    ),
    "names without names": instead(Kind.READDIR, lambda _, number, __: answer(Kind.NAME, number, bytes(4))),
    "success at the end of names": instead(Kind.READDIR, lambda _, number, __: answer(Kind.DATA, number)),
}


def names(raw: list[bytes]) -> bytes:
    return struct.pack(">I", len(raw)) + b"".join(text(name) + text(b"-") + bytes(4) for name in raw)


@pytest.mark.parametrize("lie", OTHER_LIES)
def test_a_lie_about_a_folder_or_a_file_is_the_peers_failure(lie: str) -> None:
    with scripted(OTHER_LIES[lie]) as stream, pytest.raises(PeerFailedError):
        session = SftpSession(stream, soon())
        session.list("/", soon())
        session.stat("/", soon())


def test_names_that_lead_out_of_the_folder_are_left_out() -> None:
    hostile = [b"../../etc/passwd", b"/etc/shadow", b"..", b".", b"", b"a\0b", b"x" * 5000, b"vmcore"]
    asked = []

    def lie(kind: int, number: int, body: bytes) -> bytes:
        asked.append(kind)
        first = asked.count(Kind.READDIR) == 1
        return answer(Kind.NAME, number, names(hostile)) if first else status(number, 1)

    with scripted(instead(Kind.READDIR, lie)) as stream:
        assert [e.path for e in SftpSession(stream, soon()).list("/var/crash", soon())] == [
            "/var/crash/vmcore"
        ]


@pytest.mark.parametrize(
    ("code", "error"),
    [(2, FileNotFoundError), (3, ForbiddenError), (8, UnsupportedError), (4, PeerFailedError)],
)
def test_every_refusal_has_its_own_error(code: int, error: type[Exception]) -> None:
    def refuse(kind: int, number: int, body: bytes) -> bytes:
        return status(number, code)

    for ask in (
        lambda session: session.stat("/x", soon()),
        lambda session: session.list("/x", soon()),
        lambda session: list(session.read("/x", 0, 20.0)),
    ):
        with scripted(refuse) as stream, pytest.raises(error):
            ask(SftpSession(stream, soon()))


@pytest.mark.parametrize("silent", [Kind.OPEN, Kind.READ])
def test_a_server_that_falls_silent_in_a_copy_ends_by_the_stall(silent: Kind) -> None:
    with scripted(instead(silent, lambda *_: b"")) as stream, pytest.raises(DeadlineError) as raised:
        read(stream, SOON)
    assert "resume" in raised.value.hint


def test_a_server_that_drips_has_not_fallen_silent_but_a_deadline_ends_it() -> None:
    def drip(kind: int, number: int, body: bytes) -> bytes:
        time.sleep(SOON / 4)
        return honest(kind, number, body)[:1] if kind == Kind.STAT else honest(kind, number, body)

    with scripted(drip) as stream:
        assert read(stream, SOON * 4) == b"x" * CHUNK
    with scripted(drip) as stream, pytest.raises(DeadlineError):
        SftpSession(stream, soon()).stat("/", Deadline.after(SOON))


def test_text_of_a_login_script_is_named_as_the_likely_cause() -> None:
    with (
        scripted(honest, version=b"Welcome to db01!\r\n") as stream,
        pytest.raises(PeerFailedError) as raised,
    ):
        SftpSession(stream, soon())
    assert "login script" in raised.value.hint


def test_an_old_server_is_not_supported() -> None:
    old = struct.pack(">IBI", 5, Kind.VERSION, 2)
    with scripted(honest, version=old) as stream, pytest.raises(UnsupportedError):
        SftpSession(stream, soon())


def test_a_server_with_short_answers_gives_the_whole_file() -> None:
    data = os.urandom(CHUNK * 3 + 17)

    def short(kind: int, number: int, body: bytes) -> bytes:
        offset, length = struct.unpack(">QI", body[-12:])
        piece = data[offset : offset + min(length, 40_000)]
        return answer(Kind.DATA, number, text(piece)) if piece else status(number, 1)

    with scripted(instead(Kind.READ, short)) as stream:
        assert read(stream) == data


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=300), st.sampled_from([Kind.OPEN, Kind.READ, Kind.STAT, Kind.OPENDIR, Kind.READDIR])
)
def test_no_answer_whatever_breaks_the_session_in_another_way_than_an_error(noise: bytes, kind: Kind) -> None:
    with scripted(instead(kind, lambda *_: noise)) as stream:
        session = SftpSession(stream, soon())
        with contextlib.suppress(AdapterError, FileNotFoundError):
            session.stat("/", Deadline.after(0.05))
            session.list("/", Deadline.after(0.05))
            list(session.read("/vmcore", 0, 0.05))
