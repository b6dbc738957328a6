"""Logs that a Windows host writes out for a case, over WinRM and Samba: what comes home, and what stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.registry import Connections
from collector.adapters.smb import SmbEndpoint
from collector.adapters.winrm import WinrmEndpoint
from collector.case import rows
from collector.case.folder import CaseFolder
from collector.case.journal import Entry, Journal
from collector.model.host import Host, Platform
from collector.playbook.schema import Playbook
from collector.run.incident import Incident, Silent
from collector.run.retrieve import retrieve
from tests.peers.samba import Smbd, drive, smb_login
from tests.peers.windows_exports import WindowsExports
from tests.peers.winrm_login import winrm_keys, winrm_login
from tests.peers.wsman import Wsman, status, wsman
from tests.peers.wsman_powershell import Answer

HOUR, DAY = 3600.0, 86_400.0
WHEA = "Microsoft-Windows-Kernel-WHEA/Operational"
LOGS = [
    {"name": "System.evtx", "event_log": "System", "before": "72h", "deadline": "20s"},
    {"name": "Whea.evtx", "event_log": WHEA, "deadline": "20s"},
    {"name": "Cluster.log", "cluster_log": True, "before": "2h", "deadline": "20s"},
]


@dataclass
class Rig:
    host: WindowsExports
    winrm: Wsman
    smb: Smbd
    folder: Path
    case: CaseFolder

    def incident(self, *logs: dict[str, object]) -> Incident:
        steps = {
            "probe": {"rounds": 1, "pause": "0s", "deadline": "1s"},
            "preflight": {"deadline": "1s"},
            "evidence": {"deadline": "1s", "collect": []},
            "trigger": {"deadline": "1s"},
            "wait": {"deadline": "1s", "every": "1s", "grace": "0s"},
            "retrieve": {"deadline": "90s", "stall": "20s", "dumps": ["/C:/x"], "logs": list(logs) or LOGS},
            "validate": {},
        }
        when = {"platform": "windows", "controllers": ["hyperv"], "channels": ["smb"]}
        playbook = Playbook.model_validate({"name": "p", "summary": "s", "when": when, "steps": steps})
        login, files = winrm_login(self.folder), smb_login(self.smb)
        channels = (
            WinrmEndpoint.model_validate({**winrm_keys(self.winrm), "credential": "in"}),
            SmbEndpoint(address="127.0.0.1", port=self.smb.port, credential="files"),
        )
        host = Host("sql01", Platform.WINDOWS, "127.0.0.1", channels=channels)
        connections = Connections({"in": login, "files": files}, print)
        return Incident(host, playbook, self.case, connections, Silent(), lambda *_: [])

    def run(self, *logs: dict[str, object], ago: float = 600.0) -> tuple[str, ...]:
        """Retrieve for an incident so many seconds ago; what failed."""
        since = datetime.now(UTC) - timedelta(seconds=ago)
        return retrieve(self.incident(*logs), [], [], since).failures

    def home(self) -> dict[str, str]:
        """The logs in the case, by name."""
        files = (self.case.path / str(row["path"]) for row in self.events("artifact"))
        return {file.name: file.read_bytes().decode().removeprefix("ElfFile\0") for file in files}

    def events(self, name: str) -> list[dict[str, Any]]:
        return [dict(entry.data) for entry in self.case.journal.all(name)]

    def missing(self) -> dict[str, str]:
        return {str(row["name"]): str(row["outcome"]) for row in self.events("artifact.missing")}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    root = tmp_path / "C"
    whole = root / "Windows" / "System32" / "winevt" / "Logs"
    whole.mkdir(parents=True)
    (whole / "System.evtx").write_text("months of it")
    (whole / "Microsoft-Windows-Kernel-WHEA%4Operational.evtx").write_text("years of it")
    host = WindowsExports(
        root,
        {
            "System": [(90 * DAY, "ancient"), (2 * DAY, "a disk timed out"), (60.0, "volmgr 162")],
            WHEA: [(2 * DAY, "an old error"), (60.0, "a bus error")],
        },
    )

    def scripted(script: str, arguments: Any) -> Answer:
        return host.answer(script, arguments) or Answer(1, stderr="not recognized")

    case = CaseFolder.create(tmp_path / "cases", "sql01", datetime.now(UTC))
    with wsman(tmp_path / "wsman", scripted) as winrm, drive(tmp_path / "smb", root) as smb:
        yield Rig(host, winrm, smb, tmp_path, case)


def test_the_events_around_the_incident_come_home_and_the_folder_is_gone(rig: Rig) -> None:
    rig.host.clustered = True
    assert rig.run() == ()
    assert rig.home() == {
        "System.evtx": "a disk timed out\nvolmgr 162",
        "Whea.evtx": "a bus error",
        "Cluster.log": "the last 131 minutes of this node",
    }
    assert rig.host.folders == []
    assert [entry["folder"] for entry in rig.events("export.removed")] == [
        f"C:\\ProgramData\\hang-collector\\{rig.case.name}-logs"
    ]
    sources = {row["path"]: row["source"] for row in rig.events("artifact")}
    assert sources["data/logs/Whea.evtx"] == f"event log {WHEA}"


def test_the_window_is_by_the_host_s_clock_and_grows_with_the_time_since_the_incident(rig: Rig) -> None:
    rig.host.fast = timedelta(days=400)
    assert rig.run(LOGS[0], ago=90 * DAY) == ()
    assert rig.home()["System.evtx"] == "ancient\na disk timed out\nvolmgr 162"
    (made,) = rig.events("export.made")
    since = datetime.fromisoformat(made["since"])
    assert abs(since - datetime.now(UTC) - timedelta(days=400 - 93)) < timedelta(minutes=2)


def test_a_log_that_the_host_does_not_have_is_missing_and_no_failure(rig: Rig) -> None:
    del rig.host.logs[WHEA]
    assert rig.run() == ()
    assert rig.missing() == {"Whea.evtx": "missing", "Cluster.log": "missing"}
    assert list(rig.home()) == ["System.evtx"]


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(0, b'{"failed": "error", "words": "Access is denied."}\r\n'),
        Answer(1, stderr="Access is denied."),
        Answer(0, b'{"path": "C:\\\\x"}\r\n'),
        Answer(0, b'{"path": "C:\\\\x", "size": -1, "modified": 1}\r\n'),
        Answer(0, b'{"path": "C:\\\\x", "size": 1000000000000000, "modified": 1}\r\n'),
        Answer(0, b'{"path": "C:\\\\x", "size": 1e999, "modified": 1}\r\n'),
        Answer(0, b"nonsense\r\n"),
        Answer(0, after=60.0),
    ],
    ids=["refused", "failed", "half an answer", "no size", "too large", "endless", "no answer", "hung"],
)
def test_of_an_export_that_fails_the_whole_file_comes_home_and_the_others_are_not_kept_up(
    rig: Rig, trouble: Answer
) -> None:
    rig.host.trouble["System"] = trouble
    slow = [{**LOGS[0], "deadline": "6s"}, LOGS[1]]
    assert rig.run(*slow) == ()
    assert rig.home() == {"System.evtx": "months of it", "Whea.evtx": "a bus error"}
    assert list(rig.missing()) == ["System.evtx (exported)"]
    assert rig.host.folders == []


def test_a_folder_that_somebody_else_made_is_not_written_to(rig: Rig) -> None:
    rig.host.trouble["folder"] = Answer(1, stderr="it was made by the account S-1-5-21-1-2-3-1001")
    assert rig.run() == ()
    assert rig.home()["System.evtx"] == "months of it"
    assert not [asked for asked in rig.host.asked if "log" in asked]
    assert any("S-1-5-21-1-2-3-1001" in str(row["detail"]) for row in rig.events("artifact.missing"))


def test_without_powershell_the_whole_files_come_home_and_nothing_is_to_be_removed(rig: Rig) -> None:
    rig.winrm.trouble["Any"] = status(503)
    rig.run(*LOGS)
    assert set(rig.missing()) == {"System.evtx (exported)", "Whea.evtx (exported)", "Cluster.log"}
    assert rig.home() == {"System.evtx": "months of it", "Whea.evtx": "years of it"}
    assert rig.host.asked == []
    assert rig.events("export.folder") == rig.events("export.left") == []


def test_a_cluster_log_that_cannot_be_written_is_said(rig: Rig) -> None:
    rig.host.trouble["cluster"] = Answer(0, b'{"failed": "error", "words": "The RPC server is gone."}\r\n')
    assert rig.run(LOGS[2]) == ()
    assert rig.missing() == {"Cluster.log": "failed"}
    assert "The RPC server is gone" in str(rig.events("artifact.missing")[0]["detail"])


def test_a_folder_that_stays_is_said_and_the_resumed_case_removes_it_and_fetches_nothing_twice(
    rig: Rig,
) -> None:
    rig.host.trouble["remove"] = Answer(1, stderr="The file is in use by another process.")
    (failure,) = rig.run(*LOGS[:2])
    assert f"hang-collector\\{rig.case.name}-logs is still on the host" in failure
    assert rig.host.folders == [f"{rig.case.name}-logs"]
    rig.host.trouble.clear()
    rig.host.asked.clear()
    assert rig.run(*LOGS[:2]) == ()
    assert rig.host.folders == []
    assert [sorted(arguments) for arguments in rig.host.asked] == [["name"]]
    assert len(rig.events("artifact")) == 2


def test_an_export_that_does_not_come_home_is_exported_again_by_the_resumed_case(rig: Rig) -> None:
    gone = {"path": "C:\\ProgramData\\elsewhere\\System.evtx", "size": 5, "modified": 0}
    rig.host.trouble["System"] = Answer(0, json.dumps(gone).encode() + b"\r\n")
    (failure,) = rig.run(LOGS[0])
    assert "vanished" in failure
    assert rig.host.folders == []
    rig.host.trouble.clear()
    assert rig.run(LOGS[0]) == ()
    assert rig.home() == {"System.evtx": "a disk timed out\nvolmgr 162"}
    assert rows.missing(rig.case.journal.entries()) == []


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


@pytest.mark.parametrize(
    "moment",
    [
        "before:export.folder",
        "before:export.made",
        "after:export.made",
        "after:artifact",
        "before:export.removed",
    ],
)
def test_killed_at_any_line_it_goes_on_fetches_nothing_twice_and_leaves_no_folder(
    rig: Rig, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def dying(self: Journal, event: str, /, **data: object) -> Entry:
        if moment == f"before:{event}":
            raise Killed
        entry = append(self, event, **data)
        if moment == f"after:{event}":
            raise Killed
        return entry

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Journal, "append", dying)
        rig.run(*LOGS[:2])
    came = {row["path"] for row in rig.events("artifact")}
    rig.host.asked.clear()
    assert rig.run(*LOGS[:2]) == ()
    assert rig.home() == {"System.evtx": "a disk timed out\nvolmgr 162", "Whea.evtx": "a bus error"}
    assert rig.host.folders == []
    again = {f"data/logs/{arguments['file']}" for arguments in rig.host.asked if "file" in arguments}
    assert not again & came
    assert len(rig.events("artifact")) == 2


def test_a_case_whose_folder_was_renamed_makes_no_path_of_that_name(rig: Rig) -> None:
    strange = rig.case.path.with_name("..\\x'$(y) \u202e;")
    rig.case.path.rename(strange)
    rig.case = CaseFolder.open(strange)
    assert rig.run(LOGS[0]) == ()
    (name,) = {arguments["name"] for arguments in rig.host.asked}
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def test_a_case_that_was_renamed_since_removes_the_folder_that_it_made(rig: Rig) -> None:
    rig.host.trouble["remove"] = Answer(1, stderr="in use")
    rig.run(LOGS[0])
    rig.host.trouble.clear()
    moved = rig.case.path.with_name("2026-11-21T0312Z-elsewhere")
    rig.case.path.rename(moved)
    rig.case = CaseFolder.open(moved)
    assert rig.run(LOGS[0]) == ()
    assert rig.host.folders == []


def test_what_the_host_says_of_its_export_is_data(rig: Rig) -> None:
    hostile = {"path": "C:\\Windows\\win.ini", "size": 4, "modified": 0, "since": "\x1b[2J" * 9000}
    (rig.host.root / "Windows" / "win.ini").write_text("here")
    rig.host.trouble["System"] = Answer(0, json.dumps(hostile).encode() + b"\r\n")
    assert rig.run(LOGS[0]) == ()
    assert rig.home() == {"System.evtx": "here"}, "under our name, wherever it lies there"
    (made,) = rig.events("export.made")
    assert len(made["since"]) < 100
