from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.adapters import registry
from collector.cli import config
from collector.errors import ConfigError, SecretError
from tests.unit.config.endpoints import CHANNELS, CONTROLLERS
from tests.unit.config.test_loader import WHOLE


@pytest.fixture(autouse=True)
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "controller_settings", lambda: CONTROLLERS)
    monkeypatch.setattr(registry, "channel_settings", lambda: CHANNELS)
    monkeypatch.delenv("HC_CASES", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hang-collector.yaml"
    path.write_text(WHOLE.replace("keyring:ssh/root", "env:PASSPHRASE").replace("~/.ssh/id_ed25519", "key"))
    return path


def run(*arguments: object) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(config.app, [str(argument) for argument in arguments])
    return result.output, result.exception


def test_check_counts_what_is_in_order(file: Path) -> None:
    assert run("check", "--config", file) == (f"ok: 2 hosts, 2 credentials in {file}\n", None)


def test_check_refuses_what_is_wrong(file: Path) -> None:
    file.write_text("cases: ./cases\n")
    _, error = run("check", "--config", file)
    assert isinstance(error, ConfigError)
    assert "`hosts` is missing" in str(error)


def test_check_fetches_secrets_when_asked_and_shows_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "hunter2")
    monkeypatch.delenv("PASSPHRASE", raising=False)
    (file.parent / "key").touch(0o600)
    (file.parent / "key").write_text("hunter3")
    output, error = run("check", "--secrets", "--config", file)
    assert "bmc.password: ok: env:BMC_PASSWORD\n" in output
    assert "root.private_key: ok: file:key\n" in output
    assert "root.passphrase: `env:PASSPHRASE`: there is no such environment variable\n  hint: Set" in output
    assert "hunter" not in output
    assert isinstance(error, SecretError)
    assert "1 of 3 secret references" in str(error)


def test_check_is_content_when_every_secret_is_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "hunter2")
    monkeypatch.setenv("PASSPHRASE", "hunter2")
    (file.parent / "key").touch(0o600)
    (file.parent / "key").write_text("hunter3")
    _, error = run("check", "--secrets", "--config", file)
    assert error is None


def test_path_prints_the_file_that_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HC_CONFIG", str(file))
    assert run("path") == (f"{file}\n", None)


def test_schema_is_json() -> None:
    output, _ = run("schema")
    assert json.loads(output)["required"] == ["cases", "hosts"]
