from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from collector.adapters.answers import PowerState
from collector.model.result import HostResult, Outcome, StepResult
from collector.probe.diagnosis import Diagnosis, Finding
from collector.probe.observation import Observation, Reach
from collector.render import json as as_json
from collector.render import probe as probe_table
from collector.render import result as result_table
from collector.render.progress import LineProgress
from collector.render.text import printable
from collector.run.examine import ControllerAnswer, Examination

HOSTILE = "\x1b[2J\x1b]0;owned\x07 [bold]not markup[/bold] \u202egnp.exe\n"

RESULT = HostResult(
    host="db01",
    outcome=Outcome.MISSING,
    detail=f"no dump {HOSTILE}",
    hint="look",
    code="no-dump",
    case=Path("cases/x"),
    steps=(StepResult("wait", Outcome.MISSING, HOSTILE, seconds=61.0),),
)
EXAMINATION = Examination(
    host="db01",
    observations=[Observation("ssh", "192.0.2.10", 22, Reach.SPOKE, 0.2, {"banner": HOSTILE})],
    controllers=[ControllerAnswer("ipmi://192.0.2.110:623", Outcome.SUCCESS, PowerState.ON, HOSTILE)],
    finding=Finding(Diagnosis.DEGRADED, HOSTILE),
)


def acts_on_a_terminal(text: str) -> bool:
    return any(not ch.isprintable() and ch != "\n" for ch in text)


def test_nothing_from_a_remote_side_acts_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    result_table.result(RESULT)
    probe_table.examinations([EXAMINATION])
    result_table.interrupted(Path("cases/x"))
    shown = capsys.readouterr()
    assert "db01" in shown.out
    assert "[bold]not markup" in shown.out.replace("\n", "")
    assert not acts_on_a_terminal(shown.out + shown.err)


def test_json_names_its_schema_and_holds_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    as_json.result(RESULT)
    result = json.loads(capsys.readouterr().out)
    assert (result["schema"], result["code"]) == ("hang-collector/result/1", "no-dump")
    assert result["steps"][0]["detail"] == HOSTILE
    as_json.examinations([EXAMINATION])
    (host,) = json.loads(capsys.readouterr().out)["hosts"]
    assert host["observations"][0]["reach"] == "spoke"
    assert host["controllers"][0]["power"] == "on"


def test_progress_without_a_terminal_is_plain_lines_and_few() -> None:
    out = io.StringIO()
    progress = LineProgress(Console(file=out, width=100))
    progress.stage("wait")
    for second in range(100):
        progress.status(f"{second} s since the NMI")
        progress.copied("vmcore", second, 100)
    progress.note(HOSTILE)
    lines = out.getvalue().splitlines()
    assert lines[0] == "== wait"
    assert len(lines) < 5
    assert not acts_on_a_terminal(out.getvalue())


def test_printable_keeps_text_and_escapes_what_acts() -> None:
    assert printable("Grüße, db01\n") == "Grüße, db01\n"
    assert printable("\x1b[2J\u202e\x00") == "\\x1b[2J\\u202e\\x00"
