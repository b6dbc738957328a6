from __future__ import annotations

from pathlib import Path

import pytest

from collector.cli.app import run
from collector.cli.exit_codes import ExitCode

SETTINGS = """\
cases: ./cases
hosts:
  web01: {platform: linux, address: a, tags: [web], channels: [{type: ssh}]}
  web02: {platform: linux, address: b, tags: [web], channels: [{type: ssh}]}
  db01: {platform: linux, address: c, controllers: [{type: ipmi}]}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "hang-collector.yaml"
    path.write_text(SETTINGS)
    return str(path)


def test_hosts_that_are_reached_alike_are_one_row(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inventory", "list", "--config", config]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[1:] == [
        ["web[01-02]", "linux", "web", "-", "ssh"], ["db01", "linux", "-", "ipmi", "-"], ["3", "hosts"],
    ]  # fmt: skip
    assert run(["inventory", "list", "-g", "web", "--config", config]) == 0
    assert "db01" not in capsys.readouterr().out
    assert run(["inventory", "list", "db01", "-g", "web", "--config", config]) == ExitCode.USAGE


def test_another_list_is_printed_as_hosts_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "hosts.csv"
    source.write_text("name,bmc\ndb01,192.0.2.110\n")
    assert run(["inventory", "import", "list", str(source), "--login", "root", "--bmc-login", "bmc"]) == 0
    assert capsys.readouterr().out == (
        "hosts:\n"
        '  db01: {platform: linux, address: db01, controllers: [{type: ipmi, address: "192.0.2.110", '
        "credential: bmc}], channels: [{type: ssh, credential: root}]}\n"
    )
    assert list(tmp_path.iterdir()) == [source]
    assert run(["inventory", "import", "list", str(tmp_path / "none.csv")]) == ExitCode.CONFIG
