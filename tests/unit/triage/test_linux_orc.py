from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DumpError
from collector.triage.linux_btf import Btf
from collector.triage.linux_orc import Layout, OrcTable, Registers, Rule, unwind
from tests.unit.triage.linux_image import NEW_ORC_ENTRY, ORC_ENTRY, Image, btf, orc_entry

PLACE = 0xFFFFFFFF83000000
OUTER, INNER, HANDLER = PLACE - 0x3000, PLACE - 0x2000, PLACE - 0x1000
STACK = 0xFFFFC90000010000
OLD = Layout.of(Btf(btf({"orc_entry": (6, ORC_ENTRY)})))
NEW = Layout.of(Btf(btf({"orc_entry": (6, NEW_ORC_ENTRY)})))


def table(layout: Layout, rules: dict[int, bytes]) -> OrcTable:
    starts = b"".join(struct.pack("<i", at - PLACE - 4 * index) for index, at in enumerate(rules))
    return OrcTable(PLACE, starts, b"".join(rules.values()), layout)


def test_an_instruction_has_the_rule_that_starts_at_or_before_it() -> None:
    rules = table(OLD, {OUTER: orc_entry(8), OUTER + 4: orc_entry(16)})
    assert rules.at(OUTER - 1) is None
    assert rules.at(OUTER + 3) == Rule(8, 0, 5, 0, 2)
    assert rules.at(OUTER + 4) == Rule(16, 0, 5, 0, 2)


@pytest.mark.parametrize(("layout", "shift"), [(OLD, 0), (NEW, 2)])
def test_old_and_new_numbers_of_a_type_mean_the_same(layout: Layout, shift: int) -> None:
    rules = table(layout, {OUTER: orc_entry(8, kind=shift), INNER: orc_entry(0, kind=1 + shift)})
    assert [rule.type for at in (OUTER, INNER) if (rule := rules.at(at))] == [2, 3]


def test_a_stack_is_followed_through_calls_and_an_interrupt_to_its_end() -> None:
    rules = table(
        OLD,
        {
            OUTER: orc_entry(0, sp_reg=0, kind=4),  # the end
            INNER: orc_entry(16, bp_offset=-16, bp_reg=1),
            HANDLER: orc_entry(8, kind=1),  # registers of what was interrupted
        },
    )
    image = Image()
    interrupted = bytearray(168)
    for at, value in {32: 0x77, 128: INNER + 9, 136: 0x10, 144: 0x200, 152: STACK + 0x400}.items():
        interrupted[at : at + 8] = value.to_bytes(8, "little")
    image.put(STACK + 8, bytes(interrupted))
    image.words(STACK + 0x400, 0x88, OUTER + 5)

    found = list(unwind(image, rules, Registers(HANDLER + 4, STACK, 0)))
    assert [step.ip for step in found] == [HANDLER + 4, INNER + 9, OUTER + 5]
    assert [step.exact for step in found] == [False, True, False]
    assert found[1].interrupts_on
    assert found[2].bp == 0x88


def test_a_stack_that_leads_to_itself_ends() -> None:
    rules = table(OLD, {INNER: orc_entry(0, sp_reg=5)})
    image = Image()
    image.words(STACK - 8, INNER + 4, INNER + 4)
    assert len(list(unwind(image, rules, Registers(INNER + 4, STACK, 0)))) <= 2


def test_tables_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(DumpError, match="not in order"):
        table(OLD, {INNER: orc_entry(8), OUTER: orc_entry(8)})
    with pytest.raises(DumpError, match="differ in length"):
        OrcTable(PLACE, bytes(8), bytes(6), OLD)


@dataclass
class Noise:
    """Memory that holds whatever a hostile dump wants."""

    words: list[int]

    def read(self, address: int, size: int) -> bytes:
        start = address // 8 % len(self.words)
        row = [self.words[(start + step) % len(self.words)] for step in range(size // 8 + 1)]
        return struct.pack(f"<{len(row)}Q", *row)[:size]


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.just(INNER + 4), min_size=1, max_size=40),
    st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=5),
)
def test_whatever_the_stack_holds_the_walk_ends(words: list[int], entries: list[bytes]) -> None:
    rules = table(OLD, {INNER + index: entry for index, entry in enumerate(entries)})
    assert len(list(unwind(Noise(words), rules, Registers(INNER + 4, STACK, STACK)))) <= 257
