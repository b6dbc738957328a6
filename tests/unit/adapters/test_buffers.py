"""Memory that goes round: nobody's bytes change while he looks at them."""

from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.buffers import Buffers


@given(st.lists(st.integers(0, 5), max_size=60))
def test_what_is_held_stays_as_it_is(drops: list[int]) -> None:
    """Every step takes a buffer, fills it, keeps a part of it, and drops some that were kept before."""
    buffers, held, most = Buffers(64), list[tuple[memoryview, bytes]](), 0
    for step, dropped in enumerate(drops):
        view = buffers.take()
        view[:] = bytes([step]) * 64
        held.append((view[8:32][4:], bytes([step]) * 20))
        del view
        most = max(most, len(held))
        del held[:dropped]
        assert all(part == kept for part, kept in held)
    gc.collect()
    assert len(buffers._buffers) <= most


def test_one_that_is_let_go_of_is_used_again() -> None:
    buffers = Buffers(4)
    for _ in range(100):
        assert len(buffers.take()) == 4
    assert len(buffers._buffers) == 1
