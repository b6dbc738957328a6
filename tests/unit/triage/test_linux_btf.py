from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DumpError
from collector.triage.linux_btf import Btf
from tests.unit.triage.linux_image import ORC_ENTRY, btf

TYPES = {
    "thread_struct": (16, [("pad", "u64", 0), ("sp", "u64", 64)]),
    "unnamed union": (8, [("inner", "u32", 32)]),
    "task_struct": (
        64,
        [
            ("__state", "u32", 0),
            ("comm", "u8[16]", 64),
            ("unnamed", "unnamed union", 192),
            ("thread", "thread_struct", 256),
        ],
    ),
    "orc_entry": (6, ORC_ENTRY),
}
RAW = btf(TYPES)


def test_members_are_found_through_structures_with_and_without_a_name() -> None:
    types = Btf(RAW)
    assert types.size("task_struct") == 64
    assert types.field("task_struct", "thread.sp").offset == 32 + 8
    assert types.field("task_struct", "inner").offset == 24 + 4
    assert types.field("task_struct", "comm").size == 16
    assert types.field("task_struct", "state", "__state").size == 4


def test_bit_fields_are_read_from_the_bytes() -> None:
    types = Btf(RAW)
    entry = bytes([0, 0, 0, 0, 0x45, 0x05])
    assert types.field("orc_entry", "sp_reg").of(entry) == 5
    assert types.field("orc_entry", "bp_reg").of(entry) == 4
    assert types.field("orc_entry", "type").of(entry) == 1
    assert types.field("orc_entry", "end").of(entry) == 1


def test_what_the_kernel_lacks_is_named() -> None:
    with pytest.raises(DumpError, match="has no struct rq"):
        Btf(RAW).size("rq")
    with pytest.raises(DumpError, match="struct task_struct has no a or b"):
        Btf(RAW).field("task_struct", "a", "b")


@given(st.integers(0, len(RAW) - 1), st.integers(0, 255), st.integers(0, len(RAW)))
def test_damaged_types_give_an_error_of_ours_or_an_answer(at: int, value: int, length: int) -> None:
    raw = bytearray(RAW)
    raw[at] = value
    try:
        types = Btf(bytes(raw[:length]))
        types.field("task_struct", "thread.sp")
        types.field("task_struct", "inner")
        types.size("orc_entry")
    except DumpError:
        pass
