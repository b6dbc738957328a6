"""Names of kernel addresses, from the kallsyms tables in the dump itself.

Source: Linux scripts/kallsyms.c (the compression), kernel/kallsyms.c (kallsyms_sym_address and
kallsyms_expand_symbol). VMCOREINFO says since Linux 6.0 where the tables are.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from collector.errors import DumpError
from collector.triage.linux_memory import ADDRESS_MASK, Memory, damaged, number, text

_MOST_SYMBOLS = 1 << 21
_MOST_NAME_BYTES = 1 << 26
_TOKENS = 256
_LONGEST_TOKEN = 512
_LONG_NAME = 0x80  # since Linux 6.1: this bit says that a second byte of the length follows
_FURTHEST = 1 << 20
"""Bytes after the start of the last symbol before an address that may still belong to it."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named piece of the kernel; `size` is 0 where only the next symbol bounds it."""

    address: int
    name: str
    module: str = ""
    size: int = 0

    def __str__(self) -> str:
        return f"{self.name} [{self.module}]" if self.module else self.name


class Symbols:
    """Symbols by address and by name; among several at one address the first given is its name."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        by_address: dict[int, Symbol] = {}
        self._by_name: dict[str, int] = {}
        for symbol in symbols:
            by_address.setdefault(symbol.address, symbol)
            if not symbol.module:
                self._by_name.setdefault(symbol.name, symbol.address)
        self._addresses = sorted(by_address)
        self._by_address = by_address

    def address(self, name: str) -> int:
        """Return where a symbol of the kernel proper is. Raises DumpError when it has none of that name."""
        if (address := self._by_name.get(name)) is None:
            raise DumpError(
                f"the kernel's symbols have no {name}",
                hint="A kernel without CONFIG_KALLSYMS_ALL names its functions only: keep its System.map.",
            )
        return address

    def at(self, address: int) -> Symbol | None:
        """Return the symbol that an address lies in."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        symbol = self._by_address[self._addresses[index]]
        return symbol if address - symbol.address < (symbol.size or _FURTHEST) else None


def kernel_symbols(memory: Memory, info: Mapping[str, str]) -> list[Symbol]:
    """Decode the kernel's own table.

    Args:
        memory: the dump.
        info: the pairs of VMCOREINFO.

    Raises:
        DumpError: VMCOREINFO does not say where the table is, or the table is damaged or not in the dump.
    """
    count = number(memory, _place(info, "kallsyms_num_syms"), 4)
    if not 0 < count <= _MOST_SYMBOLS:
        raise damaged(f"{count} symbols in kallsyms")
    names = [name[1:] for name in _names(memory, info, count)]  # each name starts with its type
    return [
        Symbol(address, name) for address, name in zip(_addresses(memory, info, names), names, strict=True)
    ]


def _place(info: Mapping[str, str], name: str) -> int:
    try:
        return int(info[f"SYMBOL({name})"], 16)
    except (KeyError, ValueError) as error:
        raise DumpError(
            f"VMCOREINFO does not say where {name} is",
            hint="Kernels before 6.0 do not say it: keep the host's System.map beside the dump.",
        ) from error


def _names(memory: Memory, info: Mapping[str, str], count: int) -> Iterator[str]:
    table_at, index_at = _place(info, "kallsyms_token_table"), _place(info, "kallsyms_token_index")
    index = struct.unpack(f"<{_TOKENS}H", memory.read(index_at, 2 * _TOKENS))
    table = memory.read(table_at, min(max(index) + _LONGEST_TOKEN, max(index_at - table_at, 0)))
    tokens = [table[start:].split(b"\0", 1)[0] for start in index]

    names_at = _place(info, "kallsyms_names")
    size = table_at - names_at  # the token table follows the names in every order the tables have had
    if not 0 < size <= _MOST_NAME_BYTES:
        raise damaged(f"{size} bytes of kallsyms names")
    packed, at = memory.read(names_at, size), 0
    for _ in range(count):
        if at + 1 >= size:
            raise damaged("the names in kallsyms end early")
        length, at = packed[at], at + 1
        if length & _LONG_NAME:
            length, at = length & ~_LONG_NAME | packed[at] << 7, at + 1
        yield text(b"".join([tokens[token] for token in packed[at : at + length]]))
        at += length


def _addresses(memory: Memory, info: Mapping[str, str], names: list[str]) -> list[int]:
    count = len(names)
    if "SYMBOL(kallsyms_addresses)" in info:
        return list(struct.unpack(f"<{count}Q", memory.read(_place(info, "kallsyms_addresses"), 8 * count)))
    raw = memory.read(_place(info, "kallsyms_offsets"), 4 * count)
    base = number(memory, _place(info, "kallsyms_relative_base"))
    # With CONFIG_KALLSYMS_ABSOLUTE_PERCPU, as on x86 until 6.15, offsets are relative only if negative.
    offsets = struct.unpack(f"<{count}i", raw)
    known, at = _place(info, "_stext"), names.index("_stext") if "_stext" in names else 0
    per_cpu = [offset if offset >= 0 else (base - 1 - offset) & ADDRESS_MASK for offset in offsets]
    if per_cpu[at] == known:
        return per_cpu
    relative = [(base + offset) & ADDRESS_MASK for offset in struct.unpack(f"<{count}I", raw)]
    if relative[at] == known:
        return relative
    raise damaged("kallsyms and VMCOREINFO disagree on where _stext is")
