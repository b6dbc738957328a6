"""What Windows wrote down of a crash, and which of it explains that there is no dump."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.checks.windows_record import Record, records, why_none
from collector.model.fact import Fact, Facts
from tests.unit.checks.facts import NOW
from tests.unit.checks.windows_facts import BOOT, record

NMI = "0x00000080 (0x00000000004f4454, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000)"


def facts(**texts: str) -> Facts:
    return {name: Fact(name, text, "winrm", NOW) for name, text in texts.items()}


def read(**texts: str) -> list[Record]:
    return records(facts(**texts), BOOT)


def told(**texts: str) -> list[str]:
    return [f"{one.provider} {one.id}: {one.means}" for one in read(**texts)]


def why(**texts: str) -> str:
    best = why_none(read(**texts))
    return f"{best.means} ({best.provider} {best.id})" if best else ""


def test_a_crash_whose_dump_was_written_is_told_in_its_order() -> None:
    assert told(
        dump_events=record(162, 20, "", "\\Device\\HarddiskVolume2"),
        bug_checks=record(1001, 30, NMI, "C:\\Windows\\MEMORY.DMP"),
        restarts=record(41, 10, "128", "0x4f4454"),
    ) == [
        "Kernel-Power 41: it restarted after bug check 0x80",
        "volmgr 162: the dump was written",
        "BugCheck 1001: it stopped with bug check 0x80",
    ]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"dump_events": record(161, 5)}, "a dump could not be written (volmgr 161)"),
        (
            {"dump_events": record(161, 5, "\\Device\\HarddiskVolume3", "0x00000053")},
            "a dump could not be written, BugCheckProgress 0x00000053 (volmgr 161)",
        ),
        ({"dump_events": record(45, 5)}, "the dump driver could not be loaded (volmgr 45)"),
        ({"dump_events": record(46, 5)}, "the crash dump could not be initialized (volmgr 46)"),
        (
            {"dump_events": record(47, 5)},
            "a valid dump was found in the page file when it started (volmgr 47)",
        ),
        ({"dump_events": record(49, 5)}, "the page file could not be set up for a dump (volmgr 49)"),
        (
            {"dump_events": f"{record(46, 9)}\n{record(161, 3)}"},
            "a dump could not be written (volmgr 161)",
        ),
        (
            {"restarts": record(41, 5, "0", "0x0")},
            "it restarted without a bug check, as after a reset or a loss of power (Kernel-Power 41)",
        ),
        ({"restarts": record(41, 5, "0"), "dump_events": record(49, 5)}, "the page file could not be set up"),
        ({"restarts": record(41, 5, "0"), "bug_checks": record(1001, 9, NMI)}, ""),
        ({"restarts": record(41, 5, "128")}, ""),
        ({"dump_events": record(162, 5)}, ""),
        ({"dump_events": record(999, 5)}, ""),
        ({"dump_events": record(161, -5)}, ""),
        ({}, ""),
    ],
)
def test_the_reason_for_a_missing_dump_is_the_surest_one_of_this_crash(
    texts: dict[str, str], says: str
) -> None:
    assert why(**texts).startswith(says)
    assert bool(why(**texts)) == bool(says)


@given(st.dictionaries(st.sampled_from(["dump_events", "bug_checks", "restarts"]), st.text()))
def test_any_text_is_read_to_the_end(texts: dict[str, Any]) -> None:
    assert read(**texts) == []


@given(st.integers(0, 200), st.lists(st.text(max_size=30), max_size=4))
def test_any_values_are_read_to_the_end(number: int, values: list[str]) -> None:
    for name in ("dump_events", "bug_checks", "restarts"):
        (one,) = read(**{name: record(number, 5, *values)})
        assert one.means
        assert one.means.isprintable()
