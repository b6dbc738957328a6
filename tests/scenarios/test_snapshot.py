"""A dump without a crash: one snapshot, its price said first, nothing left behind."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.adapters.fake import Life, Script
from collector.lab.vmcore import kdump
from collector.model.result import Outcome
from collector.playbook.schema import Playbook
from tests.scenarios.harness import PLAYBOOK, Scene, a_dump

SNAPSHOT = {
    **PLAYBOOK,
    "name": "snapshot",
    "steps": {
        **{name: step for name, step in PLAYBOOK["steps"].items() if name != "wait"},  # type: ignore[attr-defined]
        "trigger": {"act": "snapshot", "deadline": "5s"},
        "retrieve": {"deadline": "5s", "stall": "2s"},
    },
}


def scene(folder: Path, **script: object) -> Scene:
    made = Scene(folder, Script(**{"dump": a_dump(), **script}), life=Life.RUNNING)  # type: ignore[arg-type]
    made.playbook = Playbook.model_validate(SNAPSHOT)
    return made


def test_the_memory_comes_home_without_an_nmi_and_nothing_stays_behind(tmp_path: Path) -> None:
    case = scene(tmp_path)
    row = case.collect(even_if_responsive=True)
    assert row.outcome is Outcome.SUCCESS, row.detail
    assert case.machine.nmis == []
    assert case.machine.snapshots == [case.case.name]  # type: ignore[union-attr]
    assert not [path for path in case.machine.files if path.startswith("/snapshots")]
    (removed,) = case.events("snapshot.removed")
    assert removed["name"] == row.case.name  # type: ignore[union-attr]
    report = (row.case / "report.md").read_text()  # type: ignore[operator]
    assert "its memory was written out from outside, without a crash" in report


def test_its_price_is_judged_before_anybody_confirms_it(tmp_path: Path) -> None:
    case = scene(tmp_path, free=10)
    row = case.collect(even_if_responsive=True)
    assert row.code == "preflight"
    assert row.detail.startswith("no snapshot was taken: ")
    assert row.detail.endswith("it stands still; only 10 bytes are free there")
    assert case.machine.mutations == 0
    assert case.events("confirmation") == []


def test_unknown_space_is_said_and_does_not_stop_it(tmp_path: Path) -> None:
    case = scene(tmp_path, free=None)
    assert case.collect(even_if_responsive=True).outcome is Outcome.SUCCESS
    assert any(check["level"] == "warning" for check in case.events("check") if check["check"] == "snapshot")


@pytest.mark.parametrize("options", [{"dry_run": True}, {"confirm": "other"}])
def test_a_dry_run_and_a_wrong_name_change_nothing(tmp_path: Path, options: dict[str, object]) -> None:
    case = scene(tmp_path)
    case.collect(even_if_responsive=True, **options)  # type: ignore[arg-type]
    assert case.machine.mutations == 0
    assert case.events("snapshot.claim") == []


def test_a_host_that_answers_is_left_alone(tmp_path: Path) -> None:
    case = scene(tmp_path)
    assert case.collect().code == "not-hung"
    assert case.machine.mutations == 0


def test_a_lost_answer_makes_no_second_snapshot(tmp_path: Path) -> None:
    case = scene(tmp_path, lose_snapshot=True)
    first = case.collect(even_if_responsive=True)
    assert first.outcome is Outcome.TIMEOUT
    again = case.collect(case=case.case, even_if_responsive=True)
    assert again.outcome is Outcome.SUCCESS, again.detail
    assert len(case.machine.snapshots) == 1


def test_a_snapshot_whose_files_are_not_whole_here_is_not_removed(tmp_path: Path) -> None:
    cut = kdump("db01", datetime.now(UTC), [(0.0, "Linux version 6.1.0")], filler_pages=16)[:-5000]
    case = scene(tmp_path, dump=cut)
    row = case.collect(even_if_responsive=True)
    assert row.code == "partial"
    assert any(path.startswith("/snapshots") for path in case.machine.files)
