"""What was kept of a kernel beside its dump takes the place of what the dump does not say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.errors import DumpError
from collector.triage.linux_kept import Kept, kept_beside, moved
from collector.triage.linux_kernel import load_kernel
from collector.triage.linux_symbols import Symbol
from tests.unit.triage.linux_image import Image, btf, kallsyms

TEXT, OFFSET = 0xFFFFFFFF81000000, 0x1C200000
SYMBOLS = {"runqueues": 0x14790, "_stext": TEXT, "hang_spin": TEXT + 0x40, "__start_BTF": TEXT + 0x800000}
TYPES = btf({"list_head": (16, [("next", "u64", 0), ("prev", "u64", 64)])})
INFO = {
    "KERNELOFFSET": f"{OFFSET:x}",
    "SYMBOL(_stext)": f"{TEXT + OFFSET:x}",
    "SYMBOL(mem_section)": "ffff8df3d7fd9000",
}


def system_map(folder: Path) -> None:
    lines = [f"{address:016x} T {name}\n" for name, address in SYMBOLS.items()]
    (folder / "System.map-5.14.0").write_text("".join(lines))


def vmlinux(*, types: bytes = TYPES) -> bytes:
    """An object file with a table of symbols and the section .BTF, as the linker lays one out."""
    names, table = b"\0", bytes(24)
    for name, address in SYMBOLS.items():
        table += struct.pack("<IBBHQQ", len(names), 2, 0, 1, address, 0)
        names += name.encode() + b"\0"
    sections = [b"", table, names, types, b"\0.symtab\0.strtab\0.BTF\0.shstrtab\0"]
    offset, headers, body = 64, b"", b""
    for (kind, name, link), content in zip(
        [(0, 0, 0), (2, 1, 2), (3, 9, 0), (1, 17, 0), (3, 22, 0)], sections, strict=True
    ):
        headers += struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, len(content), link, 0, 1, 0)
        body += content
        offset += len(content)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 0, offset, 0, 64, 0, 0, 64, 5, 4
    )
    return header + body + headers


def by_name(symbols: tuple[Symbol, ...]) -> dict[str, int]:
    return {one.name: one.address for one in symbols}


def test_a_system_map_and_types_are_read_from_the_folder_of_the_dump(tmp_path: Path) -> None:
    system_map(tmp_path)
    (tmp_path / "vmlinux").write_bytes(TYPES)  # a copy of /sys/kernel/btf/vmlinux
    kept = kept_beside(tmp_path / "vmcore")
    assert by_name(kept.symbols) == SYMBOLS
    assert kept.types == TYPES


def test_a_vmlinux_has_both(tmp_path: Path) -> None:
    (tmp_path / "vmlinux-5.14.0").write_bytes(vmlinux())
    kept = kept_beside(tmp_path / "vmcore")
    assert by_name(kept.symbols) == SYMBOLS
    assert kept.types == TYPES


def test_symbols_are_moved_to_where_the_kernel_was_and_per_cpu_ones_are_not() -> None:
    kept = Kept(tuple(Symbol(address, name) for name, address in SYMBOLS.items()))
    assert {one.name: one.address for one in moved(kept, INFO)} == {
        name: address + OFFSET if address >= TEXT else address for name, address in SYMBOLS.items()
    }


@pytest.mark.parametrize(
    "info", [{}, {"KERNELOFFSET": "0"}, {"SYMBOL(hang_spin)": f"{TEXT:x}"}, {"SYMBOL(_stext)": "x"}]
)
def test_symbols_of_another_kernel_are_not_believed(info: dict[str, str]) -> None:
    kept = Kept((Symbol(TEXT + 8, "_stext"), Symbol(TEXT + 0x40, "hang_spin")))
    with pytest.raises(DumpError, match=r"another kernel|no number"):
        moved(kept, INFO | info)


def test_a_kernel_that_says_neither_names_nor_types_is_read_by_what_was_kept() -> None:
    kept = Kept(tuple(Symbol(address, name) for name, address in SYMBOLS.items()), TYPES)
    with pytest.raises(DumpError, match="does not say where kallsyms_num_syms is"):
        load_kernel(Image(), INFO)
    kernel, _ = load_kernel(Image(), INFO, kept)
    assert kernel.symbols.address("hang_spin") == TEXT + 0x40 + OFFSET
    assert kernel.field("list_head", "prev").offset == 8


def test_a_kernel_that_names_itself_is_read_in_spite_of_symbols_of_another() -> None:
    image = Image()
    info = kallsyms(image, {"_stext": TEXT, "rest_init": TEXT + 0x40})
    kept = Kept((Symbol(TEXT + 8, "_stext"),), TYPES)
    kernel, missing = load_kernel(image, info, kept)
    assert kernel.symbols.address("rest_init") == TEXT + 0x40
    assert missing[0].startswith("the symbols beside the dump are of another kernel")


@given(st.integers(0, 600), st.binary(max_size=40), st.integers(0, 600))
@example(40, bytes(7) + b"\x80", 64)  # sections from 2**63 on, where no file can be asked
def test_a_damaged_vmlinux_is_refused_or_read_and_never_a_surprise(
    tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes, length: int
) -> None:
    whole = vmlinux()
    folder = tmp_path_factory.mktemp("kept")
    spoiled = (whole[:at] + noise + whole[at + len(noise) :])[: max(length, 6)]
    (folder / "vmlinux").write_bytes(spoiled)
    try:
        kept_beside(folder / "vmcore")
    except DumpError as error:
        assert "beside the dump cannot be read" in error.message


def test_nothing_kept_is_nothing(tmp_path: Path) -> None:
    assert kept_beside(tmp_path / "vmcore") == Kept()
