"""A drill crashes a healthy host on purpose, once, confirmed, and says everywhere that it was one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from collector.adapters.fake import Answer, Life, Script
from collector.case.folder import CaseFolder
from collector.case.manifest import verify
from collector.cli.exit_codes import ExitCode
from collector.lab.crash import Reaction
from collector.lab.crash import Script as LabScript
from collector.lab.demo import Lab, lab
from tests.scenarios.harness import Scene, a_dump
from tests.scenarios.test_command_line import cli, quicken, the_case


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, life=Life.RUNNING, drill=True)


def test_a_healthy_host_is_crashed_once_and_its_dump_comes_home(scene: Scene) -> None:
    result = scene.collect()
    assert result.code == ""
    assert len(scene.machine.nmis) == 1
    assert "of this drill" in result.detail
    assert [step.step for step in result.steps][:7] == [
        *("probe", "preflight", "evidence", "trigger", "wait", "retrieve", "validate")
    ]
    assert all(step.seconds >= 0 for step in result.steps)
    assert scene.events("case.opened")[0]["drill"] is True
    (about,) = [check for check in scene.events("check") if check["check"] == "diagnosis"]
    assert (about["level"], about["reason"]) == ("ok", "responsive, as a drill expects")


@pytest.mark.parametrize("life", [Life.HUNG, Life.DUMPING, Life.OFF])
def test_a_host_that_is_not_healthy_gets_no_nmi_whatever_was_accepted(scene: Scene, life: Life) -> None:
    scene.machine.life = life
    result = scene.collect(accepted=frozenset({"diagnosis", "already-crashed"}), even_if_responsive=True)
    assert result.code == "preflight"
    assert "hang-collector collect db01" in result.hint
    assert (scene.machine.nmis, scene.machine.mutations) == ([], 0)
    assert scene.events("claim") == []


def test_no_confirmation_no_nmi(scene: Scene) -> None:
    assert scene.collect(confirm="db02").code == "not-confirmed"
    assert (scene.machine.nmis, scene.events("claim")) == ([], [])


def test_a_host_that_hangs_while_a_person_confirms_gets_no_nmi(scene: Scene) -> None:
    from collector.run.collect import Options, collect

    incident = scene.incident()

    def slow(_incident: object) -> str:
        scene.machine.life = Life.HUNG
        return "typed at the prompt"

    assert collect(incident, Options(), slow).code == "preflight"
    assert scene.machine.nmis == []


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    assert scene.collect(dry_run=True).code == ""
    assert (scene.machine.mutations, scene.events("claim")) == (0, [])


@pytest.mark.parametrize("answer", [Answer.LOSE, Answer.EXPLODE, Answer.SWALLOW])
def test_an_nmi_that_may_have_been_sent_is_not_sent_again(scene: Scene, answer: Answer) -> None:
    scene.machine.script = replace(scene.machine.script, answer=answer)
    scene.collect()
    sent = len(scene.machine.nmis)
    assert sent <= 1
    assert scene.case is not None
    scene.collect(case=CaseFolder.open(scene.case.path))
    assert len(scene.machine.nmis) == sent


def test_an_unarmed_host_is_not_crashed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, script=Script(dump=a_dump(), armed=False), life=Life.RUNNING, drill=True)
    assert scene.collect().code == "preflight"
    assert scene.machine.nmis == []


def test_a_host_that_does_not_let_us_in_is_not_crashed(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        one.host.known_hosts.write_text("")
        done = cli(one, "drill", "db01", "--confirm", "db01")
        assert done.returncode == ExitCode.REFUSED, done.stdout + done.stderr
        assert "--accept kdump-armed" in done.stdout
        assert (one.host.nmis, one.bmc.arrived(0, 2)) == (0, 0)


def test_the_report_says_that_it_was_a_drill(scene: Scene) -> None:
    scene.collect()
    assert scene.case is not None
    report = (scene.case.path / "report.md").read_text()
    assert "Drill: db01 was healthy; one NMI was sent; the dump (" in report
    assert "is home and complete." in report
    assert "Case opened by tests, as a drill" in report
    assert "Drill: db01 was healthy" in (scene.case.path / "report.html").read_text()


def test_resuming_a_drill_is_still_the_drill(scene: Scene) -> None:
    scene.machine.script = replace(scene.machine.script, answer=Answer.REFUSE)
    assert scene.collect().code == "preflight"
    scene.machine.script = replace(scene.machine.script, answer=Answer.ACKNOWLEDGE)
    assert scene.case is not None
    assert scene.collect(case=CaseFolder.open(scene.case.path)).code == ""
    assert len(scene.machine.nmis) == 1


def test_from_the_command_line_over_real_protocols(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        assert cli(one, "drill", "db01", "--no-input").returncode == ExitCode.NOT_CONFIRMED
        assert one.host.nmis == 0
        done = cli(one, "drill", "db01", "--confirm", "db01", "--format", "json")
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        result = json.loads(done.stdout)
        assert "of this drill" in result["detail"]
        assert one.host.nmis == one.bmc.arrived(0, 2) == 1
        clock = json.loads((Path(result["case"]) / "data/evidence/before-clock.json").read_text())
        assert clock["controller"][:10] in (clock["asked"][:10], clock["heard"][:10])


def test_a_dry_run_over_real_protocols_asks_the_bmc_to_change_nothing(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        done = cli(one, "drill", "db01", "--dry-run")
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        assert (one.host.nmis, one.bmc.arrived(0, 2)) == (0, 0)
        assert verify(the_case(one).path).ok


def test_a_drill_that_leaves_no_dump_says_so(tmp_path: Path) -> None:
    with lab(tmp_path / "lab", LabScript(on_nmi=Reaction.NO_DUMP)) as one:
        quicken(one)
        done = cli(one, "drill", "db01", "--confirm", "db01")
        assert done.returncode == ExitCode.NO_DUMP, done.stdout + done.stderr
        assert (
            "Drill: db01 was healthy; one NMI was sent; no dump came of it"
            in (the_case(one).path / "report.md").read_text()
        )


def test_the_audit_counts_a_drill_as_proof_until_something_changes(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        one.host.tree.put("/var/lib/kdump/vmcore-creation.status", b"pending\n", time.time())
        assert about(one)[0] == "warning"
        assert cli(one, "drill", "db01", "--confirm", "db01").returncode == ExitCode.COMPLETE
        level, reason = about(one)
        assert level == "ok", reason
        assert reason.startswith("the drill of ")
        one.host.tree.put("/sys/kernel/kexec_crash_size", b"201326592\n", time.time())
        level, reason = about(one)
        assert level == "warning"
        assert "the reserved memory (268435456 then, 201326592 now)" in reason


def about(one: Lab) -> tuple[str, str]:
    """What the audit says of KD-12."""
    (row,) = json.loads(cli(one, "audit", "db01", "--format", "json").stdout)["hosts"]
    (verdict,) = [verdict for verdict in row["verdicts"] if verdict["id"] == "KD-12"]
    return verdict["level"], verdict["reason"]
