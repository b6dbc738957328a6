"""`inspect` on files: what it says, and that only a whole dump ends with 0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from tests.unit.dump import dumps


@pytest.fixture
def vmcore(tmp_path: Path) -> Path:
    path = tmp_path / "vmcore"
    path.write_bytes(dumps.kdump())
    return path


def test_a_whole_dump_is_complete(vmcore: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(vmcore)]) == ExitCode.COMPLETE
    said = capsys.readouterr().out
    assert "vmcore: complete: all 3 pages are there" in said
    assert "2026-11-21 03:12:44 UTC" in said


def test_a_dump_that_was_cut_says_what_to_do(vmcore: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vmcore.write_bytes(dumps.kdump()[:-1])
    assert run(["inspect", str(vmcore)]) == ExitCode.PARTIAL
    said = capsys.readouterr().out
    assert "vmcore: truncated: it ends 1 bytes early" in said
    assert "next: Keep it" in said


def test_json_has_every_fact(vmcore: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(vmcore), "--format", "json"]) == ExitCode.COMPLETE
    (dump,) = json.loads(capsys.readouterr().out)["dumps"]
    assert (dump["state"], dump["format"], dump["remedy"]) == ("complete", "kdump-compressed", "")
    assert dump["identity"]["hostname"] == "db01"
    assert dump["identity"]["details"]["dump_level"] == 31


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", ExitCode.PARTIAL), (b"KDUMP   " + bytes(5000), ExitCode.PARTIAL)],
)
def test_what_is_no_dump_is_not_complete(vmcore: Path, content: bytes, code: ExitCode) -> None:
    vmcore.write_bytes(content)
    assert run(["inspect", str(vmcore)]) == code


def test_a_folder_that_is_no_case_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(tmp_path)]) == ExitCode.CASE
    assert "is not a case folder" in capsys.readouterr().err
