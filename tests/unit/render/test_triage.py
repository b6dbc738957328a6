from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from collector.render import triage as view
from collector.render.html_triage import drawing, evidence, page
from collector.run.triage import CaseTriage
from collector.triage.answer import Answer, answer
from collector.triage.model import DebuggerLog
from collector.triage.modules import load
from tests.unit.triage.planted import Scene, blocked, thread

HOSTILE = "\x1b[2J<script>alert(1)</script>"


def chained(*, closed: bool = False, image: str = "") -> Answer:
    scene = Scene()
    scene.chain([1, 2, 3], ["mutant", "lpc", "mutant"], closed=closed)
    if image:
        scene.threads = [
            thread(1, image=image, wait_objects=scene.threads[0].wait_objects),
            *scene.threads[1:],
        ]
    return answer(scene.log(), load())


def test_the_screen_shows_the_chain_the_suspect_and_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    view.answer(chained())
    shown = capsys.readouterr().out
    assert "1. 80000100 of app1.exe waits for 1 min 41 s on mutant" in shown
    assert "3. 80000300 of app3.exe waits for 1 min 43 s on driver" in shown
    assert "2 thread(s) wait behind the last one" in shown
    assert "suspect: driver FooDrv" in shown
    assert "[line 31]" in shown


def test_the_screen_says_that_nothing_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    view.answer(answer(DebuggerLog(lines=3), load()))
    assert "no known pattern of a hang" in capsys.readouterr().out


def test_json_has_a_schema_and_a_line_for_each_claim(capsys: pytest.CaptureFixture[str]) -> None:
    view.as_json(CaseTriage([(Path("kd.log"), chained())]))
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hang-collector/triage/1"
    assert document["file"] == "kd.log"
    assert [link["thread"] for link in document["chain"]] == ["80000100", "80000200", "80000300"]
    assert all(link["line"] for link in document["chain"])
    assert all(finding["lines"] for finding in document["findings"])
    assert document["culprit"]["module"] == "FooDrv"


def test_a_hostile_name_acts_on_neither_the_terminal_nor_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    found = chained(image=HOSTILE)
    view.answer(found)
    assert "\x1b" not in capsys.readouterr().out
    html = page(HOSTILE, found, dict.fromkeys(evidence(found), HOSTILE))
    assert "<script" not in html
    assert "\x1b" not in html


def test_the_page_draws_each_link_and_quotes_its_line() -> None:
    found = chained()
    html = page("kd.log", found, {31: "Mutant - owning thread 80000200"})
    assert html.count("<rect") == 3
    assert "Mutant - owning thread 80000200" in html
    assert not re.search(r"(?:src|href)=\"(?!https://)", html)


def test_the_page_closes_the_circle_of_a_deadlock() -> None:
    (chain,) = chained(closed=True).chains
    assert drawing(chain).cycle
    assert "a deadlock" in page("kd.log", chained(closed=True), {})


def test_a_chain_of_thousands_is_drawn_in_part() -> None:
    scene = Scene()
    scene.chain(list(range(1, 2001)), ["mutant"] * 2000)
    (chain,) = answer(scene.log(), load()).chains
    drawn = drawing(chain)
    assert len(drawn.boxes) + drawn.hidden == 2000
    assert len(drawn.boxes) < 50


def test_a_thread_alone_has_nobody_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    view.answer(answer(DebuggerLog(threads=(blocked(1),)), load()))
    assert "0 thread(s) wait behind" in capsys.readouterr().out
