"""The audit of Windows over WS-Management: the script goes out once, and every answer is one row."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.facts import store, windows
from collector.model.audit import HostAudit, Link
from collector.model.fact import value
from collector.model.host import Host, Platform
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.run.audit import audit
from tests.peers.winrm_login import winrm_endpoint, winrm_login
from tests.peers.wsman import PASSWORD, Wsman, silence, wsman
from tests.peers.wsman_powershell import Answer

ANSWERS = Path(__file__).parents[1] / "unit" / "facts" / "windows"


def gives(path: Path) -> Answer:
    """What PowerShell prints for the script."""
    return Answer(0, path.read_bytes())


def audited(server: Wsman, folder: Path, seconds: float = 60.0, password: str = PASSWORD) -> HostAudit:
    login = winrm_login(folder, password)
    endpoint = winrm_endpoint(server, credential=login.name)
    host = Host("sql01", Platform.WINDOWS, "127.0.0.1", (), (endpoint,))
    return audit(host, Connections({login.name: login}, print), folder / "cases", Deadline.after(seconds))


def levels(found: HostAudit) -> Mapping[str, Level]:
    return {verdict.id: verdict.level for verdict in found.verdicts}


def test_the_script_goes_out_once_as_it_is_and_its_answer_is_judged_and_recorded(tmp_path: Path) -> None:
    with wsman(tmp_path / "w", lambda script, arguments: gives(ANSWERS / "2016.json")) as server:
        found = audited(server, tmp_path)
    [(script, arguments)] = server.ran
    assert (script, arguments["Depth"]) == (windows.SCRIPT, "all")
    assert 20 < int(arguments["Seconds"]) < 45
    assert [step.outcome for step in found.gathered] == [Outcome.SUCCESS]
    inside = {name: level for name, level in levels(found).items() if name.startswith("W") and name != "WD-1"}
    assert {name for name, level in inside.items() if level is not Level.OK} == {"WSV-1"}, "512 GiB to write"
    assert levels(found)["CH-1"] is Level.OK
    assert found.estimate is not None
    assert "an active dump" in found.estimate.how
    recorded = store.recorded(tmp_path / "cases", "sql01")
    assert value(recorded, "dump_file") == "C:\\Windows\\MEMORY.DMP"


@pytest.mark.parametrize(
    ("name", "check", "reason"),
    [
        ("2008r2", "WNMI-1", "without NMICrashDump"),
        ("2012r2-korean", "WSV-2", "가상 컴퓨터 회계"),
        ("2019-german", "WPF-1", "E:\\pagefile.sys is not on C:, the boot volume"),
        ("2022-japanese", "WCC-10", "the boot volume is encrypted"),
        ("2025", "WDD-1", "D:\\dedicated.sys has 64.0 GiB"),
        ("windows10", "WCC-9", "less than 25 GiB"),
        ("windows11", "WCC-1", "CrashDumpEnabled is 3"),
        ("denied", "WPF-2", "page_files: denied"),
    ],
)
def test_each_windows_is_judged_by_what_it_is(tmp_path: Path, name: str, check: str, reason: str) -> None:
    with wsman(tmp_path / "w", lambda script, arguments: gives(ANSWERS / f"{name}.json")) as server:
        found = audited(server, tmp_path)
    [verdict] = [one for one in found.verdicts if one.id == check]
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(1, b"", 'Die Benennung "ConvertTo-Json" wurde nicht als Name erkannt.'),
            "said: Die Benennung",
        ),
        (Answer(0, b""), "exit status 0 and no facts"),
        (Answer(0, b"\0" * 100_000), "no facts"),
        (Answer(0, b"{" * 3_000_000), "more than 1048576 bytes"),
    ],
)
def test_a_host_that_says_nothing_of_use_is_a_row_that_says_so(
    tmp_path: Path, answer: Answer, said: str
) -> None:
    with wsman(tmp_path / "w", lambda script, arguments: answer) as server:
        found = audited(server, tmp_path)
    assert [step.outcome for step in found.gathered] == [Outcome.FAILED]
    assert said in found.gathered[0].detail
    assert len(server.ran) == 1
    assert Level.OK not in {level for name, level in levels(found).items() if name != "CH-1"}


def test_a_host_that_stops_in_the_middle_is_left_at_the_deadline(tmp_path: Path) -> None:
    began = time.monotonic()
    with wsman(tmp_path / "w", trouble={"Receive": silence}) as server:
        found = audited(server, tmp_path, seconds=6.0)
    assert time.monotonic() - began < 30.0
    assert [step.outcome for step in found.gathered] == [Outcome.TIMEOUT]
    assert found.level in (Level.UNKNOWN, Level.CRITICAL)
    assert next(link for link in found.links if link.link is Link.CAPTURE).level is Level.UNKNOWN


def test_a_wrong_password_is_tried_once(tmp_path: Path) -> None:
    with wsman(tmp_path / "w", lambda script, arguments: gives(ANSWERS / "2016.json")) as server:
        found = audited(server, tmp_path, password="wrong")
    assert [step.outcome for step in found.gathered] == [Outcome.DENIED]
    assert server.ran == []
