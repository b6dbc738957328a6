"""Rules for the PowerShell that the channel and the Hyper-V controller send; nothing here parses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import collector.adapters

FOLDER = Path(collector.adapters.__file__).parent / "scripts"
SCRIPTS = ["bootstrap", "files", "read", *sorted(path.stem for path in FOLDER.glob("hyperv_*.ps1"))]
CHANGING = (
    r"\b(Set|New|Remove|Stop|Start|Restart|Suspend|Resume|Save|Move|Clear|Disable|Enable|Add)"
    r"-(?!StrictMode|Object)\w+"
)


def text(name: str) -> str:
    return (FOLDER / f"{name}.ps1").read_text(encoding="ascii")


def code(name: str) -> str:
    return re.sub(r"(?m)^\s*#.*$", "", text(name))


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "bootstrap"])
def test_a_script_is_strict_and_says_what_it_does(name: str) -> None:
    assert text(name).startswith("# ")
    assert "Set-StrictMode -Version 2.0" in text(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_neither_makes_code_of_data_nor_changes_the_host(name: str) -> None:
    assert not re.search(r"Invoke-Expression|\biex\b|ExpandString|\s-Command\b", code(name), re.IGNORECASE)
    assert ("[ScriptBlock]" in code(name)) == (name == "bootstrap")
    assert not re.search(CHANGING, code(name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_arguments_stand_outside_of_quotes(name: str) -> None:
    assert not re.search(r"'[^'\n]*\$Arguments[^'\n]*'", code(name))
    for quoted in re.findall(r'"[^"\n]*"', code(name)):
        assert "$Arguments" not in quoted or quoted == '"*$($Arguments.id)*"'  # a GUID that Hyper-V gave us


@pytest.mark.parametrize("name", SCRIPTS)
def test_brackets_are_balanced(name: str) -> None:
    bare = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "", code(name))
    assert [bare.count(left) - bare.count(right) for left, right in ("()", "{}", "[]")] == [0, 0, 0]


def test_one_line_of_one_script_injects_an_nmi_and_no_name_reaches_it() -> None:
    """-Name takes wildcards: a machine named `*` would hit all of them."""
    lines = [
        (name, line.strip())
        for name in SCRIPTS
        for line in code(name).splitlines()
        if "Debug-VM" in line and "Get-Command" not in line
    ]
    assert lines == [("hyperv_nmi", "Debug-VM -VM $vm -InjectNonMaskableInterrupt -Force -Confirm:$false")]
    assert "InjectNonMaskableInterrupt" not in "".join(code(name) for name in SCRIPTS if name != "hyperv_nmi")
