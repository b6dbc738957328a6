"""Whatever happens to the answer, one call is at most one NMI, counted where it arrives.

A second NMI can destroy the dump that the first one started, and libraries love to send again.
"""

from __future__ import annotations

import time

import pytest

from collector.adapters.answers import NmiOutcome
from collector.adapters.limits import Deadline
from tests.contract.controllers import ADAPTERS, RIGS, Trouble

CAME_TO = {
    Trouble.NONE: (NmiOutcome.SENT, 1),
    Trouble.ANSWER_LATE: (NmiOutcome.SENT, 1),
    Trouble.FIRST_ANSWER_LOST: (NmiOutcome.UNCERTAIN, 1),
    Trouble.ALL_ANSWERS_LOST: (NmiOutcome.UNCERTAIN, 1),
    Trouble.CONNECTION_GONE: (NmiOutcome.UNCERTAIN, 1),
    Trouble.WRONG_CODE: (NmiOutcome.UNCERTAIN, 1),
    Trouble.GARBAGE: (NmiOutcome.UNCERTAIN, 1),
    Trouble.REFUSED: (NmiOutcome.NOT_SENT, 0),
}
"""What the caller is told, and how many NMIs arrive."""

ANSWERED = {Trouble.NONE, Trouble.ANSWER_LATE, Trouble.WRONG_CODE, Trouble.REFUSED}
WAIT_S = 3.5  # long enough for every library's first retry
STRAGGLER_S = 0.5


@pytest.mark.parametrize("trouble", Trouble)
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_one_call_is_at_most_one_nmi(adapter: str, trouble: Trouble) -> None:
    with RIGS[adapter](trouble) as rig:
        answered = trouble in ANSWERED and not rig.silent
        answer = rig.controller.send_nmi(Deadline.after(30.0 if answered else WAIT_S))
        at_return = rig.arrived()
        time.sleep(STRAGGLER_S)
        outcome, nmis = CAME_TO[trouble]
        assert (answer.outcome, rig.arrived()) == (outcome, nmis), answer.detail
        assert at_return == nmis, "an NMI arrived after the call had returned"
        assert answer.detail


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_unanswered_call_ends_by_its_deadline(adapter: str) -> None:
    with RIGS[adapter](Trouble.ALL_ANSWERS_LOST) as rig:
        started = time.monotonic()
        rig.controller.send_nmi(Deadline.after(0.5))
        assert time.monotonic() - started < 10.0


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_time_left_sends_nothing(adapter: str) -> None:
    with RIGS[adapter](Trouble.NONE) as rig:
        answer = rig.controller.send_nmi(Deadline.after(0.0))
        time.sleep(STRAGGLER_S)
        assert (answer.outcome, rig.arrived()) == (NmiOutcome.NOT_SENT, 0)
