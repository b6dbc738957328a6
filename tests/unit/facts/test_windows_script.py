"""The script is parsed by nothing here, so a small reader of PowerShell proves of it what it can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from collector.facts import windows

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

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<single>'(?:[^']|'')*')
    |(?P<double>"(?:[^"`\n]|`.)*")
    |(?P<type>\[[A-Za-z][\w.]*(?:\[\])?\])
    |(?P<open>@?[({]|\$\(|\[)
    |(?P<close>[)}\]])
    |(?P<variable>[$@]\w+(?::\w+)?)
    |(?P<method>(?:\.|::)[A-Za-z]\w*(?=\())
    |(?P<member>(?:\.|::)[A-Za-z]\w*)
    |(?P<command>[A-Za-z]+-[A-Za-z]+)
    |(?P<parameter>(?<=\s)-[A-Za-z]\w*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<number>\d+(?:\.\d+)*)
    |(?P<operator>[-=,;|&.])
    |(?P<space>\s+)""",
    re.VERBOSE,
)
_CLOSES = {"(": ")", "@(": ")", "$(": ")", "{": "}", "@{": "}", "[": "]"}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str


def tokens(script: str) -> Iterator[Token]:
    at = 0
    while at < len(script):
        match = _TOKEN.match(script, at)
        assert match, f"unreadable at {script[at : at + 40]!r}"
        assert match.lastgroup
        yield Token(match.lastgroup, match[0])
        at = match.end()


def of(kind: str) -> set[str]:
    return {token.text for token in tokens(windows.SCRIPT) if token.kind == kind}


def test_every_brace_and_quote_has_its_other_half() -> None:
    waiting = []
    for token in tokens(windows.SCRIPT):
        if token.kind == "open":
            waiting.append(_CLOSES[token.text])
        elif token.kind == "close":
            assert waiting, f"nothing is open for {token.text}"
            assert waiting.pop() == token.text
    assert not waiting


def test_only_cmdlets_that_read_are_called_and_none_by_an_alias() -> None:
    own = set(re.findall(r"^function ([\w-]+)", windows.SCRIPT, re.MULTILINE))
    assert all(name.startswith(("Get-", "Read-")) for name in own)
    assert of("command") <= READS_ONLY | own
    assert own <= of("command"), "a function that nobody calls"
    words = {"catch", "else", "foreach", "function", "if", "in", "param", "return", "try"}
    keys = {*windows.NAMES, *windows._COLUMNS, "ClassName", "Namespace", "OperationTimeoutSec", "LogName"}
    assert of("word") <= words | keys | {"ProviderName", "Id", "facts", "missing"}


def test_only_methods_that_read_are_called() -> None:
    assert {text.lstrip(".:") for text in of("method")} <= METHODS
    assert {text.strip("[]") if "[]" not in text else text[1:-1] for text in of("type")} <= TYPES


def test_nothing_is_run_from_text_and_nothing_is_written() -> None:
    for never in ("Invoke", "iex", "Add-", "New-", "Start-", "Out-", "Remove", "Write-", "Create("):
        assert never not in windows.SCRIPT, never


def test_nothing_depends_on_the_language_of_the_host() -> None:
    for translated in ("Message", "DisplayName", "LevelDisplay", "Caption", "Description", "Status", "State"):
        assert not re.search(rf"[.']{translated}\b", windows.SCRIPT), translated
    assert "CategoryInfo.Category" in windows.SCRIPT
    assert "FullyQualifiedErrorId" in windows.SCRIPT


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
    "broken", ["{", "'", "Remove-Item x", "$a.Delete()", "gwmi x", "[IO.File]::x", "x > y", "x | % y"]
)
def test_these_rules_see_what_breaks_them(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SCRIPT", windows.SCRIPT + broken + "\n")
    with pytest.raises(AssertionError):
        test_every_brace_and_quote_has_its_other_half()
        test_only_cmdlets_that_read_are_called_and_none_by_an_alias()
        test_only_methods_that_read_are_called()
