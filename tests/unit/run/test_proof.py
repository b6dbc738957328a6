from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.case import claims
from collector.case.folder import CaseFolder
from collector.model.fact import value
from collector.model.host import Host, Platform
from collector.run.incident import identities
from collector.run.proof import NAMES, last_nmi

HOST = Host("db01", Platform.LINUX, "192.0.2.10", (), ())
PATH = "/var/crash/127.0.0.1-2026-11-20-03:12:00/vmcore"


def a_case(cases: Path, hour: int) -> CaseFolder:
    """A case with an NMI that was sent; the host's clock is as far off as its facts say."""
    case = CaseFolder.create(cases, "db01", datetime(2026, 11, 20, hour, tzinfo=UTC))
    case.journal.append("case.opened", host="db01", drill=True)
    return case


def shot(case: CaseFolder, *, ahead: float = 0.0) -> float:
    """The facts, the claim and the NMI; returns the host's clock at that moment."""
    clock = datetime.now(UTC).timestamp() + ahead
    case.journal.append("facts", values={"clock": str(clock), "release": "5.14.0", "cmdline": "ro"})
    claims.point(case.path, identities(HOST))
    case.journal.append("claim", attempt=1, controller="ipmi", way="ipmi")
    case.journal.append("trigger", attempt=1, outcome="sent", detail="", seconds=0.1)
    return clock


def dumped(case: CaseFolder, modified: float, *, complete: bool = True) -> None:
    case.journal.append("dump.found", path=PATH, bytes=4096, modified=modified)
    case.journal.append("dump.checked", path="data/dump/vmcore", complete=complete, reason="cut off")


def proof(cases: Path) -> dict[str, str | None]:
    facts = last_nmi(cases, HOST)
    assert set(facts) == set(NAMES)
    return {name: value(facts, name) for name in NAMES}


def test_a_host_without_a_case_proves_nothing(tmp_path: Path) -> None:
    assert {fact.missing for fact in last_nmi(tmp_path, HOST).values()} == {"none"}


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -86400.0])
def test_a_whole_dump_is_measured_by_the_hosts_own_clock(tmp_path: Path, ahead: float) -> None:
    case = a_case(tmp_path, 3)
    clock = shot(case, ahead=ahead)
    dumped(case, clock + 3.0)
    found = proof(tmp_path)
    assert (found["proof_whole"], found["proof_drill"], found["proof_path"]) == ("yes", "yes", PATH)
    assert (found["proof_bytes"], found["proof_release"], found["proof_cmdline"]) == ("4096", "5.14.0", "ro")
    assert found["proof_seconds"] == "3"
    assert last_nmi(tmp_path, HOST)["proof_whole"].source == f"case {case.path.name}"


def test_a_capture_kernel_with_a_wrong_clock_is_not_believed(tmp_path: Path) -> None:
    case = a_case(tmp_path, 3)
    dumped(case, shot(case) - 7200.0)
    assert proof(tmp_path)["proof_seconds"] == "0"  # as long as it took until it was found


def test_the_newest_case_that_shows_an_outcome_counts(tmp_path: Path) -> None:
    old, newer, open_case = a_case(tmp_path, 1), a_case(tmp_path, 2), a_case(tmp_path, 3)
    dumped(old, shot(old))
    shot(newer)
    newer.journal.append("dump.none", reason="it rebooted without leaving a dump")
    shot(open_case)
    found = proof(tmp_path)
    assert (found["proof_whole"], found["proof_reason"]) == ("no", "it rebooted without leaving a dump")


def test_a_dump_that_is_not_whole_is_no_proof(tmp_path: Path) -> None:
    case = a_case(tmp_path, 3)
    dumped(case, shot(case), complete=False)
    found = proof(tmp_path)
    assert (found["proof_whole"], found["proof_reason"]) == ("no", "cut off")


def test_a_refused_nmi_and_a_damaged_case_are_passed_over(tmp_path: Path) -> None:
    good, refused, damaged = a_case(tmp_path, 1), a_case(tmp_path, 2), a_case(tmp_path, 3)
    dumped(good, shot(good))
    claims.point(refused.path, identities(HOST))
    refused.journal.append("claim", attempt=1, controller="ipmi", way="ipmi")
    refused.journal.append("trigger", attempt=1, outcome="not sent", detail="", seconds=0.1)
    shot(damaged)
    (damaged.path / "journal.jsonl").write_text("{\n")
    assert proof(tmp_path)["proof_whole"] == "yes"


def test_the_dump_itself_says_which_kernel_crashed(tmp_path: Path) -> None:
    """What was recorded while the host still answered may be older than its last update."""
    case = a_case(tmp_path, 3)
    case.journal.append("dump.found", path=PATH, bytes=4096, modified=shot(case) + 1.0)
    case.journal.append("dump.checked", path="data/dump/vmcore", complete=True, release="5.14.9")
    assert proof(tmp_path)["proof_release"] == "5.14.9"
