"""What was kept of a kernel beside its dump: its System.map, its types, or its vmlinux with both.

For kernels that carry no types, or do not say where their names are. Source: System V ABI, ELF-64 object
files; nm(1) for System.map; Linux Documentation/bpf/btf.rst, which is also /sys/kernel/btf/vmlinux.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from collector.errors import DumpError
from collector.triage.linux_memory import damaged
from collector.triage.linux_symbols import Symbol

_MOST_BYTES = 1 << 26  # of a symbol table, of its names, of types, of a System.map
_MOST_SECTIONS = 1 << 12
_PLACES = 1 << 63  # in a file, as far as the system can be asked for one
_MOST_FILES = 16
_KERNEL_MAP = 0xFFFF_FFFF_8000_0000
"""Where the kernel's image is linked to (x86_64, Documentation/arch/x86/x86_64/mm.rst). KASLR moves what is
above; symbols below are offsets into per-CPU memory."""

_LINE = re.compile(rb"([0-9a-f]{16}) [A-Za-z] (\S{1,512})$", re.MULTILINE)
_ELF, _BTF = b"\x7fELF\x02\x01", b"\x9f\xeb"
_HEADER = struct.Struct("<40xQ10xHHH")  # e_shoff, e_shentsize, e_shnum, e_shstrndx
_SECTION = struct.Struct("<II8xQQQII16x")  # sh_name, sh_type, sh_addr, sh_offset, sh_size, sh_link, sh_info
_SYMBOL = struct.Struct("<IBxHQ8x")  # st_name, st_info, st_shndx, st_value
_SYMBOL_TABLE = 2
_NAMED = (0, 1, 2)  # STT_NOTYPE, which the linker's own are, STT_OBJECT, STT_FUNC


@dataclass(frozen=True, slots=True)
class Kept:
    """Symbols as they were linked, and the bytes of the types; either may be missing."""

    symbols: tuple[Symbol, ...] = ()
    types: bytes = b""


def kept_beside(vmcore: Path) -> Kept:
    """Read `System.map*`, `vmlinux*` and `*.btf` in the dump's folder.

    Raises:
        DumpError: one of them cannot be read, or is not what its name says.
    """
    symbols: tuple[Symbol, ...] = ()
    types = b""
    found = [path for name in ("System.map*", "vmlinux*", "*.btf") for path in vmcore.parent.glob(name)]
    for path in sorted(found)[:_MOST_FILES]:
        try:
            one = _read(path)
        except (OSError, struct.error) as error:
            raise DumpError(f"{path.name!r} beside the dump cannot be read: {error}", hint=_HINT) from error
        symbols, types = symbols or one.symbols, types or one.types
    return Kept(symbols, types)


_HINT = "Copy it again from the host, or take it out of the dump's folder."


def moved(kept: Kept, info: Mapping[str, str]) -> list[Symbol]:
    """Return the symbols where they were in the kernel that crashed.

    Raises:
        DumpError: they are of another kernel, or VMCOREINFO is damaged.
    """
    try:
        offset = int(info.get("KERNELOFFSET", "0"), 16)
        told = {key[7:-1]: int(value, 16) for key, value in info.items() if key.startswith("SYMBOL(")}
    except ValueError as error:
        raise damaged("an address in VMCOREINFO is no number") from error
    symbols = [
        Symbol(one.address + offset if one.address >= _KERNEL_MAP else one.address, one.name)
        for one in kept.symbols
    ]
    by_name = {one.name: one.address for one in symbols}
    inside = {name: at for name, at in told.items() if at >= _KERNEL_MAP}  # mem_section is what it points at
    if "_stext" not in by_name or any(by_name.get(name, at) != at for name, at in inside.items()):
        raise DumpError("the symbols beside the dump are of another kernel", hint=_HINT)
    return symbols


def _read(path: Path) -> Kept:
    with path.open("rb") as file:
        magic = file.read(len(_ELF))
        file.seek(0)
        if magic == _ELF:
            return _of_elf(file)
        raw = file.read(_MOST_BYTES)
    if magic.startswith(_BTF):
        return Kept(types=raw)
    return Kept(tuple(Symbol(int(found[1], 16), found[2].decode()) for found in _LINE.finditer(raw)))


def _of_elf(file: BinaryIO) -> Kept:
    start, size, count, names_at = _HEADER.unpack(file.read(_HEADER.size))
    if size != _SECTION.size or not names_at < count <= _MOST_SECTIONS:
        raise struct.error("it is no vmlinux")
    sections = list(_SECTION.iter_unpack(_exactly(file, start, size * count)))

    def content(number: int) -> bytes:
        _, _, _, offset, length, _, _ = sections[number]
        return _exactly(file, offset, length)

    names = content(names_at)
    symbols: tuple[Symbol, ...] = ()
    types = b""
    for number, (name, kind, _, _, _, link, _) in enumerate(sections):
        if kind == _SYMBOL_TABLE and link < count:
            symbols = tuple(sorted(_symbols(content(number), content(link)), key=lambda one: one.address))
        elif _text(names, name) == ".BTF":
            types = content(number)
    return Kept(symbols, types)


def _symbols(table: bytes, names: bytes) -> Iterator[Symbol]:
    for name, info, section, value in _SYMBOL.iter_unpack(table):
        if section and info & 0xF in _NAMED and (text := _text(names, name)):
            yield Symbol(value, text)


def _text(names: bytes, start: int) -> str:
    end = names.find(b"\0", start)
    return names[start : max(end, start)].decode("ascii", "backslashreplace")[:512]


def _exactly(file: BinaryIO, start: int, size: int) -> bytes:
    raw = b""
    if size <= _MOST_BYTES and start < _PLACES:
        file.seek(start)
        raw = file.read(size)
    if len(raw) != size:
        raise struct.error("it is cut, or not what its name says")
    return raw
