"""Several hosts on the screen: alike ones together, the worst first, and nobody missing."""

from __future__ import annotations

import sys

import pytest

from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.render.audit import audits, nagios
from collector.render.fleet import Group, as_they_come, count, groups
from tests.unit.fleet.audits import audit, check

DEAD = "trigger path: ipmi://192.0.2.{0}:623: 192.0.2.{0} port 623 does not answer (no route)"
FLEET = [
    *(audit(f"web{n:02}", reason="every link holds") for n in range(1, 41)),
    audit("db01", check("KD-1", Level.CRITICAL), level=Level.CRITICAL, reason="no capture kernel (KD-1)"),
    audit("db02", check("KD-1", Level.CRITICAL), level=Level.CRITICAL, reason="no capture kernel (KD-1)"),
    audit("db03", check("KD-2", Level.WARNING), level=Level.WARNING, reason="128 MiB are little (KD-2)"),
    *(
        audit(f"old{n}", level=Level.UNKNOWN, reason=DEAD.format(n), outcome=Outcome.UNREACHABLE)
        for n in (7, 8)
    ),
]


def test_hosts_that_differ_in_addresses_and_figures_only_are_one_group() -> None:
    alike = [group for group in groups(FLEET) if group.level is Level.UNKNOWN]
    assert alike == [Group(Level.UNKNOWN, DEAD.format(7), ("old7", "old8"))]
    assert alike[0].names == "old[7-8]"


def test_two_checks_are_two_groups_although_their_figures_are_all_that_differs() -> None:
    rows = [audit("a", reason="too small: 5 MiB (KD-2)"), audit("b", reason="too small: 5 MiB (TG-2)")]
    assert [group.hosts for group in groups(rows)] == [("a",), ("b",)]


def test_no_host_is_lost_in_the_groups() -> None:
    assert sorted(host for group in groups(FLEET) for host in group.hosts) == sorted(r.host for r in FLEET)


def test_the_count_says_who_answered_and_the_worst_first() -> None:
    assert count(FLEET) == "43 of 45 answered: 2 critical, 1 warning, 2 unknown, 40 ok"


def test_the_screen_shows_the_worst_first_and_each_remedy_once(capsys: pytest.CaptureFixture[str]) -> None:
    audits(FLEET)
    shown = capsys.readouterr().out
    places = [shown.index(word) for word in ("db[01-02]", "db03", "old[7-8]", "web[01-40]")]
    assert places == sorted(places)
    assert shown.count("KD-1 db[01-02]: do something") == 1
    assert "43 of 45 answered" in shown


def test_a_plugin_says_those_that_are_alike_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    nagios(FLEET)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "CRITICAL - 43 of 45 answered: 2 critical, 1 warning, 2 unknown, 40 ok; db01: "
    )
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "CRITICAL - db[01-02]", "WARNING - db03", "UNKNOWN - old[7-8]",
    ]  # fmt: skip


def test_without_a_terminal_the_rows_pass_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(as_they_come(iter(FLEET), len(FLEET))) == FLEET
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_each_row_is_shown_as_it_comes_and_cannot_act_on_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    hostile = audit("db09", level=Level.CRITICAL, reason="said \x1b[2J\x07")
    rows = as_they_come(iter([FLEET[0], hostile]), 2)
    assert next(rows).host == "web01"
    assert "ok: web01: every link holds" in capsys.readouterr().err
    assert [row.host for row in rows] == ["db09"]
    said = capsys.readouterr().err
    assert "critical: db09: said" in said
    assert "\x1b[2J" not in said
