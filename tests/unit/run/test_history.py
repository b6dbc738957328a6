from __future__ import annotations

from pathlib import Path

import pytest

from collector.adapters.answers import NmiOutcome
from collector.case.journal import Entry, Journal
from collector.run.history import attempts, claim_stands, crash_expected_since, last_answer, trigger_outcome

CLAIM = ("claim", {"attempt": 1, "controller": "ipmi://192.0.2.110:623"})


def trigger(outcome: str) -> tuple[str, dict[str, object]]:
    return ("trigger", {"attempt": 1, "outcome": outcome})


def journal(folder: Path, *events: tuple[str, dict[str, object]]) -> list[Entry]:
    one = Journal(folder / "journal.jsonl")
    one.create()
    for event, data in events:
        one.append(event, **data)
    return one.entries()


@pytest.mark.parametrize(
    ("events", "outcome", "stands"),
    [
        ([], None, False),
        ([CLAIM], NmiOutcome.UNCERTAIN, True),  # killed before the answer was written down
        ([CLAIM, trigger("sent")], NmiOutcome.SENT, True),
        ([CLAIM, trigger("uncertain")], NmiOutcome.UNCERTAIN, True),
        ([CLAIM, trigger("not sent")], NmiOutcome.NOT_SENT, False),
        ([CLAIM, trigger("not sent"), CLAIM], NmiOutcome.UNCERTAIN, True),
        ([CLAIM, trigger("uncertain"), CLAIM, trigger("not sent")], NmiOutcome.UNCERTAIN, True),
        ([CLAIM, CLAIM, trigger("not sent")], NmiOutcome.UNCERTAIN, True),
        ([CLAIM, trigger("sent"), ("dump.found", {})], NmiOutcome.SENT, False),
        ([CLAIM, trigger("sent"), ("dump.none", {})], NmiOutcome.SENT, False),
        ([("dump.none", {}), CLAIM, trigger("sent")], NmiOutcome.SENT, True),
    ],
)
def test_a_claim_stands_until_the_peer_refused_or_the_host_was_seen_again(
    tmp_path: Path, events: list[tuple[str, dict[str, object]]], outcome: NmiOutcome | None, stands: bool
) -> None:
    entries = journal(tmp_path, *events)
    assert trigger_outcome(entries) is outcome
    assert claim_stands(entries) is stands
    assert attempts(entries) == sum(event == "claim" for event, _ in events)
    waits = outcome not in (None, NmiOutcome.NOT_SENT)
    assert (crash_expected_since(entries) is not None) == waits


@pytest.mark.parametrize(
    ("values", "clock"),
    [({"clock": "1795240320"}, 1795240320.0), ({"clock": None}, None), ({}, None), ("x", None)],
)
def test_the_host_s_own_clock_says_when_it_last_answered(
    tmp_path: Path, values: object, clock: float | None
) -> None:
    assert last_answer(journal(tmp_path, ("facts", {"values": values}))) == clock
    assert last_answer([]) is None
