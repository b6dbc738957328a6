"""All PowerShell that this program sends or prints is PowerShell."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.checks.catalog import CHECKS
from tests.powershell import of, read

SCRIPTS = sorted((Path(__file__).parents[2] / "collector").rglob("*.ps1"))
REMEDIES = {
    check.id: "\n".join(lines)
    for check in CHECKS.values()
    if check.language == "powershell"
    for lines in check.commands.values()
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_is_powershell_in_ascii(path: Path) -> None:
    assert list(read(path.read_text(encoding="ascii")))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_calls_a_command_by_an_alias(path: Path) -> None:
    script = path.read_text(encoding="ascii")
    own = of(script, "function_name")
    for name in of(script, "command_name") - own:
        assert "-" in name or name.endswith(".exe") or name.startswith("$"), name


@pytest.mark.parametrize("check", REMEDIES)
def test_every_remedy_is_powershell_without_aliases(check: str) -> None:
    assert all("-" in name for name in of(REMEDIES[check], "command_name"))


@pytest.mark.parametrize("broken", ["{", "'", '"', "if (", "Get-Item )", "@{ a = }"])
def test_what_is_no_powershell_is_seen(broken: str) -> None:
    with pytest.raises(SyntaxError):
        list(read(broken))
