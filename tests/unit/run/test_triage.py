"""What a triage leaves in a case, and that nothing of it can spoil one."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from collector.adapters.registry import Connections
from collector.case import manifest, report
from collector.case.folder import CaseFolder
from collector.case.lock import hold
from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from collector.errors import CaseLockedError, DumpError
from collector.model.host import Host, Platform
from collector.playbook.schema import Playbook
from collector.run.history import summary
from collector.run.incident import Incident, Silent
from collector.run.triage import SCRIPT, add_to_case, names_its_functions, triage, triage_case
from collector.triage import isolated
from collector.triage.modules import load
from collector.triage.summary import Summary
from tests.scenarios.harness import PLAYBOOK, Scene, a_dump

WAITER = """\
THREAD 87432520  Cid 0b10.0dd8  Teb: 7ff83000 Win32Thread: 00000000 WAIT: (Unknown) UserMode Non-Alertable
    8743270c  Semaphore Limit 0x1
Waiting for reply to LPC MessageId 006b4d21:
Owning Process            87581c78       Image:         client.exe
Wait Start TickCount      4093415        Ticks: 659565 (0:02:51:45.703)
"""
SAID = Summary("FooDrv: it waits", "", "", (), (), (), ())


def a_case(folder: Path, platform: str, *, closed: bool = True, log: str = "") -> CaseFolder:
    case = CaseFolder.create(folder, "db01", datetime.now(UTC))
    case.journal.append("case.opened", host="db01", platform=platform, dry_run=False)
    if log:
        kept = case.write("logs/messages.txt", log.encode())
        case.journal.append("artifact", path=kept.path, bytes=kept.bytes, sha256=kept.sha256, kind="log")
    if closed:
        case.journal.append("case.closed", outcome="success", detail="the dump is home", hint="", code="")
        report.write_report(case)
        manifest.seal(case)
    return case


def with_log(case: CaseFolder, text: str = WAITER) -> Path:
    path = case.path / "data" / "logs" / "kd.log"
    path.write_text(text, encoding="utf-8")
    return path


def incident(case: CaseFolder, platform: Platform) -> Incident:
    host = Host("db01", platform, "192.0.2.10", (), ())
    return Incident(
        host, Playbook.model_validate(PLAYBOOK), case, Connections({}, print), Silent(), lambda *_: []
    )


def ask(case: CaseFolder) -> bool:
    return add_to_case(case.path, triage_case(case.path, load()))


def test_the_answer_is_a_section_of_the_report_and_the_case_still_verifies(tmp_path: Path) -> None:
    case = a_case(tmp_path, "windows")
    with_log(case)
    assert not manifest.verify(case.path).ok  # a log that nobody listed
    assert run(["triage", str(case.path)]) == ExitCode.COMPLETE
    for name in ("report.md", "report.html"):
        told = (case.path / name).read_text(encoding="utf-8")
        assert "What hung it?" in told
        assert "waits for 2 h 51 min on lpc 006b4d21" in told
    assert manifest.verify(case.path).problems == ()
    assert summary(case.path).outcome == "success"
    assert "**success**" in (case.path / "report.md").read_text(encoding="utf-8")


def test_the_same_question_adds_nothing_and_another_answer_takes_the_place_of_the_first(
    tmp_path: Path,
) -> None:
    case = a_case(tmp_path, "windows")
    with_log(case)
    assert ask(case)
    before = {path: path.read_bytes() for path in case.path.iterdir() if path.is_file()}
    assert not ask(CaseFolder.open(case.path))
    assert before == {path: path.read_bytes() for path in case.path.iterdir() if path.is_file()}
    with_log(case, WAITER.replace("client.exe", "other.exe"))
    assert ask(CaseFolder.open(case.path))
    told = (case.path / "report.md").read_text(encoding="utf-8")
    assert "process other.exe" in told
    assert "process client.exe" not in told.partition("## Timeline")[0]
    assert manifest.verify(case.path).problems == ()


def test_a_case_that_is_not_finished_is_not_sealed_by_it(tmp_path: Path) -> None:
    case = a_case(tmp_path, "windows", closed=False)
    with_log(case)
    assert ask(case)
    assert not manifest.verify(case.path).sealed
    assert summary(case.path).outcome == "open"


def test_a_run_on_the_host_keeps_the_triage_out_of_the_case(tmp_path: Path) -> None:
    case = a_case(tmp_path, "windows")
    with_log(case)
    found = triage_case(case.path, load())
    with hold(tmp_path, ["host db01"]), pytest.raises(CaseLockedError):
        add_to_case(case.path, found)
    assert manifest.verify(case.path).problems[0].file == "data/logs/kd.log"


def test_what_a_linux_host_logs_is_no_text_of_a_debugger_and_what_a_person_adds_is(tmp_path: Path) -> None:
    case = a_case(tmp_path, "linux", log=WAITER)
    assert triage_case(case.path, load()).logs == []
    with_log(case)
    assert [path.name for path, _ in triage_case(case.path, load()).logs] == ["kd.log"]


def test_an_altered_dump_is_not_made_good_by_a_triage(tmp_path: Path) -> None:
    case = a_case(tmp_path, "windows", log="as it was\n")
    (case.path / "data" / "logs" / "messages.txt").write_text("as it is not\n")
    with_log(case)
    assert ask(case)
    assert [problem.file for problem in manifest.verify(case.path).problems] == ["data/logs/messages.txt"]


def test_a_windows_case_says_what_to_run_in_the_debugger(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.host = replace(scene.host, platform=Platform.WINDOWS)
    case = a_case(tmp_path / "cases", "windows", closed=False)
    triage(incident(case, Platform.WINDOWS), ())
    script = (case.path / "data" / SCRIPT).read_text(encoding="utf-8")
    assert "!process 0 ff\n" in script
    assert ".logopen data\\logs\\hang-pass1.log\n" in script
    case.journal.append("dump.found", path="C:\\Windows\\MEMORY.DMP", bytes=7, modified=1.0)
    case.journal.append(
        "artifact", path="data/dump/m", bytes=7, sha256="", source="C:\\Windows\\MEMORY.DMP", kind="dump"
    )
    case.journal.append("dump.checked", path="data/dump/m", state="complete", complete=True)
    told = report.markdown(case.name, case.journal.entries())
    assert '`kd -z data/dump/m -c "$$><data/next/hang-pass1.kd;q"`' in told
    assert "crash VMLINUX" not in told


def test_the_script_of_a_case_is_no_log_of_it(tmp_path: Path) -> None:
    case = a_case(tmp_path, "windows", closed=False)
    triage(incident(case, Platform.WINDOWS), ())
    assert triage_case(case.path, load()).logs == []


def test_the_dump_of_a_collection_is_asked_and_the_answer_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.run.triage.names_its_functions", lambda _: True)
    monkeypatch.setattr(isolated, "available", lambda: True)
    monkeypatch.setattr(isolated, "summary_of", lambda *_: SAID)
    scene = Scene(tmp_path)
    assert scene.collect().code == ""
    (told,) = scene.events("triage")
    assert told["suspect"] == "FooDrv: it waits"
    assert scene.case is not None
    assert "FooDrv: it waits" in (scene.case.path / "report.md").read_text(encoding="utf-8")
    assert manifest.verify(scene.case.path).ok


def test_a_triage_that_fails_spoils_no_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.run.triage.names_its_functions", lambda _: True)
    monkeypatch.setattr(isolated, "available", lambda: True)
    monkeypatch.setattr(isolated, "triage_vmcore", None)
    scene = Scene(tmp_path)
    assert scene.collect().code == ""
    assert scene.events("triage") == []
    assert any("triage of data/dump" in str(told["text"]) for told in scene.events("notice"))


def test_a_dump_that_names_no_functions_is_not_asked(tmp_path: Path) -> None:
    for name, content in (("a", a_dump()), ("b", b""), ("c", b"\x7fELF"), ("d", b"KDUMP   " * 900)):
        (tmp_path / name).write_bytes(content)
        assert not names_its_functions(tmp_path / name)


def _hangs(out: Connection, _: Path) -> None:
    signal.pause()


def _dies(out: Connection, _: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _stops_halfway(out: Connection, _: Path) -> None:
    os.write(out.fileno(), b"\0\0\1\0half")
    signal.pause()


@pytest.mark.skipif(sys.platform == "win32", reason="drgn has wheels for Linux only")
@pytest.mark.parametrize("child", [_hangs, _dies, _stops_halfway])
def test_a_reader_that_hangs_or_dies_ends_in_an_error_and_in_no_process(
    child: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(isolated, "_answer", child)
    with pytest.raises(DumpError, match="ended without an answer"):
        isolated.summary_of(tmp_path / "vmcore", 3.0)


@pytest.mark.skipif(not isolated.available(), reason="drgn has wheels for Linux only")
def test_what_is_no_dump_is_said_through_the_border_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "vmcore").write_bytes(b"KDUMP   " + bytes(8000))
    with pytest.raises(DumpError, match="cannot be opened as a Linux dump"):
        isolated.summary_of(tmp_path / "vmcore", 60.0)
