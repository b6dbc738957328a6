"""Where a Windows host says that its dumps go."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collector.facts.windows import dump_patterns
from collector.model.fact import Fact

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)


def patterns(dump_file: str, minidump_dir: str = "") -> tuple[str, ...]:
    values = {"dump_file": dump_file or None, "minidump_dir": minidump_dir or None}
    return dump_patterns({name: Fact(name, text, "winrm", NOW) for name, text in values.items()})


def test_the_paths_are_those_of_our_channels() -> None:
    assert patterns(r"D:\dumps\MEMORY.DMP", r"C:\Windows\Minidump") == (
        "/D:/dumps/MEMORY.DMP",
        "/C:/Windows/Minidump/*.dmp",
    )


def test_nothing_in_a_name_is_taken_for_a_wildcard() -> None:
    assert patterns(r"D:\a[1]\MEMORY.DMP") == ("/D:/a[[]1]/MEMORY.DMP",)


@pytest.mark.parametrize(
    "place",
    ["", r"\\nas\dumps\MEMORY.DMP", r"%SystemRoot%\MEMORY.DMP", r"D:\..\x", "/etc/shadow", r"C:", "C:\\a*b"],
)
def test_what_is_no_place_on_a_drive_is_passed_over(place: str) -> None:
    assert patterns(place) == ()
