from __future__ import annotations

import sys
from pathlib import Path

import pytest

from collector.config import discovery
from collector.config.discovery import FILE_NAME, locate, places, search
from collector.errors import ConfigError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder, a user folder and a system folder of our own, without a settings file."""
    for name in ("here", "user", "system"):
        (tmp_path / name).mkdir(mode=0o755)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("HC_CONFIG", raising=False)
    own = tuple(folder / FILE_NAME for folder in (Path(), tmp_path / "user", tmp_path / "system"))
    monkeypatch.setattr(discovery, "places", lambda: own)


def test_the_flag_wins_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(FILE_NAME).touch()
    monkeypatch.setenv("HC_CONFIG", "environment.yaml")
    assert locate(Path("flag.yaml")) == Path("flag.yaml")


def test_the_environment_wins_over_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(FILE_NAME).touch()
    monkeypatch.setenv("HC_CONFIG", "environment.yaml")
    assert locate() == Path("environment.yaml"), "even where it does not exist: it was named"


def test_an_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(FILE_NAME).touch()
    monkeypatch.setenv("HC_CONFIG", "")
    assert locate() == Path(FILE_NAME)


@pytest.mark.parametrize(
    ("present", "found"),
    [(["here", "user", "system"], "here"), (["user", "system"], "user"), (["system"], "system")],
)
def test_the_nearest_place_wins(present: list[str], found: str, tmp_path: Path) -> None:
    for name in present:
        (tmp_path / name / FILE_NAME).touch()
    assert locate().absolute() == tmp_path / found / FILE_NAME


def test_no_file_at_all_says_where_it_was_looked_for(tmp_path: Path) -> None:
    assert search() is None
    with pytest.raises(ConfigError) as caught:
        locate()
    assert str(tmp_path / "user" / FILE_NAME) in caught.value.hint
    assert "--config" in caught.value.hint


@posix_only
def test_a_file_that_anybody_may_have_put_here_is_refused_unless_it_is_named(tmp_path: Path) -> None:
    Path(FILE_NAME).touch()
    (tmp_path / "here").chmod(0o1777)
    with pytest.raises(ConfigError, match="anybody"):
        locate()
    assert locate(Path(FILE_NAME)) == Path(FILE_NAME)


@posix_only
def test_the_system_folder_is_etc() -> None:
    assert Path("/etc/hang-collector") / FILE_NAME in places()
    assert places()[0] == Path(FILE_NAME)
