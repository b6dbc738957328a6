from __future__ import annotations

import pytest
from hypothesis import given

from collector.probe.authd import AuthdConversation
from collector.probe.observation import Reach
from tests.unit.probe.script import near, pieces, play, single_bytes, survives

BANNER = (
    b"220 VMware Authentication Daemon Version 1.10: SSL Required, ServerDaemonProtocol:SOAP, "
    b"MKSDisplayProtocol:VNC , VMXARGS supported, NFCSSL supported/t\r\n"
)


@pytest.mark.parametrize("cut", [[BANNER], single_bytes(BANNER)])
def test_the_banner_proves_user_mode(cut: list[bytes]) -> None:
    ending = play(AuthdConversation(), cut)
    assert (ending.reach, ending.done, ending.sent) == (Reach.PROVED, True, b"")
    assert ending.evidence["banner"].startswith("220 VMware Authentication Daemon Version 1.10")


def test_nothing_is_sent_first() -> None:
    assert AuthdConversation().opening() == b""


@pytest.mark.parametrize(
    "stream",
    [
        b"220 mail.example.com ESMTP\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"220 VMware\r\n",
        b"\n",
        BANNER[:41] + b"x" * 600,
        b"421 too many\r\n",
    ],
)
def test_another_word_proves_nothing(stream: bytes) -> None:
    ending = play(AuthdConversation(), [stream])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert "problem" in ending.evidence


def test_half_a_banner_proves_nothing() -> None:
    ending = play(AuthdConversation(), [BANNER[:60]])
    assert (ending.reach, ending.done) == (Reach.SPOKE, False)
    ending = play(AuthdConversation(), [BANNER[:60]], end=True)
    assert "ended" in ending.evidence


@given(pieces(near(BANNER)))
def test_no_bytes_in_any_pieces_upset_it(cut: list[bytes]) -> None:
    survives(AuthdConversation, cut)
