"""The commands of one language alone: nobody pipes PowerShell into a shell by mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collector.checks.audit import judge
from collector.model.audit import HostAudit
from collector.model.host import Platform
from collector.model.verdict import Level
from collector.render.audit import remedies
from tests.unit.checks.windows_facts import facts, page_file
from tests.unit.fleet.audits import audit

OLD = {"os_version": "6.1.7601", "page_files": page_file(1), "auto_reboot": "0"}


@pytest.fixture
def fleet() -> list[HostAudit]:
    sick = judge(Platform.WINDOWS, facts(OLD))
    windows = replace(audit("sql01", level=Level.CRITICAL), platform=Platform.WINDOWS, verdicts=sick)
    linux = replace(
        audit("db01", level=Level.CRITICAL),
        verdicts=(replace(sick[0], commands=("systemctl restart kdump",)),),
    )
    return [windows, linux]


def test_hosts_of_the_other_language_are_named_and_no_more(
    fleet: list[HostAudit], capsys: pytest.CaptureFixture[str]
) -> None:
    remedies(fleet, "sh")
    lines = capsys.readouterr().out.splitlines()
    assert "# sql01 (windows): see --remedy powershell" in lines
    assert not any("Set-ItemProperty" in line for line in lines)
    assert any(line.startswith("systemctl restart kdump") for line in lines)


def test_the_restart_of_windows_comes_once_and_last(
    fleet: list[HostAudit], capsys: pytest.CaptureFixture[str]
) -> None:
    remedies(fleet, "powershell")
    lines = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.startswith("Restart-Computer")] == ["Restart-Computer"]
    assert lines[-1] == "Restart-Computer"
    assert any("NMICrashDump" in line for line in lines)
    assert not any("systemctl" in line for line in lines)


def test_hosts_that_need_the_same_are_one_block(
    fleet: list[HostAudit], capsys: pytest.CaptureFixture[str]
) -> None:
    linux = fleet[1]
    remedies([replace(linux, host=f"db{number:02}") for number in range(1, 41)], "sh")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# db[01-40] (linux): critical"
    assert len([line for line in lines if line.startswith("systemctl")]) == 1
