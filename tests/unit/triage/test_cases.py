"""Logs with what experts concluded from them, from the folder that HC_TRIAGE_CASES names.

The folder holds `cases.jsonl` and one text a case. The texts are others' and no part of this project.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from collector.render.triage import document
from collector.triage.answer import triage

FOLDER = os.environ.get("HC_TRIAGE_CASES")
CASES: list[dict[str, Any]] = (
    [json.loads(line) for line in (Path(FOLDER) / "cases.jsonl").read_text("utf-8").splitlines() if line]
    if FOLDER
    else []
)
NONE = pytest.param(None, marks=pytest.mark.skip(reason="HC_TRIAGE_CASES names no folder of published logs"))
every_case = pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES] or [NONE])


def answer(case: dict[str, Any]) -> Any:
    with (Path(FOLDER or "") / f"{case['id']}.txt").open(encoding="utf-8", errors="replace") as lines:
        return document(triage(lines))


def same(found: object, expected: object) -> bool:
    """Equal, or equal as numbers: addresses and ids have leading zeros in one place and none in another."""
    if isinstance(expected, float):
        return isinstance(found, float) and abs(found - expected) < 0.01
    left, right = str(found).lower(), str(expected).lower()
    try:
        return [int(part, 16) for part in left.split(".")] == [int(part, 16) for part in right.split(".")]
    except ValueError:
        return left == right


@every_case
def test_every_pattern_that_the_text_allows_is_found_and_none_that_must_not_be(case: dict[str, Any]) -> None:
    found = set(answer(case)["patterns"])
    assert set(case["expected"]["patterns_auto"]) - found == set()
    assert set(case["expected"]["not_expected"]) & found == set()
    assert found == set() or case["kind"] != "control"


@every_case
def test_the_chain_is_exact(case: dict[str, Any]) -> None:
    found = [link for chain in answer(case)["chains"] for link in chain["links"]]
    expected = case["expected"]["chain"]
    compared = ("thread", "process", "cid", "waits_on", "object", "wait_s", "count")
    assert len(found) == len(expected)
    for link, wanted in zip(found, expected, strict=True):
        wrong = {
            key: (link.get(key), wanted[key])
            for key in compared
            if key in wanted and not same(link.get(key), wanted[key])
        }
        assert wrong == {}


@every_case
def test_the_culprit_is_named(case: dict[str, Any]) -> None:
    found, expected = answer(case)["culprit"], case["expected"]["culprit"]
    if expected is None:
        assert found is None
        return
    compared = ("kind", "module", "process", "thread", "lock", "tag")
    wrong = {
        key: (found.get(key), expected[key])
        for key in compared
        if key in expected and not same(found.get(key), expected[key])
    }
    assert wrong == {}
