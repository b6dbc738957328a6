from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.cli import playbook
from collector.config import discovery
from collector.errors import ConfigError, PlaybookError
from collector.playbook.loader import shipped_folder

SHIPPED = (shipped_folder() / "linux-kdump.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def no_settings_file_to_find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(discovery, "places", lambda: (tmp_path / "nowhere.yaml",))
    monkeypatch.delenv("HC_CONFIG", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file whose folder of playbooks holds the shipped one, changed."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "linux-kdump.yaml").write_text(SHIPPED.replace("rounds: 2", "rounds: 7"), encoding="utf-8")
    file = tmp_path / "hang-collector.yaml"
    file.write_text(
        "cases: cases\nplaybooks: own\nhosts:\n"
        "  db01:\n    platform: linux\n    address: 192.0.2.1\n"
        "    controllers: [{type: ipmi}]\n    channels: [{type: ssh}]\n"
        "  db02: {platform: linux, address: 192.0.2.2, channels: [{type: ssh}]}\n"
    )
    return file


def run(*arguments: object) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(playbook.app, [str(argument) for argument in arguments])
    return result.output, result.exception


def test_the_shipped_playbooks_are_listed_without_a_settings_file() -> None:
    output, error = run("list")
    assert error is None
    assert "linux-kdump" in output
    assert "shipped" in output


def test_a_settings_file_that_was_named_and_is_wrong_is_not_passed_over(tmp_path: Path) -> None:
    assert isinstance(run("list", "--config", tmp_path / "absent.yaml")[1], ConfigError)


def test_a_playbook_is_shown_as_it_is_written(settings: Path) -> None:
    assert run("show", "linux-kdump") == (SHIPPED, None)
    assert "rounds: 7" in run("show", "linux-kdump", "-c", settings)[0]


def test_an_unknown_playbook_is_refused_with_the_nearest_name() -> None:
    _, error = run("show", "linux-kdump-via-impi")
    assert isinstance(error, PlaybookError)
    assert error.hint == "Did you mean linux-kdump?"


def test_a_file_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "linux-kdump.yaml"
    file.write_text(SHIPPED, encoding="utf-8")
    assert run("check", file)[1] is None
    file.write_text(SHIPPED.replace("grace", "grease"), encoding="utf-8")
    assert "did you mean `grace`" in str(run("check", file)[1])


def test_the_playbook_of_a_host_is_named(settings: Path) -> None:
    assert run("select", "db01", "-c", settings) == ("linux-kdump\n", None)


def test_the_choice_is_explained(settings: Path) -> None:
    output, error = run("select", "db01", "--explain", "-c", settings)
    assert error is None
    assert output.startswith("linux-kdump: it is for linux, and the host has the controller ipmi")
    assert "in place of the shipped one" in output


def test_a_host_that_no_playbook_fits_is_told_why(settings: Path) -> None:
    _, error = run("select", "db02", "-c", settings)
    assert isinstance(error, PlaybookError)
    assert error.host == "db02"
    assert (
        "it needs a controller of type ipmi or hyperv or vsphere or esxi-vm, and the host has none"
        in error.message
    )


def test_the_schema_is_json() -> None:
    output, error = run("schema")
    assert error is None
    assert json.loads(output)["title"] == "Playbook"
