"""SFTP packets and the read-ahead: every split, every order, every lie."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.base import FileKind
from collector.adapters.sftp_packets import (
    MAX_PACKET,
    Fields,
    Kind,
    Packet,
    ReadAhead,
    Splitter,
    open_request,
    read_request,
    safe_name,
)
from collector.errors import PeerFailedError


def packet(kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack(">IBI", 5 + len(body), kind, number) + body


def serve(plan: ReadAhead, file: bytes, *, most: int, rng: random.Random) -> tuple[bytes, int]:
    """Answer a plan as a server with a file would, out of order; return what came out and the most asked."""
    waiting: list[tuple[int, int, int]] = []
    out, most_waiting = b"", 0
    while not plan.finished:
        waiting += plan.requests()
        most_waiting = max(most_waiting, len(waiting))
        number, offset, length = waiting.pop(rng.randrange(len(waiting)))
        data = file[offset : offset + min(length, rng.randint(1, most))]
        if data:
            plan.data(number, data)
        else:
            plan.end_of_file(number)
        out += b"".join(plan.ready())
    return out, most_waiting


@given(
    file=st.binary(max_size=400),
    offset=st.integers(0, 500),
    chunk=st.integers(1, 64),
    depth=st.integers(1, 8),
    most=st.integers(1, 80),
    rng=st.randoms(use_true_random=False),
)
def test_any_order_and_any_short_answers_give_the_file(
    *, file: bytes, offset: int, chunk: int, depth: int, most: int, rng: random.Random
) -> None:
    plan = ReadAhead(offset, chunk, depth)
    out, most_waiting = serve(plan, file, most=most, rng=rng)
    assert out == file[offset:]
    assert most_waiting <= depth


def test_a_file_that_grows_ends_at_its_first_end() -> None:
    plan = ReadAhead(0, chunk=10, depth=2)
    (first, *_), (second, *_) = plan.requests()
    plan.end_of_file(first)
    plan.data(second, b"y" * 10)
    assert (list(plan.ready()), plan.finished) == ([], True)


def test_nothing_more_is_asked_for_behind_the_end() -> None:
    plan = ReadAhead(0, chunk=10, depth=8)
    (first, *_), (second, *_) = plan.requests()
    plan.end_of_file(second)
    assert list(plan.requests()) == []
    plan.data(first, b"x" * 10)
    assert (list(plan.ready()), plan.finished) == ([b"x" * 10], True)


def test_a_peer_that_withholds_the_first_answer_makes_us_keep_no_more_than_the_depth() -> None:
    plan = ReadAhead(0, chunk=10, depth=4)
    asked = list(plan.requests())
    kept = 0
    while len(asked) > 1:
        number, _, length = asked.pop()
        plan.data(number, b"x" * length)
        kept += length
        asked += plan.requests()
    assert list(plan.ready()) == []
    assert kept <= 40


@pytest.mark.parametrize("data", [b"", b"x" * 11])
def test_no_bytes_or_more_than_were_asked_for_are_refused(data: bytes) -> None:
    plan = ReadAhead(0, chunk=10)
    number = next(plan.requests())[0]
    with pytest.raises(PeerFailedError):
        plan.data(number, data)


def test_an_answer_that_comes_twice_is_refused() -> None:
    plan = ReadAhead(0, chunk=10)
    number = next(plan.requests())[0]
    plan.data(number, b"x" * 10)
    with pytest.raises(PeerFailedError, match="no request"):
        plan.data(number, b"x" * 10)
    with pytest.raises(PeerFailedError, match="no request"):
        plan.end_of_file(number)


def test_a_server_with_short_answers_is_asked_for_less() -> None:
    plan = ReadAhead(0, chunk=255 * 1024, depth=2)
    number = next(plan.requests())[0]
    plan.data(number, b"x" * 65_536)
    assert next(place for _, *place in plan.requests()) == [65_536, 255 * 1024 - 65_536]
    rest = list(plan.requests())
    assert all(length == 65_536 for _, _, length in rest)


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
