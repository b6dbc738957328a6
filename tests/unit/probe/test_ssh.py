from __future__ import annotations

import struct

import pytest
from hypothesis import given

from collector.probe.observation import Reach
from collector.probe.ssh import SshConversation
from tests.unit.probe.script import near, pieces, play, single_bytes, survives

BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"


def packet(payload: bytes, padding: int = 6) -> bytes:
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


KEXINIT = packet(b"\x14" + bytes(16) + struct.pack(">I", 17) + b"curve25519-sha256" + bytes(41))
DISCONNECT = packet(b"\x01" + struct.pack(">II", 12, 5) + b"later" + bytes(4))
IGNORE = packet(b"\x02" + struct.pack(">I", 4) + b"junk")


def test_a_banner_alone_does_not_prove_user_mode() -> None:
    assert play(SshConversation(), [BANNER]).reach is Reach.SPOKE


def test_the_key_exchange_proposal_proves_user_mode() -> None:
    ending = play(SshConversation(), [BANNER, KEXINIT])
    assert (ending.reach, ending.done) == (Reach.PROVED, True)
    assert ending.evidence == {
        "banner": "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "key_exchange": "curve25519-sha256",
    }


def test_we_say_nothing_before_the_banner_and_then_our_banner_and_proposal() -> None:
    conversation = SshConversation()
    assert conversation.opening() == b""
    sent = conversation.receive(BANNER)
    ours, _, proposal = sent.partition(b"\r\n")
    assert ours == b"SSH-2.0-HangCollector"
    length, padding, message = struct.unpack_from(">IBB", proposal)
    assert (len(proposal), message) == (4 + length, 20)
    assert len(proposal) % 8 == 0
    assert padding >= 4
    assert conversation.receive(KEXINIT) == b""


def test_lines_before_the_banner_are_passed_over() -> None:
    ending = play(SshConversation(), [b"Welcome\r\nto db01\n", BANNER, IGNORE, KEXINIT])
    assert ending.reach is Reach.PROVED
    assert ending.evidence["before_banner"] == "Welcome"


def test_a_reasoned_disconnect_proves_user_mode_as_well() -> None:
    ending = play(SshConversation(), [BANNER, DISCONNECT])
    assert ending.reach is Reach.PROVED
    assert "later" in ending.evidence["disconnect"]


@pytest.mark.parametrize(
    "stream",
    [
        b"SSH-1.5-old\n",
        b"SSH-2.0-" + b"x" * 300,
        b"SSH-2.0-" + b"x" * 300 + b"\r\n" + KEXINIT,
        BANNER + b"HTTP/1.1 200 OK\r\n",
        BANNER + struct.pack(">IB", 35001, 4),
        BANNER + struct.pack(">IB", 5, 4),
    ],
)
def test_what_breaks_the_protocol_ends_the_conversation_unproved(stream: bytes) -> None:
    ending = play(SshConversation(), [stream])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert "problem" in ending.evidence


def test_endless_lines_before_the_banner_come_to_an_end() -> None:
    conversation = SshConversation()
    for _ in range(5):
        conversation.receive(b"spam\r\n" * 3000)
    assert (conversation.reach, conversation.done) == (Reach.SPOKE, True)
    assert conversation.evidence["problem"] == "65536 bytes that are no answer"


def test_a_server_that_closes_is_told_from_one_that_waits() -> None:
    assert play(SshConversation(), [BANNER], end=True).evidence["ended"]
    assert "ended" not in play(SshConversation(), [BANNER]).evidence
    assert play(SshConversation(), [], end=True).reach is Reach.CONNECTED


def test_a_proof_byte_by_byte_is_a_proof() -> None:
    assert play(SshConversation(), single_bytes(BANNER + KEXINIT)).reach is Reach.PROVED


@given(pieces(near(BANNER + KEXINIT, b"hello\n" + BANNER + IGNORE + DISCONNECT)))
def test_no_bytes_in_any_pieces_upset_it(cut: list[bytes]) -> None:
    survives(SshConversation, cut)
