from __future__ import annotations

import struct

import pytest
from hypothesis import given

from collector.probe.observation import Reach
from collector.probe.smb import SmbConversation
from tests.unit.probe.script import near, pieces, play, survives


def answer(command: int, status: int, body: bytes) -> bytes:
    header = b"\xfeSMB" + struct.pack("<HHIHH", 64, 1, status, command, 1) + bytes(48)
    return struct.pack(">I", len(header) + len(body)) + header + body


def negotiated(dialect: int = 0x0311, system_time: int = 134_244_000_000_000_000) -> bytes:
    body = struct.pack("<HHHH16sIIIIQQ", 65, 1, dialect, 0, b"g" * 16, 7, 1, 1, 1, system_time, 0)
    return answer(0, 0, body + bytes(8))


PENDING = answer(1, 0x103, bytes(9))
CHALLENGE = answer(1, 0xC0000016, struct.pack("<HHHH", 9, 0, 72, 48) + b"NTLMSSP\0\2\0\0\0" + bytes(36))
REFUSED = answer(1, 0xC00000BB, bytes(9))


def test_a_negotiate_answer_may_be_the_kernel_and_proves_nothing() -> None:
    ending = play(SmbConversation(), [negotiated()])
    assert (ending.reach, ending.done) == (Reach.SPOKE, False)
    assert ending.evidence == {
        "dialect": "3.1.1",
        "system_time": "2026-05-28T00:00:00+00:00",
        "kernel": "srv2.sys answers NEGOTIATE by itself",
    }


def test_the_challenge_proves_user_mode() -> None:
    ending = play(SmbConversation(), [negotiated(), PENDING, CHALLENGE])
    assert (ending.reach, ending.done) == (Reach.PROVED, True)
    assert "kernel" not in ending.evidence


def test_a_promise_alone_is_waited_for() -> None:
    assert not play(SmbConversation(), [negotiated() + PENDING]).done


def test_the_login_that_is_begun_names_nobody() -> None:
    request = play(SmbConversation(), [negotiated()]).sent
    assert request[4:8] == b"\xfeSMB"
    ntlm = request[request.index(b"NTLMSSP\0") :]
    kind, _, domain, workstation = struct.unpack_from("<IIQQ", ntlm, 8)
    assert (kind, domain, workstation) == (1, 0, 0)
    assert len(ntlm) == 32


def test_a_refused_login_is_a_failure_that_the_kernel_may_have_made() -> None:
    ending = play(SmbConversation(), [negotiated(), REFUSED])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert ending.evidence["failure"] == "SESSION_SETUP status 0xc00000bb"
    assert "kernel" in ending.evidence


def test_a_refused_dialect_is_a_failure() -> None:
    ending = play(SmbConversation(), [answer(0, 0xC00000BB, bytes(9))])
    assert ending.evidence == {"failure": "NEGOTIATE status 0xc00000bb"}


@pytest.mark.parametrize("system_time", [0, 1, 2**63, 2**64 - 1])
def test_any_clock_is_shown_or_left_out(system_time: int) -> None:
    shown = play(SmbConversation(), [negotiated(system_time=system_time)]).evidence.get("system_time")
    assert shown in (None, "1601-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    "stream",
    [
        b"\xffSMB" + bytes(40),
        struct.pack(">I", 70) + b"\xffSMB" + bytes(66),
        struct.pack(">I", 0xFFFFFF),
        answer(0, 0, bytes(10)),
        answer(1, 0, bytes(60)),
        negotiated() + b"garbage",
    ],
)
def test_what_breaks_the_protocol_proves_nothing_and_is_not_taken_for_the_kernel(stream: bytes) -> None:
    ending = play(SmbConversation(), [stream])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert "problem" in ending.evidence
    assert "kernel" not in ending.evidence


@given(pieces(near(negotiated() + CHALLENGE, negotiated() + PENDING + REFUSED)))
def test_no_bytes_in_any_pieces_upset_it(cut: list[bytes]) -> None:
    survives(SmbConversation, cut)
