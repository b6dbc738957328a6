"""The memory of the machine that crashed, out of its dump: by physical address, and as its kernel saw it.

Sources: diskdump_mod.h for the pages of a kdump file; Intel SDM volume 3, section 4.5 for the page tables;
Linux Documentation/arch/x86/x86_64/mm.rst and Documentation/admin-guide/kdump/vmcoreinfo.rst for the kernel.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol

from collector.dump import compression, elf, flattened, kdump
from collector.dump.report import Source
from collector.errors import DumpError

_PAGE = 4096
_CACHED_PAGES = 256
_KNOWN_PAGES = 1 << 14
_RANK_BYTES = 4096  # bytes of the bitmap between two counts that are kept

# x86_64
_KERNEL_MAP = 0xFFFFFFFF80000000  # __START_KERNEL_map: the kernel's own image
_TABLE_SHIFTS = (48, 39, 30, 21, 12)  # five levels; four leave out the first
_PRESENT, _LARGE = 0x1, 0x80
_ADDRESS_BITS = 0x000FFFFFFFFFF000


class Physical(Protocol):
    """Memory by physical address."""

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes. Raises: DumpError when the dump does not hold them."""
        ...


class ElfMemory:
    """The segments of an ELF core."""

    def __init__(self, source: Source, core: elf.Core) -> None:
        self._source = source
        self._loads = sorted(core.loads, key=lambda load: load.physical)
        self._starts = [load.physical for load in self._loads]

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes. Raises: DumpError."""
        parts = []
        while size > 0:
            number = bisect_right(self._starts, address) - 1
            inside = address - self._starts[number] if number >= 0 else -1
            if not 0 <= inside < (load := self._loads[number]).size:
                raise absent(address)
            part = self._source.read(load.offset + inside, min(size, load.size - inside))
            if not part:
                raise absent(address)
            parts.append(part)
            address += len(part)
            size -= len(part)
        return b"".join(parts)


class KdumpMemory:
    """The pages of a kdump-compressed dump.

    The descriptor of a page is found by counting the bits before it in the bitmap. A count is kept for every
    128 MiB of memory, so that a lookup reads 4 KiB of the bitmap and not all of it.
    """

    def __init__(self, source: Source, header: kdump.Header) -> None:
        self._source = source
        self._header = header
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._ranks = array("Q")
        count, size = 0, -(-header.max_mapnr // 8)
        for at in range(0, size, _RANK_BYTES):
            self._ranks.append(count)
            piece = source.read(header.bitmap_offset + at, min(_RANK_BYTES, size - at))
            if not piece:
                break
            count += int.from_bytes(piece, "little").bit_count()

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes. Raises: DumpError."""
        block = self._header.block_size
        parts = []
        while size > 0:
            inside = address % block
            part = self._page(address // block)[inside : inside + size]
            parts.append(part)
            address += len(part)
            size -= len(part)
        return b"".join(parts)

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._unpacked(number)
            if len(self._pages) > _CACHED_PAGES:
                self._pages.popitem(last=False)
        return page

    def _unpacked(self, number: int) -> bytes:
        header = self._header
        address = number * header.block_size
        group, bit = divmod(number, _RANK_BYTES * 8)
        if not 0 <= number < header.max_mapnr or group >= len(self._ranks):
            raise absent(address)
        bitmap = self._source.read(header.bitmap_offset + group * _RANK_BYTES, bit // 8 + 1)
        bits = int.from_bytes(bitmap, "little")
        if not bits >> bit & 1:
            raise absent(address)
        rank = self._ranks[group] + (bits & ((1 << bit) - 1)).bit_count()
        raw = self._source.read(
            header.descriptor_offset + rank * kdump.DESCRIPTOR_BYTES, kdump.DESCRIPTOR_BYTES
        )
        if len(raw) < kdump.DESCRIPTOR_BYTES:
            raise absent(address)
        offset, size, flags, _ = struct.unpack(header.order + kdump.DESCRIPTOR, raw)
        packed = self._source.read(offset, size) if 0 < size <= header.block_size and offset > 0 else b""
        if not packed:
            raise absent(address)
        return compression.unpack(flags, packed, header.block_size)


class Kernel:
    """The memory of a crashed x86_64 kernel by its own addresses.

    Args:
        physical: the memory of the machine.
        info: the kernel's VMCOREINFO.

    Raises:
        DumpError: VMCOREINFO lacks what it takes to find anything.
    """

    def __init__(self, physical: Physical, info: Mapping[str, str]) -> None:
        self._physical = physical
        self._info = info
        self._known: dict[int, int] = {}
        self._phys_base = self.number("NUMBER(phys_base)")
        self._root = self._in_image(self.symbol("init_top_pgt", "swapper_pg_dir"))
        five_levels = self.number("NUMBER(pgtable_l5_enabled)", default=0)
        self._shifts = _TABLE_SHIFTS if five_levels else _TABLE_SHIFTS[1:]
        encryption = self.number("NUMBER(sme_mask)", default=0)
        self._address_bits = _ADDRESS_BITS & ~encryption

    def names(self, symbol: str) -> bool:
        """True when the kernel says where this symbol is."""
        return f"SYMBOL({symbol})" in self._info

    def symbol(self, *names: str) -> int:
        """Return the address of the first of these symbols that the kernel named. Raises: DumpError."""
        for name in names:
            if self.names(name):
                return self.number(f"SYMBOL({name})", base=16)
        raise _unnamed(f"SYMBOL({names[0]})")

    def number(self, key: str, *, base: int = 10, default: int | None = None) -> int:
        """Return a figure of VMCOREINFO. Raises: DumpError when it is not there, or is none."""
        try:
            return int(self._info[key], base)
        except KeyError:
            if default is not None:
                return default
            raise _unnamed(key) from None
        except ValueError:
            raise _unnamed(key) from None

    def offset(self, field: str) -> int:
        """Return where `structure.field` lies in its structure. Raises: DumpError."""
        return self.number(f"OFFSET({field})")

    def size(self, structure: str) -> int:
        """Return the bytes of a structure. Raises: DumpError."""
        return self.number(f"SIZE({structure})")

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes from an address of the kernel. Raises: DumpError."""
        parts = []
        while size > 0:
            number, inside = divmod(address, _PAGE)
            part = min(size, _PAGE - inside)
            parts.append(self._physical.read(self._page(number) + inside, part))
            address += part
            size -= part
        return b"".join(parts)

    def unsigned(self, address: int, size: int = 8) -> int:
        """Return the number of `size` bytes at an address of the kernel. Raises: DumpError."""
        return int.from_bytes(self.read(address, size), "little")

    def _in_image(self, address: int) -> int:
        return (address - _KERNEL_MAP + self._phys_base) % (1 << 64)

    def _page(self, number: int) -> int:
        """Return where a page of the kernel's addresses is, and remember it, as the processor does."""
        place = self._known.get(number)
        if place is None:
            if len(self._known) >= _KNOWN_PAGES:
                self._known.clear()
            place = self._known[number] = self._translate(number * _PAGE)
        return place

    def _translate(self, address: int) -> int:
        """Walk the page tables."""
        table = self._root
        for shift in self._shifts:
            place = table + (address >> shift & 511) * 8
            entry = int.from_bytes(self._physical.read(place, 8), "little")
            if not entry & _PRESENT:
                raise DumpError(
                    f"the kernel had nothing mapped at {address:#x}",
                    hint="The dump may be of another kernel than its VMCOREINFO says.",
                )
            table = entry & self._address_bits
            if entry & _LARGE and shift in (30, 21):  # pages of 1 GiB and of 2 MiB
                break
        else:
            shift = 12
        inside = (1 << shift) - 1
        return table & ~inside | address & inside


def kernel(source: Source) -> Kernel:
    """Return the crashed kernel's memory, out of a dump of any format that is read here.

    Raises:
        DumpError: it is another format, damaged, of another architecture, or without VMCOREINFO.
    """
    if source.read(0, len(flattened.MAGIC)) == flattened.MAGIC:
        source = flattened.Stream(source)
    found: kdump.Header | elf.Core | None = None
    physical: Physical
    if source.read(0, len(kdump.MAGIC)) == kdump.MAGIC and (found := kdump.read_header(source)):
        physical = KdumpMemory(source, found)
    elif source.read(0, len(elf.MAGIC)) == elf.MAGIC and (found := elf.read_core(source)):
        physical = ElfMemory(source, found)
    else:
        raise DumpError("it is no Linux dump with whole headers", hint="`inspect` says what it is.")
    if found.identity.architecture != "x86_64":
        machine = found.identity.architecture or "an unknown machine"
        raise DumpError(
            f"the memory of a kernel on {machine} is not read here",
            hint="`makedumpfile --dump-dmesg` prints the log, on such a machine.",
        )
    return Kernel(physical, found.info)


def absent(address: int) -> DumpError:
    """The error for memory that is not in the dump."""
    return DumpError(
        f"the dump does not hold the memory at {address:#x}",
        hint="It was left out when the dump was made, or cut off.",
    )


def _unnamed(key: str) -> DumpError:
    return DumpError(
        f"the dump's VMCOREINFO does not say {key}",
        hint="The kernel is older than this can read, or the dump is of no Linux kernel.",
    )
