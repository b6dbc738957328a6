"""SFTP packets: every split, every lie."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.answers import FileKind
from collector.adapters.sftp_packets import (
    MAX_PACKET,
    Fields,
    Kind,
    Packet,
    Splitter,
    open_request,
    read_request,
    safe_name,
)
from collector.errors import PeerFailedError


def packet(kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack(">IBI", 5 + len(body), kind, number) + body


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=50)), max_size=8),
    st.lists(st.integers(1, 30), min_size=1, max_size=40),
)
def test_packets_survive_every_split(packets: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(packet(*parts) for parts in packets)
    splitter, found, at = Splitter(), [], 0
    for turn in range(len(stream)):
        step = cuts[turn % len(cuts)]
        found += splitter.feed(stream[at : at + step])
        at += step
    assert found == [Packet(*parts) for parts in packets]


@pytest.mark.parametrize("length", [0, 4, MAX_PACKET + 1, 2**32 - 1])
def test_a_length_that_no_packet_has_is_refused_before_it_is_waited_for(length: int) -> None:
    with pytest.raises(PeerFailedError, match="the SFTP server sent a packet of"):
        list(Splitter().feed(struct.pack(">I", length)))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_in_another_way_than_an_error(body: bytes) -> None:
    for read in (
        lambda fields: list(fields.names()),
        lambda fields: fields.attributes(),
        lambda fields: fields.string(),
        lambda fields: fields.u64(),
    ):
        try:
            read(Fields(body))
        except PeerFailedError as error:
            assert "longer than its packet" in str(error)


@given(st.binary(max_size=300))
def test_no_stream_breaks_the_splitter_in_another_way_than_an_error(stream: bytes) -> None:
    try:
        list(Splitter().feed(stream))
    except PeerFailedError as error:
        assert error.hint


def test_a_listing_that_claims_four_billion_names_is_refused() -> None:
    with pytest.raises(PeerFailedError):
        list(Fields(struct.pack(">I", 2**32 - 1)).names())


def test_attributes_are_read_whatever_is_left_out() -> None:
    full = struct.pack(">IQIIIII", 0x0F, 7, 1000, 1000, 0o100600, 5, 6)
    extended = struct.pack(">III", 0x80000000, 1, 1) + b"a" + struct.pack(">I", 1) + b"b"
    assert Fields(full).attributes().kind is FileKind.FILE
    assert (Fields(full).attributes().size, Fields(full).attributes().modified) == (7, 6.0)
    assert Fields(struct.pack(">II", 4, 0o040755)).attributes().kind is FileKind.FOLDER
    assert Fields(struct.pack(">II", 4, 0o120777)).attributes().kind is FileKind.OTHER
    assert Fields(extended).attributes().kind is FileKind.OTHER


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b"a/b", b"/etc/passwd", b"../x", b"a\0b", b"x" * 1025], ids=repr
)
def test_what_is_no_name_of_a_child_is_left_out(name: bytes) -> None:
    assert safe_name(name) is None


@given(st.binary(min_size=1, max_size=255).filter(lambda raw: raw not in (b".", b"..")))
def test_a_name_of_any_other_bytes_can_be_sent_back_as_it_came(raw: bytes) -> None:
    name = safe_name(raw)
    if name is None:
        assert b"/" in raw or b"\0" in raw
    else:
        assert name.encode("utf-8", "surrogateescape") == raw


def test_requests_have_the_lengths_they_claim() -> None:
    for raw in (open_request(1, b"/var/crash/vmcore"), read_request(2, b"\0\0\0\1", 2**40, 1024)):
        (found,) = Splitter().feed(raw)
        assert found.kind in (Kind.OPEN, Kind.READ)
        assert Fields(found.body).string() in (b"/var/crash/vmcore", b"\0\0\0\1")
