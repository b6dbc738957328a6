from __future__ import annotations

import pytest

from collector.adapters.answers import NmiOutcome
from collector.adapters.ipmi_codes import judge_nmi, meaning, require
from collector.adapters.ipmi_session import Reply
from collector.errors import ForbiddenError, PeerFailedError, UnsupportedError

REFUSALS = {0xC1, 0xC2, 0xC6, 0xC7, 0xC8, 0xC9, 0xCC, 0xCD, 0xD4, 0xD5, 0xD6}


def test_only_zero_is_sent_and_only_refusals_are_not_sent() -> None:
    for code in range(256):
        expected = NmiOutcome.UNCERTAIN
        if code == 0:
            expected = NmiOutcome.SENT
        elif code in REFUSALS:
            expected = NmiOutcome.NOT_SENT
        assert judge_nmi(code).outcome is expected, meaning(code)


@pytest.mark.parametrize("code", [0xC0, 0xC3, 0xCE, 0xCF, 0xD3, 0xFF])
def test_codes_that_may_follow_the_act_are_uncertain(code: int) -> None:
    answer = judge_nmi(code)
    assert answer.outcome is NmiOutcome.UNCERTAIN
    assert f"{code:02X}h" in answer.detail


def test_every_code_has_a_reading() -> None:
    assert meaning(0xD5) == "completion code D5h (not supported in present state)"
    assert "80h" in meaning(0x80)
    assert all(meaning(code) for code in range(256))


def test_a_completed_reply_gives_its_data() -> None:
    assert require(Reply(0, b"ab"), "do this", 2) == b"ab"


@pytest.mark.parametrize(
    ("code", "error"),
    [(0xD4, ForbiddenError), (0xC1, UnsupportedError), (0xFF, PeerFailedError), (0x80, PeerFailedError)],
)
def test_a_code_is_the_error_that_it_means(code: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="read its event log"):
        require(Reply(code, b"data that comes with an error means nothing"), "read its event log")


def test_too_little_data_is_the_peer_s_failure() -> None:
    with pytest.raises(PeerFailedError, match="1 bytes, not 2"):
        require(Reply(0, b"a"), "do this", 2)
