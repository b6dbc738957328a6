"""The scripts that write on the host are held to their grammar: where they write, what they may remove."""

from __future__ import annotations

import pytest

from collector.adapters.winrm_script import load
from tests.powershell import of, read, text

COMMANDS = {
    "export_events": {"Set-StrictMode", "Join-Path", "New-Object", "ConvertTo-Json"},
    "export_cluster_log": {
        "Set-StrictMode",
        "Get-Item",
        "Get-Command",
        "Get-ClusterLog",
        "New-Object",
        "ConvertTo-Json",
    },
    "remove_folder": {"Set-StrictMode", "Join-Path", "ConvertTo-Json"},
}
METHODS = {
    "export_events": {
        "GetFolderPath",
        "AddSeconds",
        "ToString",
        "CreateDirectory",
        "Delete",
        "ExportLog",
        "ToFileTimeUtc",
    },
    "export_cluster_log": {"GetValue", "ToFileTimeUtc"},
    "remove_folder": {"GetFolderPath", "Exists", "Delete"},
}
DATA = "([Environment]::GetFolderPath('CommonApplicationData'))"
OURS = rf'Join-Path {DATA} "hang-collector\$($Arguments.name)"'


def calls(script: str) -> list[str]:
    return [text(node) for node in read(script) if node.type == "invokation_expression"]


@pytest.mark.parametrize("name", COMMANDS)
def test_it_calls_these_and_nothing_else(name: str) -> None:
    script = load(name)
    nodes = [node for node in read(script) if node.type == "invokation_expression"]
    assert of(script, "command_name") == COMMANDS[name]
    methods = {text(part) for node in nodes for part in node.children if part.type == "member_name"}
    assert methods == METHODS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_strict_and_nothing_of_its_arguments_becomes_code(name: str) -> None:
    script = load(name)
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    assert lines[:2] == ["Set-StrictMode -Version 2.0", "$ErrorActionPreference = 'Stop'"]
    commands = [node for node in read(script) if node.type == "command"]
    assert not [c for c in commands if c.children[0].type == "command_invokation_operator"]
    assert not of(script, "redirection")


def test_only_the_case_s_own_folder_is_written_to_and_removed() -> None:
    export, remove = load("export_events"), load("remove_folder")
    assert f"$folder = {OURS}" in export
    assert f"$folder = {OURS}" in remove
    assert "$target = Join-Path $folder $Arguments.file" in export
    writing = [call for call in calls(export) if "::Delete" in call or "CreateDirectory" in call]
    assert sorted(writing) == ["[IO.Directory]::CreateDirectory($folder)", "[IO.File]::Delete($target)"]
    assert [call for call in calls(remove) if "Delete" in call] == ["[IO.Directory]::Delete($folder, $true)"]


def test_a_log_that_is_not_there_is_told_by_its_exception_and_not_by_words() -> None:
    assert "catch [Diagnostics.Eventing.Reader.EventLogNotFoundException] {" in load("export_events")


def test_times_are_those_of_every_culture_and_calendar() -> None:
    assert "[Globalization.CultureInfo]::InvariantCulture" in load("export_events")
    assert "[datetime]::UtcNow.AddSeconds(-[long]$Arguments.seconds)" in load("export_events")
