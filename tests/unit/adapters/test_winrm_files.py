from __future__ import annotations

import base64
from typing import Any

import pytest

from collector.adapters.answers import FileKind
from collector.adapters.winrm_files import bytes_of, entries_of, windows_path
from collector.errors import ForbiddenError, PeerFailedError

ENTRY = {"name": "MEMORY.DMP", "folder": False, "size": 5, "modified": 133_769_088_000_000_000}
"""Modified at 2024-11-24 15:20:00 UTC, as FILETIME."""


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/C:/Windows/MEMORY.DMP", "C:\\Windows\\MEMORY.DMP"),
        ("/d:/", "d:\\"),
        ("/C:", "C:\\"),
        ("/C:/a 'b' $(c)", "C:\\a 'b' $(c)"),
    ],
)
def test_the_drive_is_the_first_folder(path: str, there: str) -> None:
    assert windows_path(path) == there


@pytest.mark.parametrize(
    "path",
    ["", "/", "/var/crash", "C:/Windows", "//host/share", "/C:/a:stream", "/C:/a\\b", "/CC:/x", "/C:x"],
)
def test_what_is_no_path_of_windows_is_not_found(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        windows_path(path)


def test_a_file_is_described() -> None:
    (found,) = entries_of({"entries": [ENTRY]}, "/C:/Windows/MEMORY.DMP", children=False)
    assert (found.path, found.kind, found.size) == ("/C:/Windows/MEMORY.DMP", FileKind.FILE, 5)
    assert found.modified == 1_732_435_200.0


def test_children_get_the_path_of_their_folder() -> None:
    for folder in ("/C:/Windows", "/C:/Windows/"):
        (found,) = entries_of({"entries": [ENTRY]}, folder, children=True)
        assert found.path == "/C:/Windows/MEMORY.DMP"


@pytest.mark.parametrize(
    "answer",
    [{}, {"entries": None}, {"entries": [{}]}, {"entries": [{**ENTRY, "size": "large"}]}, {"entries": [1]}],
)
def test_an_answer_that_makes_no_sense_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(PeerFailedError):
        entries_of(answer, "/C:/x", children=True)


def test_absent_and_denied_are_told_apart() -> None:
    with pytest.raises(FileNotFoundError):
        entries_of({"failed": "absent", "words": "x"}, "/C:/x", children=True)
    with pytest.raises(ForbiddenError):
        bytes_of({"failed": "denied", "words": "x"}, b"", "/C:/x")


def test_bytes_are_those_that_the_host_counted() -> None:
    line = base64.b64encode(b"\x00\xff" * 100) + b'\r\n{"bytes": 200}\r\n'
    assert bytes_of({"bytes": 200}, line, "/C:/x") == b"\x00\xff" * 100
    assert bytes_of({"bytes": 0}, b'\r\n{"bytes": 0}\r\n', "/C:/x") == b""


@pytest.mark.parametrize(
    ("answer", "stdout"),
    [
        ({}, b""),
        ({"bytes": 3}, b"AAAA\r\n{}"[:2]),
        ({"bytes": 2}, b"AAAA\r\n{}"),
        ({"bytes": 3}, b""),
        ({"bytes": 3}, b"*\r\n{}"),
    ],
)
def test_bytes_that_are_cut_are_an_error(answer: dict[str, Any], stdout: bytes) -> None:
    with pytest.raises(PeerFailedError):
        bytes_of(answer, stdout, "/C:/x")
