"""Paths and names of SMB: where a path lies, and what a server may not make us believe."""

from __future__ import annotations

import contextlib
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.adapters.answers import FileKind
from collector.adapters.limits import Deadline
from collector.adapters.smb import SmbChannel, SmbEndpoint, share_and_name
from collector.adapters.smb_files import parse_entries
from collector.adapters.smb_status import failed_login, failure
from collector.errors import (
    ForbiddenError,
    LoginRefusedError,
    MissingExtraError,
    NotTriedError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)

NOWHERE: dict[str, str] = {}


@pytest.mark.parametrize(
    ("path", "share", "name"),
    [
        ("/C:/Windows/MEMORY.DMP", "C$", "Windows\\MEMORY.DMP"),
        ("/d:/a b/c", "D$", "a b\\c"),
        ("/E:/crash/x.dmp", "dumps", "crash\\x.dmp"),
        ("/C:/", "C$", ""),
        ("/C:", "C$", ""),
        ("/C:/Windows/", "C$", "Windows"),
        ("/backup$/x", "backup$", "x"),
    ],
)
def test_the_first_folder_is_the_drive_or_the_share(path: str, share: str, name: str) -> None:
    assert share_and_name(path, {"E:": "dumps"}) == (share, name)


@pytest.mark.parametrize(
    "path",
    [
        "/C:/Windows/../../x", "/C:/./x", "/C://x", "/C:/a\\b", "/C:/MEMORY.DMP:stream", "/C:/a\0b",
        "", "/", "C:/Windows", "//server/share", "/a:b/x", "/../x", "/C$\\Windows/x",
    ],
)  # fmt: skip
def test_what_is_no_path_is_asked_of_nobody(path: str) -> None:
    with pytest.raises(UnsupportedError):
        share_and_name(path, NOWHERE)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "collector.adapters.smb_login", None)
    with pytest.raises(MissingExtraError) as raised:
        SmbChannel(SmbEndpoint(), None, Deadline.after(5)).__enter__()
    assert "hang-collector[windows]" in raised.value.hint


@pytest.mark.parametrize("shares", [{"dumps": "D$"}, {"D:": "a\\b"}, {"D:": ""}, {"D:": "x/../y"}])
def test_a_drive_leads_to_the_name_of_a_share(shares: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        SmbEndpoint(shares=shares)
    assert SmbEndpoint(shares={"d:": "dumps"}).shares == {"D:": "dumps"}


def entry(name: bytes, attributes: int = 0, tag: int = 0, size: int = 5, *, more: bool = False) -> bytes:
    length = 68 + len(name) + (-(68 + len(name)) % 8)
    numbers = (
        length if more else 0,
        0,
        0,
        0,
        116_444_736_010_000_000,
        0,
        size,
        0,
        attributes,
        len(name),
        tag,
    )
    head = struct.pack("<IIQQQQQQIII", *numbers)
    return (head + name).ljust(length, b"\0")


def test_entries_tell_name_kind_size_and_time() -> None:
    listed = entry("MEMORY.DMP".encode("utf-16-le"), more=True) + entry("Windows".encode("utf-16-le"), 0x10)
    assert list(parse_entries(listed)) == [
        ("MEMORY.DMP", FileKind.FILE, 5, 1.0),
        ("Windows", FileKind.FOLDER, 5, 1.0),
    ]


@pytest.mark.parametrize(
    ("attributes", "tag", "kind"),
    [
        (0x410, 0xA0000003, FileKind.OTHER),  # a junction
        (0x400, 0xA000000C, FileKind.OTHER),  # a symbolic link
        (0x400, 0x80000013, FileKind.FILE),  # a deduplicated dump
    ],
)
def test_links_are_not_followed_and_deduplicated_files_are_files(
    attributes: int, tag: int, kind: FileKind
) -> None:
    assert next(parse_entries(entry(b"x\0", attributes, tag)))[1] is kind


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "..\\x", "MEMORY.DMP:stream", "a\0b", "x" * 256])
def test_names_that_lead_elsewhere_are_no_names(name: str) -> None:
    assert next(parse_entries(entry(name.encode("utf-16-le"))))[0] is None


def test_half_a_character_is_no_name_and_a_lone_surrogate_is_one() -> None:
    assert next(parse_entries(entry(b"abc")))[0] is None
    assert next(parse_entries(entry(b"\x00\xd8")))[0] == "\ud800"


@given(st.binary(max_size=300))
def test_no_list_whatever_is_read_beyond_its_end(data: bytes) -> None:
    with contextlib.suppress(PeerFailedError):
        for _, _, size, _ in parse_entries(data):
            assert 0 <= size < 2**64


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xC0000034, FileNotFoundError),
        (0xC0000022, ForbiddenError),
        (0xC000035C, UnreachableError),  # a copy logs in again and goes on
        (0xC0000043, PeerFailedError),
        (0xC1234567, PeerFailedError),
    ],
)
def test_every_refusal_has_its_own_error(status: int, error: type[Exception]) -> None:
    assert type(failure(status, "/C:/x")) is error


def test_refusals_are_told_in_words_and_hostile_names_made_harmless() -> None:
    assert "sharing violation" in str(failure(0xC0000043, "/C:/x"))
    assert "locked out" in str(failed_login(0xC0000234))
    assert type(failed_login(0xC0000234)) is type(failed_login(0xC1234567)) is LoginRefusedError
    assert type(failed_login(0xC0000192)) is NotTriedError
    assert str(failure(0xC0000043, "/C:/\x1b[2J")).isprintable()
