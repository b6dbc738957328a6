"""Hosts that answer the audit with anything but facts, over OpenSSH: each is one row, and nothing acts."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from collector.checks.catalog import CHECKS
from collector.cli.app import run
from collector.facts.linux_script import NAMES
from tests.peers.sshd import Sshd, sshd

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e<script>alert(1)</script>|'\"`$(reboot)`"

ANSWERS = {
    "empty": b"",
    "one line of 10 MB": b"cmdline=" + b"A" * 10_000_000 + b"\n",
    "facts and then 10 MB": b"kexec_crash_loaded=1\nmachine=x86_64\n"
    + b"mounts=/dev/sda1 / xfs rw\n" * 400_000,
    "binary": random.Random(7).randbytes(300_000),
    "another language": "Zugriff verweigert: Größe überschritten\n".encode("latin-1")
    + "カーネル=壊れた\n".encode(),
    "terminal escapes": "".join(f"{name}={ESCAPES}\n{name}={ESCAPES}\n" for name in sorted(NAMES)).encode(),
    "escapes and no facts": ESCAPES.encode(),
    "made-up paths": b"os_release=ID=rhel\nkdump_conf=path /../../../etc/$(reboot);rm -rf /\nend=1\n"
    b"dumps=/etc/shadow\nkdump_image=../../../../x\nfolders=//////\nmodules=C:\\con\\nul\n"
    b"mounts=/dev/sda1 /.. xfs rw 0 0\nspace=/dev/sda1 -1 -1 " + b"9" * 400 + b" 1% /..\n",
    "a wish for a new password": b"You are required to change your password immediately.\nCurrent password: ",
}


@pytest.fixture(params=ANSWERS)
def said(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(tmp_path: Path, said: str) -> Iterator[Path]:
    """Settings for db01, whose login shell prints `said` whatever it is asked."""
    answer = tmp_path / "answer"
    answer.write_bytes(ANSWERS[said])
    with sshd(tmp_path / "sshd", f"ForceCommand=cat {answer}") as server:
        yield written(tmp_path, server)


def written(folder: Path, server: Sshd) -> Path:
    file = folder / "hang-collector.yaml"
    file.write_text(
        f"cases: {folder}/cases\n"
        f"credentials: {{key: {{username: {server.user}, private_key: 'file:{server.private_key}'}}}}\n"
        "hosts:\n"
        "  db01:\n"
        "    platform: linux\n"
        "    address: 127.0.0.1\n"
        f"    channels: [{{type: ssh, port: {server.port}, credential: key,"
        f" known_hosts: 'file:{server.known_hosts}'}}]\n"
    )
    return file


def harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def test_it_is_one_row_and_nothing_of_it_acts(
    settings: Path, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "html", "junit", "prometheus")}
    reports = [part for kind, file in files.items() for part in ("--report", f"{kind}:{file}")]
    assert run(["audit", "db01", "--config", str(settings), *reports]) in (2, 3)
    shown = capsys.readouterr()
    assert harmless(shown.out + shown.err)
    assert shown.out.startswith("db01: ")
    (row,) = json.loads(files["json"].read_text())["hosts"]
    assert row["level"] in ("critical", "unknown")
    assert len(row["reason"]) < 400
    for file in files.values():
        assert harmless(file.read_text().replace("\t", " ")), file.name
        assert file.stat().st_size < 2_000_000
    assert "<script>alert" not in files["html"].read_text()
    ElementTree.parse(files["junit"])


def test_a_plugin_says_one_line_of_it(settings: Path, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "db01", "--config", str(settings), "--format", "nagios"]) in (2, 3)
    line = capsys.readouterr().out
    assert harmless(line)
    assert line.count("\n") == 1
    assert line.count("|") <= 1


def test_no_word_of_the_host_becomes_a_command(
    settings: Path, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["audit", "db01", "--config", str(settings), "--remedy", "sh"])
    ours = {line for check in CHECKS.values() for lines in check.commands.values() for line in lines}
    commands = {line.partition("  # ")[0] for line in capsys.readouterr().out.splitlines()}
    assert {line for line in commands if line and not line.startswith("#")} <= ours


def test_a_banner_in_front_of_the_login_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    banner = tmp_path / "banner"
    banner.write_text(f"{ESCAPES}\nkexec_crash_loaded=1\nNo entry for strangers.\n" * 50)
    with sshd(tmp_path / "sshd", f"Banner={banner}") as server:
        run(["audit", "db01", "--config", str(written(tmp_path, server)), "--format", "json"])
    (row,) = json.loads(capsys.readouterr().out)["hosts"]
    assert [step["outcome"] for step in row["gathered"]] == ["success"]


def test_a_prompt_that_waits_for_a_new_password_is_a_row_by_the_deadline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = "ForceCommand=printf 'Current password: '; sleep 600"
    started = time.monotonic()
    with sshd(tmp_path / "sshd", waits) as server:
        arguments = ["--config", str(written(tmp_path, server)), "--deadline", "3", "--format", "json"]
        assert run(["audit", "db01", *arguments]) == 2
    assert time.monotonic() - started < 60
    (row,) = json.loads(capsys.readouterr().out)["hosts"]
    assert row["gathered"][-1]["outcome"] == "timeout"
