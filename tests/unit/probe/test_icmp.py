from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.probe.icmp import IcmpConversation, echo_request, echoed
from collector.probe.observation import Reach
from tests.unit.probe.script import near, play

TOKEN = b"8 bytes!"
IPV4 = bytes([0x45]) + bytes(19)
IPV4_WITH_OPTIONS = bytes([0x46]) + bytes(23)


def reply(token: bytes = TOKEN, kind: int = 0) -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, 0x1234, 0) + token


def words(data: bytes) -> int:
    return sum(struct.unpack(f">{len(data) // 2}H", data))


@given(st.binary(min_size=1, max_size=64))
def test_the_checksum_makes_the_sum_of_all_words_minus_zero(token: bytes) -> None:
    total = words(echo_request(token, ipv6=False) + b"\0" * (len(token) % 2))
    assert total % 0xFFFF == 0


def test_for_ipv6_the_kernel_makes_the_checksum() -> None:
    assert echo_request(TOKEN, ipv6=True) == bytes([128, 0, 0, 0, 0, 0, 0, 0]) + TOKEN


@pytest.mark.parametrize("header", [b"", IPV4, IPV4_WITH_OPTIONS])
def test_a_reply_is_read_with_and_without_the_ip_header(header: bytes) -> None:
    assert echoed(header + reply(), ipv6=False) == TOKEN


def test_an_echo_reply_is_the_kernel_and_never_a_proof() -> None:
    for ipv6, kind in ((False, 0), (True, 129)):
        ending = play(IcmpConversation(TOKEN, ipv6=ipv6), [reply(kind=kind)])
        assert (ending.reach, ending.done) == (Reach.SPOKE, True)


@pytest.mark.parametrize(
    "datagram", [b"", reply(b"another."), reply(kind=8), reply(kind=3), IPV4, IPV4 + reply(kind=129), b"\x4f"]
)
def test_what_is_not_our_reply_is_passed_over(datagram: bytes) -> None:
    assert play(IcmpConversation(TOKEN, ipv6=False), [datagram]).reach is Reach.SILENT


@given(st.lists(near(reply(), IPV4 + reply(), reply(kind=129)), max_size=4), st.booleans())
def test_no_datagrams_upset_it(datagrams: list[bytes], ipv6: bool) -> None:
    ending = play(IcmpConversation(TOKEN, ipv6=ipv6), datagrams, end=True)
    assert ending.reach in (Reach.SILENT, Reach.SPOKE)
    assert ending.done == (ending.reach is Reach.SPOKE)
