"""The script is held to its grammar: what it calls reads only, and depends on no language of the host."""

from __future__ import annotations

import re

import pytest

from collector.facts import windows
from tests.powershell import of, read, text

READS_ONLY = {
    "ConvertTo-Json",
    "ForEach-Object",
    "Get-CimInstance",
    "Get-Item",
    "Get-WinEvent",
    "Measure-Object",
    "Select-Object",
    "Set-StrictMode",  # of the script's own scope
    "Test-Path",
    "Where-Object",
}
"""Every cmdlet that the script may call."""

METHODS = {
    "Floor",
    "GetCurrent",
    "GetValue",
    "IsInRole",
    "Max",
    "Min",
    "Replace",
    "StartNew",
    "ToUniversalTime",
}
"""Every method of .NET that it may call."""

TYPES = {
    "char",
    "datetime",
    "Diagnostics.Stopwatch",
    "hashtable",
    "int",
    "int[]",
    "int64",
    "math",
    "regex",
    "scriptblock",
    "Security.Principal.WindowsBuiltInRole",
    "Security.Principal.WindowsIdentity",
    "Security.Principal.WindowsPrincipal",
    "string",
    "string[]",
}


def test_only_cmdlets_that_read_are_called_and_none_by_an_alias() -> None:
    own = of(windows.SCRIPT, "function_name")
    assert all(name.startswith(("Get-", "Read-")) for name in own)
    assert of(windows.SCRIPT, "command_name") <= READS_ONLY | own
    assert own <= of(windows.SCRIPT, "command_name"), "a function that nobody calls"


def test_only_methods_that_read_are_called() -> None:
    calls = [node for node in read(windows.SCRIPT) if node.type == "invokation_expression"]
    named = {text(part) for call in calls for part in call.children if part.type == "member_name"}
    assert named <= METHODS
    assert of(windows.SCRIPT, "type_spec") <= TYPES


def test_nothing_is_run_from_text_and_nothing_is_written() -> None:
    commands = [node for node in read(windows.SCRIPT) if node.type == "command"]
    run = {text(node) for node in commands if node.children[0].type == "command_invokation_operator"}
    assert run == {". $Block", "& $Query"}, "only the blocks of its own"
    assert not of(windows.SCRIPT, "redirection")
    assert not any("." in name for name in of(windows.SCRIPT, "left_assignment_expression"))


def test_nothing_depends_on_the_language_of_the_host() -> None:
    asked = {name.strip("'") for name in of(windows.SCRIPT, "member_name", "verbatim_string_characters")}
    translated = {"Message", "DisplayName", "LevelDisplayName", "Caption", "Description", "Status", "State"}
    assert not asked & translated
    assert {"Category", "FullyQualifiedErrorId"} <= asked


def test_it_is_strict_stops_at_errors_and_shows_no_progress() -> None:
    code = [line for line in windows.SCRIPT.splitlines() if line and not line.startswith("#")]
    assert code[:3] == [
        "Set-StrictMode -Version 2.0",
        "$ErrorActionPreference = 'Stop'",
        "$ProgressPreference = 'SilentlyContinue'",
    ]


def test_every_query_has_a_time_limit_and_every_question_a_guard() -> None:
    asked = [line.strip() for line in windows.SCRIPT.splitlines() if "Get-CimInstance" in line]
    assert asked == ["Get-CimInstance @query | Select-Object -First 500"]
    assert "OperationTimeoutSec = Get-Patience" in windows.SCRIPT
    after = windows.SCRIPT[windows.SCRIPT.index("$Facts['clock']") :]
    inside = False
    for line in after.splitlines():
        if line.startswith(("Read-", "    Read-")):
            inside = not line.endswith(" }")
        elif re.search(r"\bGet-(?!UnixTime)", line):
            assert inside or line.startswith("$Facts['clock']"), line
        elif line in {"}", "    }"}:
            inside = False


def test_every_fact_is_asked_for_once_and_no_other() -> None:
    groups = re.findall(r"Read-(?:Group @\(|Fact )((?:'\w+'(?:, )?)+)", windows.SCRIPT)
    named = [name for group in groups for name in re.findall(r"\w+", group)]
    tables = re.findall(r"Read-(?:Registry|Instance) [^@]+@\{(.*?)\}", windows.SCRIPT, re.DOTALL)
    named += [name for table in tables for name in re.findall(r"(\w+) = '", table)]
    named += ["clock", "system_drive"]
    assert len(named) == len(set(named))
    assert set(named) == windows.NAMES


def test_the_few_facts_of_a_run_come_before_the_many_of_an_audit() -> None:
    before, after = windows.SCRIPT.split("if ($Arguments.Depth -eq 'all') {")
    for name in windows.FEW:
        assert re.search(rf"\b{name}\b", before), name
    for name in windows._MORE:
        assert re.search(rf"\b{name}\b", after), name
        assert not re.search(rf"\b{name} = ", before), name


def test_every_column_of_a_row_is_known() -> None:
    rows = re.findall(r"@\{ ((?!ClassName|LogName|facts)\w+ = .*?) \}", windows.SCRIPT)
    columns = {name for row in rows for name in re.findall(r"(\w+) = (?!')", row)}
    assert columns == set(windows._COLUMNS)


@pytest.mark.parametrize(
    "broken",
    [
        "Remove-Item x",
        "gwmi x",
        "$a.Delete()",
        "[IO.File]::x",
        "Get-Item x > y",
        "Get-Item x | % { $_ }",
        "& $text",
        "$a.Value = 1",
    ],
)
def test_these_rules_see_what_breaks_them(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SCRIPT", windows.SCRIPT + broken + "\n")
    with pytest.raises(AssertionError):
        test_only_cmdlets_that_read_are_called_and_none_by_an_alias()
        test_only_methods_that_read_are_called()
        test_nothing_is_run_from_text_and_nothing_is_written()
