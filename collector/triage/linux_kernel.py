"""A stopped kernel: its memory seen through its own symbols and types."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from collector.errors import DumpError
from collector.triage.linux_btf import Btf
from collector.triage.linux_kept import Kept, moved
from collector.triage.linux_memory import ADDRESS_MASK, Memory, damaged, number, text
from collector.triage.linux_symbols import Symbol, Symbols, kernel_symbols

_MOST_ITEMS = 1 << 18
_MOST_CPUS = 1 << 13
_MOST_BTF_BYTES = 1 << 26
_MOST_MODULES = 1 << 12
_MOST_MODULE_SYMBOLS = 1 << 16
_LONGEST_SYMBOL = 512
_ELF_SYMBOL_BYTES = 24
_SYMBOL_KINDS = {1, 2}  # System V ABI, symbol table: STT_OBJECT, STT_FUNC


class Kernel:
    """The kernel of one dump. What it is asked for and does not have raises DumpError."""

    def __init__(self, memory: Memory, symbols: Symbols, btf: Btf) -> None:
        self.memory = memory
        self.symbols = symbols
        self.btf = btf
        self.field = cache(btf.field)

    def number(self, address: int, size: int = 8, *, signed: bool = False) -> int:
        """Return the integer at an address."""
        return number(self.memory, address, size, signed=signed)

    def value(self, address: int, structure: str, *paths: str, signed: bool = False) -> int:
        """Return a member of the structure at an address, by the first path that exists."""
        field = self.field(structure, *paths)
        return number(self.memory, address + field.offset, field.size, signed=signed)

    def string(self, address: int, structure: str, path: str) -> str:
        """Return a member that is an array of characters."""
        field = self.field(structure, path)
        return text(self.memory.read(address + field.offset & ADDRESS_MASK, min(field.size, 256)))

    def items(self, head: int, structure: str, path: str) -> Iterator[int]:
        """Yield the address of each structure on a `list_head`."""
        offset = self.field(structure, path).offset
        entry, seen = self.number(head), 0
        while entry != head:
            seen += 1
            if seen > _MOST_ITEMS:
                raise damaged(f"a list of struct {structure} does not end")
            yield entry - offset & ADDRESS_MASK
            entry = self.number(entry)

    def per_cpu(self, base: int) -> Iterator[tuple[int, int]]:
        """Yield each online CPU and the address of its copy of a per-CPU variable."""
        offsets = self.symbols.address("__per_cpu_offset")
        for cpu in self.cpus():
            yield cpu, base + self.number(offsets + 8 * cpu) & ADDRESS_MASK

    def cpus(self) -> list[int]:
        """Return the numbers of the CPUs that were online."""
        count = self.number(self.symbols.address("nr_cpu_ids"), 4)
        if not 0 < count <= _MOST_CPUS:
            raise damaged(f"{count} CPUs")
        mask = self.number(self.symbols.address("__cpu_online_mask"), (count + 63) // 64 * 8)
        return [cpu for cpu in range(count) if mask >> cpu & 1]


def load_kernel(
    memory: Memory, info: dict[str, str], kept: Kept | None = None
) -> tuple[Kernel, tuple[str, ...]]:
    """Read symbols and types out of the dump; also say what of the modules is missing.

    Args:
        memory: the dump.
        info: the pairs of VMCOREINFO.
        kept: what of the kernel lies beside the dump: its symbols go before the dump's, its types after.

    Raises:
        DumpError: the kernel carries no kallsyms or no BTF, or they are damaged or not in the dump, and
            nothing is kept in their place.
    """
    kept, missing = kept or Kept(), []
    symbols: list[Symbol] = []
    try:
        symbols = moved(kept, info) if kept.symbols else []
    except DumpError as error:
        missing.append(f"{error.message}. {error.hint}")
    symbols = symbols or kernel_symbols(memory, info)
    known = Symbols(symbols)
    try:
        types = _types(memory, known)
    except DumpError:
        if not kept.types:
            raise
        types = kept.types
    kernel = Kernel(memory, known, Btf(types))
    try:
        for module in modules(kernel):
            name = kernel.string(module, "module", "name")
            try:
                symbols += _module_symbols(kernel, module, name)
            except DumpError as error:
                missing.append(f"names of functions of the module {name}: {error.message}")
    except DumpError as error:
        missing.append(f"some modules: {error.message}")
    return Kernel(memory, Symbols(symbols), kernel.btf), tuple(missing)


def _types(memory: Memory, symbols: Symbols) -> bytes:
    start, stop = symbols.address("__start_BTF"), symbols.address("__stop_BTF")
    if not 0 < stop - start <= _MOST_BTF_BYTES:
        raise damaged(f"{stop - start} bytes of BTF")
    return memory.read(start, stop - start)


def modules(kernel: Kernel) -> Iterator[int]:
    """Yield the address of each `struct module`."""
    for count, module in enumerate(kernel.items(kernel.symbols.address("modules"), "module", "list")):
        if count > _MOST_MODULES:
            raise damaged("the list of modules does not end")
        yield module


def _module_symbols(kernel: Kernel, module: int, module_name: str) -> list[Symbol]:
    """Decode the ELF symbol table that a module keeps (include/linux/module.h, struct mod_kallsyms)."""
    table = kernel.value(module, "module", "kallsyms")
    count = kernel.value(table, "mod_kallsyms", "num_symtab")
    if count > _MOST_MODULE_SYMBOLS:
        raise damaged(f"{count} symbols")
    size = _ELF_SYMBOL_BYTES
    name, info, value, length = (
        kernel.field("elf64_sym", path) for path in ("st_name", "st_info", "st_value", "st_size")
    )
    raw = kernel.memory.read(kernel.value(table, "mod_kallsyms", "symtab"), count * size)
    entries = [raw[at : at + size] for at in range(0, len(raw), size)]
    entries = [entry for entry in entries if info.of(entry) & 0xF in _SYMBOL_KINDS and length.of(entry)]
    strings = kernel.value(table, "mod_kallsyms", "strtab")
    return [
        Symbol(value.of(entry), _name_at(kernel, strings + name.of(entry)), module_name, length.of(entry))
        for entry in entries
    ]


def _name_at(kernel: Kernel, address: int) -> str:
    """Read a string of unknown length, for the next byte after it may not be in the dump."""
    raw = b""
    while b"\0" not in raw and len(raw) < _LONGEST_SYMBOL:
        step = 64 - address % 64
        raw += kernel.memory.read(address, step)
        address += step
    return text(raw)
