from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DumpError
from collector.triage.linux_symbols import Symbol, Symbols, kernel_symbols
from tests.unit.triage.linux_image import Image, kallsyms

TEXT = 0xFFFFFFFF81000000
KERNEL = {"fixed_percpu_data": 0, "_stext": TEXT, "rest_init": TEXT + 0x40, "x" * 300: TEXT + 0x90}


@pytest.mark.parametrize("absolute_per_cpu", [True, False])
def test_names_and_addresses_are_those_that_were_packed(absolute_per_cpu: bool) -> None:
    known = {name: at for name, at in KERNEL.items() if absolute_per_cpu or at}
    image = Image()
    info = kallsyms(image, known, absolute_per_cpu=absolute_per_cpu)
    assert {symbol.name: symbol.address for symbol in kernel_symbols(image, info)} == known


def test_a_kernel_that_does_not_say_where_its_symbols_are_is_told_apart_from_a_damaged_one() -> None:
    with pytest.raises(DumpError, match="does not say where kallsyms_num_syms is") as error:
        kernel_symbols(Image(), {})
    assert "System.map" in error.value.hint


def test_symbols_that_disagree_with_vmcoreinfo_are_not_believed() -> None:
    image = Image()
    info = kallsyms(image, KERNEL) | {"SYMBOL(_stext)": f"{TEXT + 8:x}"}
    with pytest.raises(DumpError, match="disagree on where _stext is"):
        kernel_symbols(image, info)


def test_an_address_belongs_to_the_symbol_before_it_within_its_size() -> None:
    symbols = Symbols([Symbol(TEXT, "a"), Symbol(TEXT + 16, "hang_spin", "hang", 8), Symbol(TEXT + 16, "b")])
    assert symbols.at(TEXT + 15) == Symbol(TEXT, "a")
    assert str(symbols.at(TEXT + 23)) == "hang_spin [hang]"
    assert symbols.at(TEXT + 24) is None
    assert symbols.at(TEXT - 1) is None


def test_a_module_cannot_take_the_name_of_a_symbol_of_the_kernel() -> None:
    symbols = Symbols([Symbol(TEXT, "init_task", "evil", 8), Symbol(TEXT + 64, "init_task")])
    assert symbols.address("init_task") == TEXT + 64


@given(st.data())
def test_damaged_tables_give_an_error_of_ours_or_names(data: st.DataObject) -> None:
    image = Image()
    info = kallsyms(image, KERNEL)
    start = data.draw(st.sampled_from(sorted(image.pieces)))
    raw = bytearray(image.pieces[start])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw), 64) - 1))] = data.draw(st.integers(0, 255))
    image.pieces[start] = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        symbols = kernel_symbols(image, info)
    except DumpError:
        return
    assert len(symbols) <= len(KERNEL) * 64
