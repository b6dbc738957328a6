"""What must never happen: a second NMI; an NMI to a host that works; an NMI nobody confirmed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from collector.adapters.answers import WatchdogState
from collector.adapters.fake import Answer, Life, Script
from collector.case.folder import CaseFolder
from tests.scenarios.harness import Scene, a_dump


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def script(scene: Scene, **changes: object) -> None:
    scene.machine.script = replace(scene.machine.script, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "nmis"),
    [
        (Answer.ACKNOWLEDGE, 1),
        (Answer.LOSE, 1),
        (Answer.EXPLODE, 1),
        (Answer.SWALLOW, 0),
        (Answer.REFUSE, 0),
    ],
)
def test_whatever_the_controller_answers_at_most_one_nmi_arrives(
    scene: Scene, answer: Answer, nmis: int
) -> None:
    script(scene, answer=answer)
    scene.collect()
    assert len(scene.machine.nmis) == nmis
    assert len(scene.events("claim")) == 1


def test_a_lost_answer_is_uncertain_and_the_dump_still_comes_home(scene: Scene) -> None:
    script(scene, answer=Answer.LOSE)
    result = scene.collect()
    assert scene.events("trigger")[0]["outcome"] == "uncertain"
    assert result.code == ""
    assert len(scene.machine.nmis) == 1


def test_an_nmi_that_never_arrived_ends_as_uncertain_and_is_not_sent_again(scene: Scene) -> None:
    script(scene, answer=Answer.SWALLOW)
    result = scene.collect()
    assert result.code == "uncertain"
    assert scene.case is not None
    again = scene.collect(case=CaseFolder.open(scene.case.path))
    assert again.code == "uncertain"
    assert scene.machine.nmis == []
    assert len(scene.events("claim")) == 1


def test_a_new_case_does_not_send_while_an_older_claim_stands(scene: Scene) -> None:
    script(scene, answer=Answer.SWALLOW)
    scene.collect()
    script(scene, answer=Answer.ACKNOWLEDGE)
    second = scene.collect()
    assert second.code == "preflight"
    assert "resume" in second.hint
    assert scene.machine.nmis == []


def test_the_same_machine_under_another_name_is_protected_too(scene: Scene) -> None:
    script(scene, answer=Answer.SWALLOW)
    scene.collect()
    alias = Scene(scene.folder, name="db01-alias")
    alias.host = replace(alias.host, controllers=scene.host.controllers)
    assert alias.collect(confirm="db01-alias").code == "preflight"
    assert scene.machine.nmis == []


def test_send_again_sends_one_more_and_keeps_the_reason(scene: Scene) -> None:
    script(scene, answer=Answer.SWALLOW)
    scene.collect()
    script(scene, answer=Answer.ACKNOWLEDGE)
    assert scene.case is not None
    result = scene.collect(case=CaseFolder.open(scene.case.path), send_again="console shows no crash")
    assert result.code == ""
    assert len(scene.machine.nmis) == 1
    assert scene.events("send.again") == [{"reason": "console shows no crash"}]


@pytest.mark.parametrize("same_case", [True, False])
def test_a_refused_second_attempt_does_not_hide_the_uncertain_first(scene: Scene, same_case: bool) -> None:
    script(scene, answer=Answer.SWALLOW)
    scene.collect()
    assert scene.case is not None
    first = scene.case.path
    script(scene, answer=Answer.REFUSE)
    again = CaseFolder.open(first) if same_case else None
    assert scene.collect(case=again, send_again="the console shows no crash").code == "preflight"
    script(scene, answer=Answer.ACKNOWLEDGE)
    assert scene.collect().code == "preflight"
    assert scene.collect(case=CaseFolder.open(first)).code == "uncertain"
    assert scene.machine.nmis == []


def test_a_finished_case_allows_the_next_incident(scene: Scene) -> None:
    assert scene.collect().code == ""
    scene.machine.life = Life.HUNG
    assert scene.collect().code == ""
    assert len(scene.machine.nmis) == 2


def test_resuming_a_finished_case_sends_nothing(scene: Scene) -> None:
    scene.collect()
    assert scene.case is not None
    assert scene.collect(case=CaseFolder.open(scene.case.path)).code == ""
    assert len(scene.machine.nmis) == 1


def test_a_dry_run_changes_nothing_and_goes_all_the_way_to_the_claim(scene: Scene) -> None:
    result = scene.collect(dry_run=True)
    assert result.code == ""
    assert scene.machine.mutations == 0
    assert [step.step for step in result.steps] == ["probe", "preflight", "evidence"]
    assert scene.events("claim") == []


@pytest.mark.parametrize("life", [Life.RUNNING, Life.OFF])
def test_a_host_that_does_not_hang_gets_no_nmi(scene: Scene, life: Life) -> None:
    scene.machine.life = life
    result = scene.collect()
    assert result.code == ("not-hung" if life is Life.RUNNING else "preflight")
    assert scene.machine.nmis == []
    assert scene.machine.mutations == 0


def test_a_responsive_host_is_crashed_only_when_that_was_asked_for(scene: Scene) -> None:
    scene.machine.life = Life.RUNNING
    assert scene.collect(even_if_responsive=True).code == ""
    assert len(scene.machine.nmis) == 1


def test_no_confirmation_no_nmi(scene: Scene) -> None:
    assert scene.collect(confirm="db02").code == "not-confirmed"
    assert scene.machine.nmis == []
    assert scene.events("claim") == []


def test_a_host_that_wakes_up_while_a_person_confirms_gets_no_nmi(scene: Scene) -> None:
    incident = scene.incident()

    def slow(_incident: object) -> str:
        scene.machine.life = Life.RUNNING
        return "typed at the prompt"

    from collector.run.collect import Options, collect

    assert collect(incident, Options(), slow).code == "not-hung"
    assert scene.machine.nmis == []


def test_a_host_that_crashes_by_itself_before_the_claim_gets_no_nmi(scene: Scene) -> None:
    incident = scene.incident()

    def slow(_incident: object) -> str:
        scene.machine.life, scene.machine._crashed = Life.DUMPING, None
        return "typed at the prompt"

    from collector.run.collect import Options, collect

    assert collect(incident, Options(), slow).code == "preflight"
    assert scene.machine.nmis == []


def test_a_refused_login_is_tried_once_and_leaves_no_claim(scene: Scene) -> None:
    script(scene, refuse_login=True)
    result = scene.collect()
    assert result.code == "preflight"
    assert scene.machine.logins == 1
    assert scene.events("claim") == []


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (
            {"watchdog": WatchdogState(running=True, action="hard reset", initial_s=60, present_s=1)},
            "watchdog",
        ),
        ({"controller_reachable": False}, "controller"),
    ],
)
def test_a_critical_check_stops_before_the_claim(scene: Scene, change: dict[str, object], check: str) -> None:
    script(scene, **change)
    assert scene.collect().code == "preflight"
    critical = [c["check"] for c in scene.events("check") if c["level"] == "critical"]
    assert check in critical
    assert scene.machine.nmis == []


def test_a_critical_check_can_be_accepted_by_name(scene: Scene) -> None:
    script(scene, watchdog=WatchdogState(running=True, action="hard reset", initial_s=60, present_s=1))
    assert scene.collect(accepted=frozenset({"watchdog"})).code == ""
    assert len(scene.machine.nmis) == 1


def test_recorded_facts_stop_an_nmi_that_would_leave_no_dump(tmp_path: Path) -> None:
    scene = Scene(tmp_path, script=Script(dump=a_dump(), armed=False), life=Life.RUNNING)
    scene.collect()  # refused: it answers; but its facts are recorded now
    scene.machine.life = Life.HUNG
    assert scene.collect().code == "preflight"
    assert any(c["check"] == "kdump-armed" and c["level"] == "critical" for c in scene.events("check"))
    assert scene.machine.nmis == []
