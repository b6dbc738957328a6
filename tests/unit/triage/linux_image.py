"""A kernel's memory made by hand: symbols, types, unwinding rules and the log, in its own formats."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.errors import DumpError

Members = Sequence[tuple[str, str, int]]
"""Name, type and offset in bits of each member; `name:3` is a bit-field of three bits."""


@dataclass
class Image:
    """Pieces of memory by address; what no piece covers is not in the dump."""

    pieces: dict[int, bytes] = field(default_factory=dict)

    def put(self, address: int, data: bytes) -> int:
        self.pieces[address] = data
        return address

    def words(self, address: int, *values: int) -> int:
        return self.put(address, struct.pack(f"<{len(values)}Q", *values))

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.pieces.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise DumpError(f"no {size} bytes at {address:#x}", hint="none")


def kallsyms(image: Image, symbols: Mapping[str, int], *, absolute_per_cpu: bool = True) -> dict[str, str]:
    """Put a table of symbols into the image; return what VMCOREINFO says of it."""
    base = 0xFFFFFFFF81000000
    tokens = [bytes([index]) for index in range(256)]
    tokens[1] = b"init"  # a token of several letters, as the compressor makes them
    table, index = b"", []
    for token in tokens:
        index.append(len(table))
        table += token + b"\0"
    names, offsets = b"", b""
    for name, address in symbols.items():
        packed = ("T" + name).encode().replace(b"init", b"\1")
        length = len(packed)
        names += bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
        names += packed
        if absolute_per_cpu:
            offsets += struct.pack("<i", address if address < 1 << 31 else base - 1 - address)
        else:
            offsets += struct.pack("<I", address - base)
    start = base + 0x1000000
    places = {
        "kallsyms_offsets": image.put(start, offsets),
        "kallsyms_relative_base": image.words(start + 0x100000, base),
        "kallsyms_num_syms": image.put(start + 0x200000, struct.pack("<I", len(symbols))),
        "kallsyms_names": start + 0x300000,
        "kallsyms_token_table": start + 0x300000 + len(names),
    }
    image.put(places["kallsyms_names"], names + table + bytes(512))
    places["kallsyms_token_index"] = image.put(start + 0x500000, struct.pack("<256H", *index))
    places["_stext"] = symbols["_stext"]
    return {f"SYMBOL({name})": f"{place:x}" for name, place in places.items()}


def btf(structures: Mapping[str, tuple[int, Members]]) -> bytes:
    """BTF of structures whose members are `u8`, `u16`, `u32`, `u64`, `u8[16]`, or other structures."""
    text, types, numbers = b"\0", b"", {}

    def name(string: str) -> int:
        nonlocal text
        at = len(text)
        text += string.encode() + b"\0"
        return at

    def add(label: str, raw: bytes) -> None:
        nonlocal types
        numbers[label] = len(numbers) + 1
        types += raw

    for bits in (8, 16, 32, 64):
        add(f"u{bits}", struct.pack("<IIII", name(f"u{bits}"), 1 << 24, bits // 8, bits))
    add("u8[16]", struct.pack("<IIIIII", 0, 3 << 24, 0, numbers["u8"], numbers["u32"], 16))
    for label, (size, members) in structures.items():
        fields = [(part.partition(":"), kind, at) for part, kind, at in members]
        flag = any(bits for (_, _, bits), _, _ in fields)
        shown = 0 if label.startswith("unnamed") else name(label)
        raw = struct.pack("<III", shown, flag << 31 | 4 << 24 | len(members), size)
        for (member, _, bits), kind, at in fields:
            shown = 0 if member.startswith("unnamed") else name(member)
            raw += struct.pack("<III", shown, numbers[kind], int(bits or 0) << 24 | at)
        add(label, raw)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(text)) + types + text


ORC_ENTRY: Members = (
    ("sp_offset", "u16", 0),
    ("bp_offset", "u16", 16),
    ("sp_reg:4", "u32", 32),
    ("bp_reg:4", "u32", 36),
    ("type:2", "u32", 40),
    ("end:1", "u32", 42),
)
"""struct orc_entry of Linux 5.2 to 6.2."""

NEW_ORC_ENTRY: Members = (*ORC_ENTRY[:4], ("type:3", "u32", 40), ("signal:1", "u32", 43))
"""struct orc_entry since Linux 6.4."""


def orc_entry(
    sp_offset: int, *, sp_reg: int = 5, bp_offset: int = 0, bp_reg: int = 0, kind: int = 0
) -> bytes:
    """An entry; `kind` is the type as the layout counts it."""
    return struct.pack("<hhH", sp_offset, bp_offset, sp_reg | bp_reg << 4 | kind << 8)


def printk_ring(image: Image, lines: Sequence[tuple[int, str]], *, size_bits: int = 12) -> dict[str, str]:
    """Put a log into the image, oldest line first; return what VMCOREINFO says of it."""
    ring, descs, infos, data = (0xFFFFFFFF90000000 + 0x100000 * index for index in range(4))
    count_bits, first = 4, 7
    count, size = 1 << count_bits, 1 << size_bits
    slots, abouts, text = [bytes(24)] * count, [bytes(24)] * count, bytearray(size)
    at = size - 64 if len(lines) > 1 else 0  # so that a log of several lines goes past the end of the ring
    for number, (stamp, line) in enumerate(lines, first):
        raw = line.encode()
        block = 8 + len(raw) + 7 & ~7
        begin = at
        if begin // size != (begin + block - 1) // size:
            at = (begin // size + 1) * size
        text[at % size + 8 : at % size + 8 + len(raw)] = raw
        at += block
        slots[number % count] = struct.pack("<QQQ", 2 << 62 | number, begin, at)
        abouts[number % count] = struct.pack("<QQHxxxxxx", number, stamp, len(raw))
    image.words(ring, ring + 64)
    image.put(
        ring + 64,
        struct.pack("<Q4Q", count_bits, descs, infos, first + len(lines) - 1, first)
        + struct.pack("<QQ", size_bits, data),
    )
    image.put(descs, b"".join(slots))
    image.put(infos, b"".join(abouts))
    image.put(data, bytes(text))
    offsets = {
        "printk_ringbuffer.desc_ring": 0,
        "printk_ringbuffer.text_data_ring": 40,
        "prb_desc_ring.count_bits": 0,
        "prb_desc_ring.descs": 8,
        "prb_desc_ring.infos": 16,
        "prb_desc_ring.head_id": 24,
        "prb_desc_ring.tail_id": 32,
        "prb_data_ring.size_bits": 0,
        "prb_data_ring.data": 8,
        "prb_desc.state_var": 0,
        "prb_desc.text_blk_lpos": 8,
        "prb_data_blk_lpos.begin": 0,
        "prb_data_blk_lpos.next": 8,
        "printk_info.ts_nsec": 8,
        "printk_info.text_len": 16,
    }
    return {
        "SYMBOL(prb)": f"{ring:x}",
        "SIZE(prb_desc)": "24",
        "SIZE(printk_info)": "24",
        **{f"OFFSET({name})": str(offset) for name, offset in offsets.items()},
    }
