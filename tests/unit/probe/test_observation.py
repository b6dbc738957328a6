from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.probe.observation import Observation, Reach, printable

ASCENDING = ["untried", "no route", "silent", "refused", "connected", "spoke", "proved"]


def test_reach_is_ordered_by_how_far_it_got_and_not_by_its_letters() -> None:
    assert [reach.value for reach in sorted(Reach)] == ASCENDING
    for (low, one), (high, other) in itertools.product(enumerate(Reach), repeat=2):
        assert (one < other, one <= other, one > other, one >= other) == (
            low < high, low <= high, low > high, low >= high,
        )  # fmt: skip


def test_reach_compares_with_the_word_a_journal_holds() -> None:
    assert Reach(json.loads(json.dumps(Reach.SPOKE))) is Reach.SPOKE
    assert Reach.SPOKE > "connected"
    with pytest.raises(ValueError, match="nonsense"):
        _ = Reach.SPOKE > "nonsense"


@pytest.mark.parametrize("reach", list(Reach))
def test_answered_means_that_the_peer_sent_something(reach: Reach) -> None:
    seen = Observation("ssh", "192.0.2.1", 22, reach, 0.1, {})
    assert seen.answered == (reach in (Reach.SPOKE, Reach.PROVED))


@given(st.binary(max_size=300))
def test_what_a_peer_sent_is_shown_short_and_without_control_characters(data: bytes) -> None:
    shown = printable(data)
    assert shown.isascii()
    assert all(" " <= letter <= "~" for letter in shown)
    assert len(shown) <= 80 * 4 + 3
