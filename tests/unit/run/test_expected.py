"""What a case expects of its dump comes from its journal alone, and a journal may hold anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.case.journal import Journal
from collector.run.expected import expected

PLACE = "data/dump/x/vmcore"
MODIFIED = 1795230800


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def home(journal: Journal) -> None:
    journal.append("dump.found", path="/var/crash/x/vmcore", bytes=5, modified=MODIFIED)
    journal.append("artifact", path=PLACE, source="/var/crash/x/vmcore", kind="dump")


def test_the_crash_lies_between_the_claim_and_the_find_and_before_the_last_write(journal: Journal) -> None:
    journal.append("facts", values={"release": "6.1.0-9-amd64", "clock": "1795230000"})
    claim = journal.append("claim", attempt=1)
    journal.append("trigger", attempt=1, outcome="sent")
    home(journal)
    crash = expected("db01", journal.entries(), PLACE)
    assert (crash.host, crash.system, crash.nmi) == ("db01", "6.1.0-9-amd64", True)
    assert crash.since == claim.time
    assert crash.until is not None
    assert crash.until >= claim.time
    assert crash.written == datetime.fromtimestamp(MODIFIED, UTC)


@pytest.mark.parametrize(("outcome", "ours"), [("sent", True), ("uncertain", True), ("not sent", False)])
def test_an_nmi_that_was_refused_is_none_of_ours(journal: Journal, outcome: str, ours: bool) -> None:
    journal.append("claim", attempt=1)
    journal.append("trigger", attempt=1, outcome=outcome)
    assert expected("db01", journal.entries(), PLACE).nmi is ours


def test_a_host_that_had_crashed_by_itself_got_no_nmi_of_ours(journal: Journal) -> None:
    journal.append("crash.seen", reason="it answers with a new boot")
    home(journal)
    crash = expected("db01", journal.entries(), PLACE)
    assert not crash.nmi
    assert crash.since is not None


@pytest.mark.parametrize("facts", ["no mapping", {"release": ""}, {}])
@pytest.mark.parametrize("modified", [-1, 1e300, "soon"])
def test_a_damaged_entry_expects_nothing(journal: Journal, facts: object, modified: object) -> None:
    journal.append("facts", values=facts)
    journal.append("dump.unfinished", path="/x", bytes=5, modified=modified)
    journal.append("artifact", path=PLACE, source="/x", kind="dump")
    crash = expected("db01", journal.entries(), PLACE)
    assert (crash.system, crash.since, crash.written) == ("", None, None)
    assert crash.until is not None


def test_windows_says_its_version_by_another_name(journal: Journal) -> None:
    journal.append("facts", values={"os_version": "10.0.20348"})
    assert expected("db01", journal.entries(), PLACE).system == "10.0.20348"
