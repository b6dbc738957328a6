"""The inbox of a channel: in order, bounded, and never asleep when something came."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.buffered_pipe import PipeTimeout
from paramiko.ssh_exception import SSHException

from collector.adapters.ssh_transport import MAX_UNREAD, Inbox


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 30))
def test_what_was_fed_comes_out_in_order(pieces: list[bytes], size: int) -> None:
    inbox = Inbox()
    for piece in pieces:
        inbox.feed(piece)
    inbox.close()
    out = []
    while piece := inbox.read(size):
        assert len(piece) <= size
        out.append(piece)
    assert b"".join(out) == b"".join(pieces)
    assert len(inbox) == 0
    assert inbox.ended


def test_a_peer_that_sends_more_than_it_was_asked_for_loses_the_connection() -> None:
    inbox = Inbox()
    with pytest.raises(SSHException, match="more than it was asked for"):
        for _ in range(MAX_UNREAD // 65_536 + 1):
            inbox.feed(bytes(65_536))


def test_what_was_read_makes_room() -> None:
    inbox = Inbox()
    for _ in range(3 * MAX_UNREAD // 1_000_000):
        inbox.feed(bytes(1_000_000))
        assert len(inbox.read(1_000_000)) == 1_000_000


def test_nothing_in_time_is_an_error_and_the_end_is_not() -> None:
    inbox = Inbox()
    with pytest.raises(PipeTimeout):
        inbox.read(1, 0.0)
    inbox.close()
    assert inbox.read(1, 0.0) == b""


def test_what_waits_before_the_end_is_read_first() -> None:
    inbox = Inbox()
    inbox.feed(b"last words")
    inbox.close()
    assert not inbox.ended
    assert (inbox.read(100), inbox.ended) == (b"last words", True)


def test_a_reader_wakes_when_something_comes() -> None:
    inbox, found = Inbox(), []
    reader = threading.Thread(target=lambda: found.append(inbox.read(10, 20.0)))
    reader.start()
    inbox.feed(b"x")
    reader.join(20.0)
    assert found == [b"x"]


def test_the_event_rings_for_bytes_and_for_the_end() -> None:
    inbox, bell = Inbox(), threading.Event()
    inbox.set_event(bell)
    bell.clear()
    inbox.feed(b"x")
    assert bell.is_set()
    bell.clear()
    inbox.close()
    assert bell.is_set()
