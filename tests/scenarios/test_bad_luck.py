"""A failure at every stage: each ends in a clear message, a code of its own, and a truthful journal."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.adapters.fake import Life, Script
from collector.case import partfile
from collector.case.folder import CaseFolder
from collector.case.manifest import verify
from collector.cli.app import run
from collector.errors import CaseLockedError
from collector.lab.vmcore import kdump
from collector.run.collect import held
from collector.run.repair import repair_file
from tests.scenarios.harness import Scene, a_dump
from tests.unit.dump import windows_generator
from tests.unit.dump.qemu import as_qemu_writes_kdump


def scene(folder: Path, **changes: object) -> Scene:
    return Scene(folder, script=replace(Script(dump=a_dump()), **changes))  # type: ignore[arg-type]


def an_older_dump() -> bytes:
    """A whole dump of yesterday's crash, that came late under the name of today's."""
    return kdump(
        "db01", datetime.now(UTC) - timedelta(days=1), [(0.0, "Linux version 6.1.0")], filler_pages=16
    )


def an_unfinished_dump() -> bytes:
    """What makedumpfile marks when its disk is full: bit 3 of the status in its header."""
    dump = bytearray(a_dump())
    dump[0x1A8] |= 8
    return bytes(dump)


def an_encrypted_dump() -> bytes:
    """What Windows writes when it is told to encrypt its dumps."""
    return windows_generator.full(attributes=windows_generator.ENCRYPTED).data


def test_the_whole_way_ends_with_a_case_that_everybody_can_verify(tmp_path: Path) -> None:
    one = scene(tmp_path)
    result = one.collect()
    assert (result.outcome, result.code) == ("success", "")
    assert [step.step for step in result.steps] == [
        "probe", "preflight", "evidence", "trigger", "wait", "retrieve", "validate", "triage",
    ]  # fmt: skip
    case = result.case
    assert case is not None
    (dump,) = case.glob("data/dump/*/vmcore")
    assert dump.read_bytes() == one.script.dump
    assert list(case.glob("data/logs/*/vmcore-dmesg.txt"))
    assert (case / "data/evidence/before-screen.png").read_bytes().startswith(b"\x89PNG")
    assert (case / "data/logs/after-event-log.json").is_file()
    (log,) = case.glob("data/logs/*/dmesg-from-the-dump.txt")
    assert log.read_text() == "[    0.000000] Linux version 6.1.0\n"
    assert verify(case).ok
    subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=case, check=True)
    assert case.stat().st_mode & 0o777 == 0o700
    assert "db01" in (case / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"panics": False}, "wait-deadline", "nothing changed after the NMI"),
        ({"dump": None}, "no-dump", "without leaving a dump"),
        ({"dump_name": "vmcore-incomplete"}, "no-dump", "was not finished"),
        ({"comes_back": False}, "wait-deadline", "did not come back"),
        ({"dump": b"KDUMP   " + bytes(5000)}, "partial", "vmcore"),
        ({"dump_appears_after": 0.1}, "", "whole"),
    ],
)
def test_what_comes_of_the_nmi_is_told_apart(
    tmp_path: Path, changes: dict[str, object], code: str, words: str
) -> None:
    one = scene(tmp_path, **changes)
    result = one.collect()
    assert result.code == code
    assert words in result.detail
    assert bool(result.hint) == bool(code)
    assert len(one.machine.nmis) == 1
    assert result.case is not None
    assert verify(result.case).ok


def test_a_dump_that_was_not_finished_is_evidence_and_comes_home(tmp_path: Path) -> None:
    result = scene(tmp_path, dump_name="vmcore-incomplete").collect()
    assert result.case is not None
    assert list(result.case.glob("data/dump/*/vmcore-incomplete"))


def test_a_host_that_ignored_the_nmi_is_recognized_by_its_uptime(tmp_path: Path) -> None:
    one = scene(tmp_path, panics=False)
    incident = one.incident()
    from collector.run.collect import Options, collect

    observe = one.observe

    def wakes_up_after_the_nmi(targets: object, seconds: float) -> object:
        if one.machine.nmis:
            one.machine.life = Life.RUNNING
        return observe(targets, seconds)  # type: ignore[arg-type]

    result = collect(replace(incident, observe=wakes_up_after_the_nmi), Options(), lambda _: "test")  # type: ignore[arg-type]
    assert result.code == "no-dump"
    assert "has not rebooted" in result.detail


def test_a_copy_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    one = scene(tmp_path, cut_reads_after=65536)
    result = one.collect()
    assert result.code == ""
    assert result.case is not None
    (dump,) = result.case.glob("data/dump/*/vmcore")
    assert one.script.dump is not None
    assert hashlib.sha256(dump.read_bytes()).digest() == hashlib.sha256(one.script.dump).digest()
    assert len([e for e in one.events("copy.started") if str(e["path"]).endswith("/vmcore")]) == 2


def test_a_full_disk_keeps_what_is_home_and_resume_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(tmp_path)
    real = partfile.write_all

    def full(fd: int, data: bytes | memoryview) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(partfile, "write_all", full)
    result = one.collect()
    assert result.code == "storage"
    assert result.hint
    monkeypatch.setattr(partfile, "write_all", real)
    assert result.case is not None
    assert one.collect(case=CaseFolder.open(result.case)).code == ""
    assert len(one.machine.nmis) == 1
    assert verify(result.case).ok


def test_too_little_space_is_noticed_before_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene(tmp_path)
    usage = partfile.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(partfile.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    result = one.collect()
    assert result.code == "storage"
    assert "free" in result.detail


def test_two_runs_at_once_on_one_host_are_kept_apart(tmp_path: Path) -> None:
    one, alias = scene(tmp_path), Scene(tmp_path, name="db01-alias")
    with held(tmp_path / "cases", one.host):
        for host in (one.host, replace(alias.host, controllers=one.host.controllers)):
            with pytest.raises(CaseLockedError), held(tmp_path / "cases", host):
                pass
    with held(tmp_path / "cases", one.host):
        pass


def test_ctrl_c_while_waiting_leaves_a_case_that_resume_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene(tmp_path, dump_after=0.5)
    from collector.run import wait

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(wait.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.collect()
    monkeypatch.undo()
    assert [event["signal"] for event in one.events("interrupted")] == ["SIGINT"]
    assert one.case is not None
    assert (one.case.path / "report.md").is_file()
    assert one.collect(case=CaseFolder.open(one.case.path)).code == ""
    assert len(one.machine.nmis) == 1


def test_names_from_the_host_never_leave_the_case(tmp_path: Path) -> None:
    one = scene(tmp_path)
    hostile = "/var/crash/..\n\x1b[2J/vmcore"
    one.machine.files[hostile] = a_dump()
    one.collect()
    assert one.case is not None
    inside = [path for path in tmp_path.rglob("*") if "\n" in path.name or "\x1b" in path.name]
    assert inside == []
    assert not list(tmp_path.parent.glob("vmcore"))


def test_a_log_that_is_not_there_is_a_row_and_no_failure(tmp_path: Path) -> None:
    one = scene(tmp_path)
    one.machine.commands.clear()
    assert one.collect().code == ""
    (missing,) = [m for m in one.events("artifact.missing") if m["name"] == "dmesg.txt"]
    assert missing["outcome"] == "missing"
    assert "127" in str(missing["detail"])


def test_an_older_dump_is_not_taken_for_this_one(tmp_path: Path) -> None:
    one = scene(tmp_path)
    assert one.collect().code == ""
    one.machine._written = {path: at - 60 for path, at in one.machine._written.items()}
    one.machine.life, one.machine.script = Life.HUNG, replace(one.script, dump=None)
    second = one.collect()
    assert second.code == "no-dump"
    assert "is older than the NMI" in second.detail
    assert second.case is not None
    assert not list(second.case.glob("data/dump/*/*"))


def test_the_dumps_of_a_case_are_judged_by_what_the_case_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = scene(tmp_path)
    assert one.collect().code == ""
    assert one.case is not None
    assert run(["inspect", str(one.case.path), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["dumps"]
    assert (found["state"], found["identity"]["hostname"], found["note"]) == ("complete", "db01", "")


@pytest.mark.parametrize(
    ("dump", "state", "words", "remedy"),
    [
        (a_dump()[:-1], "truncated", "a dump is home, but it is truncated", "Keep it"),
        (
            an_unfinished_dump(),
            "incomplete",
            "a dump is home, but it is incomplete",
            "give the dump more room",
        ),
        (
            an_encrypted_dump(),
            "encrypted",
            "a dump is home, but it is encrypted",
            "ask whoever holds the key",
        ),
        (an_older_dump(), "stale", "a dump is home, but it is of another crash", "Look on the host"),
        (bytes(5000), "empty", "a dump is home, but it is empty", "The dump tool failed"),
        (b"hello", "unknown", "a file is home, but it is no dump that can be read", "Unpack it"),
    ],
    ids=["truncated", "incomplete", "encrypted", "stale", "empty", "unknown"],
)
def test_the_report_begins_with_the_verdict_and_what_to_do(
    tmp_path: Path, dump: bytes, state: str, words: str, remedy: str
) -> None:
    one = scene(tmp_path, dump=dump)
    result = one.collect()
    assert result.code == "partial"
    assert [event["state"] for event in one.events("dump.checked")] == [state]
    looked = "complete" if state == "stale" else state
    assert [event["state"] for event in one.events("dump.looked")] == [looked]
    assert result.case is not None
    first = (result.case / "report.md").read_text().splitlines()[0]
    assert words in first
    assert remedy in first


def test_what_was_mended_of_a_dump_stands_in_its_closed_case(tmp_path: Path) -> None:
    one = scene(tmp_path, dump=as_qemu_writes_kdump())
    result = one.collect()
    assert result.case is not None
    (dump,) = result.case.glob("data/dump/*/vmcore")
    original, copy = dump.read_bytes(), result.case / "data" / "dump" / "mended"
    assert run(["inspect", str(dump), "--repair", str(copy)]) == 0
    assert dump.read_bytes() == original
    (repaired,) = one.events("dump.repaired")
    assert repaired["path"] == dump.relative_to(result.case).as_posix()
    assert (repaired["copy"], repaired["sha256"]) == (
        str(copy),
        hashlib.sha256(copy.read_bytes()).hexdigest(),
    )
    assert "phys_base is 0 now, as VMCOREINFO says" in repaired["mended"]  # type: ignore[operator]
    assert verify(result.case).ok
    report = (result.case / "report.md").read_text()
    assert "Mended on a copy" in report
    assert "not finished" not in report

    with held(result.case.parent, one.host), pytest.raises(CaseLockedError):
        repair_file(dump, tmp_path / "another")
    assert not (tmp_path / "another").exists()


def test_the_kernels_last_words_stand_in_the_report(tmp_path: Path) -> None:
    words = "Kernel panic - not syncing: NMI: Not continuing"
    dump = kdump("db01", datetime.now(UTC), [(0.0, "Linux version 6.1.0"), (86.25, words)], filler_pages=16)
    result = scene(tmp_path, dump=dump).collect()
    assert result.case is not None
    for report in ("report.md", "report.html"):
        text = (result.case / report).read_text()
        assert f"[   86.250000] {words}" in text
        assert "the claim of our NMI, by the two clocks; it was an NMI" in text


@pytest.mark.parametrize(
    ("name", "panic", "words"),
    [
        (
            "db01",
            "hung_task: blocked tasks",
            "the machine crashed of something else at the time: panic: hung",
        ),
        ("db02", "NMI: Not continuing", "the dump calls its host db02, and the NMI went to db01"),
    ],
)
def test_a_whole_dump_that_may_not_be_ours_is_home_and_its_doubt_is_in_the_first_line(
    tmp_path: Path, name: str, panic: str, words: str
) -> None:
    log = [(86.25, f"Kernel panic - not syncing: {panic}")]
    one = scene(tmp_path, dump=kdump(name, datetime.now(UTC), log, filler_pages=16))
    result = one.collect()
    assert result.code == ""
    assert words in result.detail
    assert "of this hang" not in result.detail
    assert result.case is not None
    first = (result.case / "report.md").read_text().splitlines()[0].replace("\\", "")
    assert "home and complete" in first
    assert words in first
