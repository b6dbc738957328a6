"""The scripts that write on the host are held to their grammar: where they write, what they may remove."""

from __future__ import annotations

from pathlib import Path

import pytest

import collector.adapters
from collector.adapters.winrm_script import load
from tests.powershell import of, read, text

FOLDER = Path(collector.adapters.__file__).parent / "scripts"
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
    "make_folder": {"Set-StrictMode", "Join-Path", "New-Object", "ConvertTo-Json"},
    "remove_folder": {"Set-StrictMode", "Join-Path", "ConvertTo-Json"},
}
METHODS = {
    "export_events": {
        "GetFolderPath",
        "AddSeconds",
        "ToString",
        "Delete",
        "ExportLog",
        "ToFileTimeUtc",
    },
    "export_cluster_log": {"GetValue", "ToFileTimeUtc"},
    "make_folder": {
        "GetCurrent",
        "GetFolderPath",
        "SetAccessRuleProtection",
        "AddAccessRule",
        "CreateDirectory",
        "GetAccessControl",
        "GetOwner",
        "SetAccessControl",
    },
    "remove_folder": {"GetFolderPath", "Exists", "GetAttributes", "GetDirectoryName", "Delete"},
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
    assert [call for call in calls(export) if "Delete" in call] == ["[IO.File]::Delete($target)"]
    assert [call for call in calls(remove) if "Delete" in call] == ["[IO.Directory]::Delete($folder, $true)"]


def test_a_folder_is_closed_to_users_and_used_only_if_it_is_ours() -> None:
    """What lies there is the memory of the kernel, and tools that an administrator runs."""
    make = load("make_folder")
    assert "$trusted = @('S-1-5-18', 'S-1-5-32-544')" in make  # the system, and administrators
    assert "$rights.SetAccessRuleProtection($true, $false)" in make  # nothing is inherited
    assert (
        make.index("CreateDirectory($folder, $rights)") < make.index("throw") < make.index("SetAccessControl")
    )
    assert (
        "if ($owners -notcontains $owner -or ($made.Attributes -band [IO.FileAttributes]::ReparsePoint))"
        in make
    )


def test_no_other_script_makes_a_folder() -> None:
    scripts = [path.stem for path in FOLDER.glob("*.ps1") if "CreateDirectory" in path.read_text("ascii")]
    assert scripts == ["make_folder"]


def test_a_log_that_is_not_there_is_told_by_its_exception_and_not_by_words() -> None:
    assert "catch [Diagnostics.Eventing.Reader.EventLogNotFoundException] {" in load("export_events")


def test_times_are_those_of_every_culture_and_calendar() -> None:
    assert "[Globalization.CultureInfo]::InvariantCulture" in load("export_events")
    assert "[datetime]::UtcNow.AddSeconds(-[long]$Arguments.seconds)" in load("export_events")
