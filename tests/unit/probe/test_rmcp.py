from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.probe.observation import Reach
from collector.probe.rmcp import RmcpConversation
from tests.unit.probe.script import near, play

HEAD = bytes.fromhex("06 00 ff 07  00 00000000 00000000")


def answer(payload: bytes, *, sequence: int = 0x04, command: int = 0x38) -> bytes:
    def summed(part: bytes) -> bytes:
        return part + bytes([-sum(part) & 0xFF])

    message = summed(bytes([0x81, 0x1C])) + summed(bytes([0x20, sequence, command]) + payload)
    return HEAD + bytes([len(message)]) + message


CAPABLE = answer(bytes.fromhex("00 01 97 04 03 00 00 00 00"))


def test_the_request_is_the_one_of_the_specification() -> None:
    assert RmcpConversation().opening().hex() == (HEAD + bytes.fromhex("09 20 18 c8 81 04 38 8e 04 b1")).hex()


def test_the_capabilities_prove_the_controller() -> None:
    ending = play(RmcpConversation(), [CAPABLE])
    assert (ending.reach, ending.done) == (Reach.PROVED, True)
    assert ending.evidence == {"ipmi": "2.0", "authentication_types": "0x17"}


def test_an_old_controller_speaks_ipmi_1_5() -> None:
    assert (
        play(RmcpConversation(), [answer(bytes.fromhex("00 01 17 04 00 00 00 00 00"))]).evidence["ipmi"]
        == "1.5"
    )


@pytest.mark.parametrize("payload", [b"\xc1", b"\xd4\1\2"])
def test_a_controller_that_refuses_lives(payload: bytes) -> None:
    ending = play(RmcpConversation(), [answer(payload)])
    assert ending.reach is Reach.PROVED
    assert ending.evidence == {"completion_code": f"0x{payload[0]:02x}"}


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"hello",
        CAPABLE[:-1] + b"\0",
        answer(bytes(9), sequence=0x08),
        answer(bytes(9), command=0x39),
        b"\x06\0\xff\x06" + CAPABLE[4:],
        RmcpConversation().opening(),
    ],
)
def test_a_stray_datagram_proves_nothing_and_the_answer_after_it_does(datagram: bytes) -> None:
    assert play(RmcpConversation(), [datagram]).reach is Reach.SPOKE
    assert play(RmcpConversation(), [datagram, CAPABLE]).reach is Reach.PROVED


@given(st.lists(near(CAPABLE, answer(b"\xc1")), max_size=4))
def test_no_datagrams_upset_it(datagrams: list[bytes]) -> None:
    ending = play(RmcpConversation(), datagrams, end=True)
    assert ending.done == (ending.reach is Reach.PROVED)
    assert ending.sent == b""
