"""What is wrong with a history is said; tests/contract/test_history.py holds what is right with it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from collector.errors import ConfigError, MissingExtraError, StorageError
from collector.fleet.store import History, default_url
from tests.unit.fleet.audits import audit


@pytest.fixture
def url(tmp_path: Path) -> str:
    return default_url(tmp_path / "cases")


def test_the_file_is_for_its_owner_alone(url: str) -> None:
    with History(url):
        pass
    path = Path(url.removeprefix("sqlite:///"))
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [b"not a database, whatever its name says", b"\xff" * 5000])
def test_a_file_that_is_no_database_is_named(url: str, damage: bytes) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(StorageError, match=r"history\.sqlite cannot be used: file is not a database"):
        History(url)
    assert path.read_bytes() == damage


def test_a_history_of_a_newer_version_is_left_alone(url: str) -> None:
    with History(url):
        pass
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("update alembic_version set version_num = 'of_next_year'")
    database.close()
    with pytest.raises(StorageError) as caught:
        History(url)
    assert "newer version" in caught.value.hint


def test_a_row_that_cannot_be_read_is_an_error_and_no_verdict(url: str) -> None:
    with History(url) as history:
        history.record([audit("db01")])
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            database.execute("""update audits set document = '{"host": "db01"}'""")
        database.close()
        with pytest.raises(StorageError, match="cannot be used"):
            history.last(["db01"])


@pytest.mark.parametrize("wrong", ["", "history.sqlite", "nosuchdatabase://db01/hc"])
def test_what_is_no_url_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises((ConfigError, StorageError, MissingExtraError)):
        History(wrong)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        History("postgresql+psycopg://hc:hunter2@db01/hc")
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"
    assert ".pgpass" in caught.value.hint


def test_without_the_extra_its_name_is_said() -> None:
    script = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from collector.errors import MissingExtraError\n"
        "from collector.fleet.store import History\n"
        "try: History('sqlite://')\n"
        "except MissingExtraError as error: print(error, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "hang-collector[fleet]" in done.stdout
