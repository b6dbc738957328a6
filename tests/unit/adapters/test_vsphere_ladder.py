from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

from collector.adapters.answers import NmiAnswer, NmiOutcome
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_ladder import Rung, Tried, climb, judge

SENT = Tried(NmiAnswer(NmiOutcome.SENT, "sent"))
REFUSED = Tried(NmiAnswer(NmiOutcome.NOT_SENT, "no permission"))
UNSUPPORTED = Tried(NmiAnswer(NmiOutcome.NOT_SENT, "not implemented"), unsupported=True)
UNCERTAIN = Tried(NmiAnswer(NmiOutcome.UNCERTAIN, "no answer"))
CONFUSED = Tried(NmiAnswer(NmiOutcome.UNCERTAIN, "no answer"), unsupported=True)


def ladder(*answers: Tried) -> tuple[list[str], list[Rung]]:
    """Rungs that give these answers, and the list of those that were tried."""
    tried: list[str] = []

    def rung(number: int, answer: Tried) -> Rung:
        def send(_: Deadline) -> Tried:
            tried.append(f"way {number}")
            return answer

        return Rung(f"way {number}", send)

    return tried, [rung(number, answer) for number, answer in enumerate(answers, 1)]


@pytest.mark.parametrize("first", [SENT, REFUSED, UNCERTAIN, CONFUSED])
def test_only_a_way_that_does_not_exist_leads_to_the_next(first: Tried) -> None:
    tried, rungs = ladder(first, SENT)
    answer = climb(rungs, Deadline.after(10))
    assert (answer.outcome, tried) == (first.answer.outcome, ["way 1"])


def test_the_next_way_is_tried_once_the_first_is_proved_absent() -> None:
    tried, rungs = ladder(UNSUPPORTED, UNSUPPORTED, SENT, SENT)
    answer = climb(rungs, Deadline.after(10))
    assert (answer.outcome, tried) == (NmiOutcome.SENT, ["way 1", "way 2", "way 3"])
    assert answer.detail == "way 1: not implemented; way 2: not implemented; way 3: sent"


def test_no_way_at_all_sends_nothing_and_names_them_all() -> None:
    _, rungs = ladder(UNSUPPORTED, UNSUPPORTED)
    answer = climb(rungs, Deadline.after(10))
    assert answer.outcome is NmiOutcome.NOT_SENT
    assert "way 1" in answer.detail
    assert "way 2" in answer.detail
    assert climb([], Deadline.after(10)).outcome is NmiOutcome.NOT_SENT


def test_no_way_is_begun_when_the_time_is_up() -> None:
    tried, rungs = ladder(SENT)
    answer = climb(rungs, Deadline.after(0))
    assert (answer.outcome, tried) == (NmiOutcome.NOT_SENT, [])


@pytest.mark.parametrize(
    ("fault", "outcome", "unsupported"),
    [
        (vmodl.fault.MethodNotFound(), NmiOutcome.NOT_SENT, True),
        (vmodl.fault.NotImplemented(), NmiOutcome.NOT_SENT, True),
        (vmodl.fault.NotSupported(), NmiOutcome.NOT_SENT, True),
        (vim.fault.RestrictedVersion(), NmiOutcome.NOT_SENT, True),
        (vim.fault.NoPermission(), NmiOutcome.NOT_SENT, False),
        (vim.fault.NotAuthenticated(), NmiOutcome.NOT_SENT, False),
        (vim.fault.InvalidPowerState(), NmiOutcome.NOT_SENT, False),
        (vim.fault.InvalidState(), NmiOutcome.NOT_SENT, False),
        (vmodl.fault.ManagedObjectNotFound(), NmiOutcome.NOT_SENT, False),
        (vmodl.fault.HostNotConnected(), NmiOutcome.NOT_SENT, False),
        (vmodl.fault.HostNotReachable(), NmiOutcome.UNCERTAIN, False),
        (vmodl.fault.SystemError(), NmiOutcome.UNCERTAIN, False),
        (vim.fault.Timedout(), NmiOutcome.UNCERTAIN, False),
        (vmodl.RuntimeFault(), NmiOutcome.UNCERTAIN, False),
        (vmodl.MethodFault(), NmiOutcome.UNCERTAIN, False),
    ],
    ids=lambda each: str(getattr(each, "__class__", each).__name__),
)
def test_each_fault_is_judged(fault: vmodl.MethodFault, outcome: NmiOutcome, unsupported: bool) -> None:
    tried = judge(fault)
    assert (tried.answer.outcome, tried.unsupported) == (outcome, unsupported)


def test_the_words_of_a_hostile_server_are_bounded_and_plain() -> None:
    fault = vmodl.fault.SystemError(msg="\x1b]0;evil\x07" + "x" * 10_000)
    detail = judge(fault).answer.detail
    assert len(detail) < 500
    assert detail.isprintable()
