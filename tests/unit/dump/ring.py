"""A machine whose kernel keeps its log in the ring of 5.10 and later: an ELF core, laid out by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence

BASE = 0x1000000
MAP = 0xFFFFFFFF80000000
PAGE = 4096
DESCRIPTOR_BITS, TEXT_BITS = 4, 10
RING, DESCRIPTORS, INFOS, TEXT = (BASE + (3 + number) * PAGE for number in range(4))
UTS_NAMESPACE = INFOS + 2048
COMMITTED, FINALIZED, REUSABLE = 1, 2, 3
NO_TEXT = (3, 3)

INFO = f"""OSRELEASE=6.1.0
SYMBOL(init_top_pgt)={MAP + BASE:x}
SYMBOL(prb)={MAP + RING:x}
NUMBER(phys_base)=0
NUMBER(pgtable_l5_enabled)=0
OFFSET(printk_ringbuffer.desc_ring)=8
OFFSET(printk_ringbuffer.text_data_ring)=64
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=8
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
OFFSET(atomic_long_t.counter)=0
SYMBOL(init_uts_ns)={MAP + UTS_NAMESPACE:x}
OFFSET(uts_namespace.name)=8
"""


def core(
    texts: Sequence[bytes],
    *,
    first: int = 1 << 40,
    begin: int = 1 << 40,
    states: dict[int, int] | None = None,
    info: str = INFO,
    hostname: bytes = b"",
) -> bytes:
    """An ELF core with these texts in its log, a second apart.

    Args:
        texts: the records, oldest first; an empty one has no text at all.
        first: the id of the first record: ids count on forever.
        begin: the position of the first text: positions do too.
        states: the state of a record by its number, where it is not finalized.
        info: VMCOREINFO.
        hostname: the name of the node in the kernel's `init_uts_ns`.
    """
    memory = bytearray(7 * PAGE)

    def put(address: int, form: str, *values: int | bytes) -> None:
        struct.pack_into(form, memory, address - BASE, *values)

    for level, shift in enumerate((39, 30)):  # two tables, and one page of 2 MiB
        put(BASE + level * PAGE + (MAP + BASE >> shift) % 512 * 8, "<Q", BASE + (level + 1) * PAGE | 3)
    put(BASE + 2 * PAGE + (MAP + BASE >> 21) % 512 * 8, "<Q", BASE | 0x83)

    put(RING, "<Q", MAP + RING + 8)  # prb is a pointer; the ring itself follows it
    put(RING + 16, "<I", DESCRIPTOR_BITS)
    put(RING + 24, "<QQ", MAP + DESCRIPTORS, MAP + INFOS)
    put(RING + 40, "<QQ", first + len(texts) - 1, first)
    put(RING + 72, "<I", TEXT_BITS)
    put(RING + 80, "<Q", MAP + TEXT)
    size = 1 << TEXT_BITS
    for number, text in enumerate(texts):
        index = (first + number) % (1 << DESCRIPTOR_BITS)
        lpos = NO_TEXT
        if text:
            block = 8 + -(-len(text) // 8) * 8
            end = begin + block
            place = begin % size
            if begin // size != (end - 1) // size:
                place, end = 0, begin // size * size + size + block
            memory[TEXT - BASE + place + 8 : TEXT - BASE + place + 8 + len(text)] = text
            lpos, begin = (begin, end), end
        state = (states or {}).get(number, FINALIZED)
        put(DESCRIPTORS + index * 24, "<QQQ", state << 62 | first + number, *lpos)
        put(INFOS + index * 88 + 8, "<QH", number * 10**9, len(text))

    put(UTS_NAMESPACE + 8 + 65, "65s", hostname)
    note = struct.pack("<III12s", 11, len(info), 0, b"VMCOREINFO") + info.encode()
    start = 64 + 2 * 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    table = struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(note), 0, 0)
    table += struct.pack("<IIQQQQQQ", 1, 0, start + len(note), 0, BASE, len(memory), 0, 0)
    return header + table + note + bytes(memory)
