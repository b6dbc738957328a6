"""The history over each database that it can be kept in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from collector.fleet import store
from collector.fleet.store import History, default_url
from collector.fleet.tables import METADATA
from collector.model.result import Outcome
from collector.model.verdict import Level
from tests.peers.postgresql import postgresql
from tests.unit.fleet.audits import audit, check


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return default_url(tmp_path / "cases")
    place = str(request.getfixturevalue("server"))
    engine = create_engine(place)
    with engine.begin() as connection:
        connection.execute(text("drop table if exists audits, alembic_version"))
    engine.dispose()
    return place


def test_an_audit_comes_back_as_it_was(url: str) -> None:
    one = audit("db01", check("nmi", Level.CRITICAL, "\x1b[2J 💥 'quoted' \x00"), level=Level.CRITICAL)
    with History(url) as history:
        history.record([one])
    with History(url) as history:
        assert history.last(["db01", "db02"]) == {"db01": one}


def test_the_last_audit_is_the_newest_in_which_the_host_answered(url: str) -> None:
    with History(url) as history:
        history.record([audit("db01", nights=2, level=Level.WARNING)])
        history.record([audit("db01", nights=1)])
        history.record([audit("db01", nights=3, level=Level.UNKNOWN, outcome=Outcome.UNREACHABLE)])
        assert history.last(["db01"]) == {"db01": audit("db01", nights=2, level=Level.WARNING)}


def test_a_host_that_never_answers_does_not_push_its_last_answer_out(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "KEEP", 3)
    with History(url) as history:
        history.record([audit("db01"), audit("db02")])
        for night in range(1, 9):
            history.record(
                [audit("db01", nights=night, outcome=Outcome.TIMEOUT), audit("db02", nights=night)]
            )
        last = history.last(["db01", "db02"])
    assert (last["db01"], last["db02"]) == (audit("db01"), audit("db02", nights=8))
    engine = create_engine(url)
    with engine.connect() as connection:
        counted = connection.execute(text("select host, answered, count(*) from audits group by 1, 2"))
        assert sorted(tuple(row) for row in counted) == [("db01", 0, 3), ("db01", 1, 1), ("db02", 1, 3)]
    engine.dispose()


def test_more_hosts_than_a_query_takes_lose_none(url: str) -> None:
    audits = [audit(f"db{number:04}") for number in range(1203)]
    with History(url) as history:
        history.record(audits)
        assert history.last([one.host for one in audits]) == {one.host: one for one in audits}


def test_the_migrations_make_the_tables_that_the_program_uses(url: str) -> None:
    with History(url):
        pass
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
