from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.cli.app import run
from collector.cli.exit_codes import ExitCode

WAITER = """\
THREAD 87432520  Cid 0b10.0dd8  Teb: 7ff83000 Win32Thread: 00000000 WAIT: (Unknown) UserMode Non-Alertable
    8743270c  Semaphore Limit 0x1
Waiting for reply to LPC MessageId 006b4d21:
Owning Process            87581c78       Image:         client.exe
Wait Start TickCount      4093415        Ticks: 659565 (0:02:51:45.703)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "kd.log"
    path.write_text(WAITER, encoding="utf-8")
    return path


def test_a_log_is_answered_as_a_table_json_and_html(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["triage", str(log)]) == ExitCode.COMPLETE
    assert "waits for 2 h 51 min on lpc 006b4d21" in " ".join(capsys.readouterr().out.split())
    assert run(["triage", str(log), "--format", "json"]) == ExitCode.COMPLETE
    assert json.loads(capsys.readouterr().out)["patterns"][0] == "wait_chain_lpc"
    assert run(["triage", str(log), "--format", "html"]) == ExitCode.COMPLETE
    html = capsys.readouterr().out
    assert html.startswith("<!doctype html>")
    assert "Waiting for reply to LPC MessageId 006b4d21:" in html


def test_a_log_in_utf_16_reads_the_same(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text(WAITER, encoding="utf-16")
    assert run(["triage", str(log), "--format", "json"]) == ExitCode.COMPLETE
    assert json.loads(capsys.readouterr().out)["chain"][0]["cid"] == "0b10.0dd8"


def test_the_logs_of_a_case_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data" / "logs"
    folder.mkdir(parents=True)
    (folder / "kd.log").write_text(WAITER, encoding="utf-8")
    (folder / "other.txt").write_text("a note\n", encoding="utf-8")
    assert run(["triage", str(tmp_path), "--format", "json"]) == ExitCode.COMPLETE
    assert json.loads(capsys.readouterr().out)["file"] == "kd.log"


@pytest.mark.parametrize("content", [b"", b"\x7fELF\x02\x01" + bytes(range(256)) * 40, b"plain words\n" * 9])
def test_what_is_no_log_is_refused_with_what_to_do(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kd.log"
    path.write_bytes(content)
    assert run(["triage", str(path)]) != ExitCode.COMPLETE
    assert "hint:" in capsys.readouterr().err


def test_the_first_script_asks_for_everything_and_the_second_for_what_is_missing(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["triage", "script", "kd"]) == ExitCode.COMPLETE
    first = capsys.readouterr().out
    assert "!process 0 ff\n" in first
    assert "!locks\n" in first
    assert run(["triage", "script", "kd", "--after", str(log)]) == ExitCode.COMPLETE
    second = capsys.readouterr().out
    assert "!lpc message 6b4d21\n" in second
    assert "!process 0 ff\n" not in second


@pytest.mark.parametrize("words", [["script"], ["script", "gdb"], ["kd.log", "kd"], ["kd.log", "-f", "xml"]])
def test_a_wrong_command_line_is_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["triage", *words]) == ExitCode.USAGE
    assert capsys.readouterr().err
