from __future__ import annotations

import pytest
from hypothesis import given

from collector.probe.observation import Reach
from collector.probe.rdp import RdpConversation
from tests.unit.probe.script import near, pieces, play, survives

RESPONSE = bytes.fromhex("03 00 00 13 0e d0 00 00 12 34 00 02 01 08 00 01 00 00 00")
FAILURE = bytes.fromhex("03 00 00 13 0e d0 00 00 12 34 00 03 00 08 00 05 00 00 00")
OLD = bytes.fromhex("03 00 00 0b 06 d0 00 00 12 34 00")


def test_the_request_is_the_one_of_the_specification() -> None:
    request = RdpConversation().opening()
    assert request.hex() == "030000130ee00000000000" + "010008000b000000"


@pytest.mark.parametrize(
    ("confirm", "evidence"),
    [
        (RESPONSE, {"security": "TLS"}),
        (FAILURE, {"negotiation_failure": "CredSSP required by server"}),
        (OLD, {"security": "standard RDP security"}),
        (RESPONSE[:15] + b"\x63\0\0\0", {"security": "protocol 99"}),
        (FAILURE[:15] + b"\x63\0\0\0", {"negotiation_failure": "code 99"}),
    ],
)
def test_every_confirm_proves_user_mode_a_failed_negotiation_too(
    confirm: bytes, evidence: dict[str, str]
) -> None:
    ending = play(RdpConversation(), [confirm])
    assert (ending.reach, ending.done) == (Reach.PROVED, True)
    assert ending.evidence == evidence


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        bytes.fromhex("03 00 00 05 00"),
        bytes.fromhex("03 00 ff ff 00"),
        bytes.fromhex("03 00 00 0b 06 80 00 00 12 34 00"),
    ],
)
def test_anything_else_proves_nothing(stream: bytes) -> None:
    ending = play(RdpConversation(), [stream])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert "problem" in ending.evidence


def test_half_a_confirm_is_waited_for() -> None:
    assert not play(RdpConversation(), [RESPONSE[:-1]]).done


@given(pieces(near(RESPONSE, FAILURE, OLD)))
def test_no_bytes_in_any_pieces_upset_it(cut: list[bytes]) -> None:
    survives(RdpConversation, cut)
