from __future__ import annotations

from datetime import timedelta

import pytest

from collector.fleet.changes import as_of, changes
from collector.model.audit import HostAudit
from collector.model.result import Outcome
from collector.model.verdict import Level
from tests.unit.fleet.audits import MIDNIGHT, audit, check

OK, WARNING, CRITICAL, UNKNOWN = Level.OK, Level.WARNING, Level.CRITICAL, Level.UNKNOWN


def told(before: HostAudit | None, now: HostAudit) -> list[tuple[str, Level | None, Level | None]]:
    found = changes({before.host: before} if before else {}, [now])
    return [(change.check, change.before, change.after) for change in found]


def test_the_same_answer_is_no_change_though_its_figures_differ() -> None:
    before = audit("db01", check("space", OK, "12 GiB free"))
    assert told(before, audit("db01", check("space", OK, "11 GiB free"), nights=1)) == []


def test_a_check_that_says_otherwise_is_a_change_and_so_is_the_verdict() -> None:
    before = audit("db01", check("nmi", OK), check("space", WARNING), level=WARNING)
    now = audit("db01", check("nmi", CRITICAL), check("space", WARNING), level=CRITICAL)
    assert told(before, now) == [("nmi", OK, CRITICAL), ("", WARNING, CRITICAL)]


def test_checks_that_come_and_go_are_changes() -> None:
    before = audit("db01", check("fence", WARNING), check("nmi", OK))
    now = audit("db01", check("nmi", OK), check("softdog", UNKNOWN))
    assert told(before, now) == [("softdog", None, UNKNOWN), ("fence", WARNING, None)]


def test_a_host_that_stops_answering_is_one_change() -> None:
    before = audit("db01", check("nmi", OK), check("space", OK))
    gone = check("nmi", UNKNOWN), check("space", UNKNOWN)
    now = audit("db01", *gone, level=UNKNOWN, outcome=Outcome.UNREACHABLE)
    assert told(before, now) == [("", OK, UNKNOWN)]


def test_a_host_that_was_never_audited_is_one_change() -> None:
    assert told(None, audit("db01", check("nmi", CRITICAL), level=CRITICAL)) == [("", None, CRITICAL)]


def test_the_worst_change_comes_first() -> None:
    before = {name: audit(name, check("nmi", OK)) for name in ("db01", "db02", "db03")}
    now = [
        audit("db01", check("nmi", UNKNOWN)), audit("db02", check("nmi", WARNING)),
        audit("db03", check("nmi", CRITICAL)),
    ]  # fmt: skip
    assert [change.host for change in changes(before, now)] == ["db03", "db02", "db01"]


@pytest.mark.parametrize(("hours", "believed"), [(0, True), (26, True), (26.001, False), (1000, False)])
def test_an_answer_that_is_too_old_is_no_answer(hours: float, believed: bool) -> None:
    one = audit("db01", check("nmi", OK), level=OK)
    seen = as_of(one, MIDNIGHT + timedelta(hours=hours), timedelta(hours=26))
    if believed:
        assert seen == one
    else:
        assert {seen.level, *(v.level for v in seen.verdicts), *(v.level for v in seen.links)} == {UNKNOWN}
        assert "it said ok: db01 is ok" in seen.reason
