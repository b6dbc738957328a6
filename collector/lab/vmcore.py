"""Write a small vmcore that real tools accept: `makedumpfile --dump-dmesg`, `crash --osrelease`, `file`.

The memory in it is that of a made-up x86_64 machine just large enough to hold a kernel log: page tables
that map one 2 MiB page, the log's variables, the log itself, and filler pages so that the file has a size.

Sources: makedumpfile's diskdump_mod.h and makedumpfile.h for the file formats; Linux 4.18
kernel/printk/printk.c for the log records; Documentation/admin-guide/kdump/vmcoreinfo.rst for VMCOREINFO;
Intel SDM volume 3, section 4.5 for the page tables.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime

RELEASE = "4.18.0-553.el8_10.x86_64"
"""The kernel that the dump claims to be of: one that keeps its log in plain records, as 4.18 does."""

_VERSION = "#1 SMP Fri May 24 13:05:10 UTC 2024"
_PAGE = 4096

# Where things are in the made-up machine: physical addresses, and the kernel's mapping of them.
_KERNEL_BASE = 0x1000000  # 16 MiB, CONFIG_PHYSICAL_START
_KERNEL_MAP = 0xFFFFFFFF80000000  # __START_KERNEL_map; virtual = physical + this, with phys_base 0
_PGD, _PUD, _PMD, _DATA, _LOG = (_KERNEL_BASE + number * _PAGE for number in range(5))
_LOG_PAGES = 16
_FILLER = _LOG + _LOG_PAGES * _PAGE
_MOST_FILLER_PAGES = 16384  # 64 MiB

_LOG_BUF, _LOG_BUF_LEN, _LOG_FIRST, _LOG_NEXT, _MEM_MAP, _UTS = (_DATA + at for at in (0, 8, 16, 24, 32, 64))

# kdump-compressed
_HEADER = struct.Struct("<8si65s65s65s65s65s65s6xqqIiiiIIIIII")
_SUB_HEADER = struct.Struct("<Qii11Q")
_DESCRIPTOR = struct.Struct("<qIIQ")
_NOTE = struct.Struct("<III12s")
_STATUS_ZLIB = 0x1
_ZLIB_PAGE = 0x1
_HEADER_VERSION = 6
_DUMP_LEVEL = 1  # zero pages are left out

# The flattened stream
_STREAM_HEADER = struct.Struct(">16sqq")
_STREAM_HEADER_BYTES = 4096
_RECORD = struct.Struct(">qq")
_RECORD_BYTES = 32 * 1024


def kdump(
    hostname: str,
    crashed: datetime,
    dmesg: Sequence[tuple[float, str]],
    *,
    filler_pages: int = 256,
    release: str = RELEASE,
) -> bytes:
    """Return a whole kdump-compressed dump.

    Args:
        hostname: the node name; at most 64 bytes.
        crashed: when the kernel panicked.
        dmesg: the kernel log: seconds since boot, and the text. What does not fit is left out.
        filler_pages: 4 KiB pages of noise that does not compress; they give the file its size.
        release: what `uname -r` said.
    """
    if not 0 <= filler_pages <= _MOST_FILLER_PAGES:
        raise ValueError(f"filler_pages must be 0 to {_MOST_FILLER_PAGES}")
    uts = _utsname(hostname, release)
    memory = dict(_memory(uts, dmesg, filler_pages))
    seconds = int(crashed.timestamp())
    note = _vmcoreinfo_note(release, seconds)
    sub_blocks = _blocks(_SUB_HEADER.size + len(note))
    last_pfn = max(memory) + 1
    bitmap = _bitmap(memory)
    bitmap_blocks = 2 * _blocks(len(bitmap))
    note_offset = _PAGE + _SUB_HEADER.size

    header = _HEADER.pack(
        b"KDUMP   ", _HEADER_VERSION, *uts, seconds, 0, _STATUS_ZLIB, _PAGE, sub_blocks, bitmap_blocks,
        last_pfn, 0, 0, 0, 0, 1,
    )  # fmt: skip
    sub_header = _SUB_HEADER.pack(
        0, _DUMP_LEVEL, 0, 0, 0, note_offset + _NOTE.size, len(note) - _NOTE.size, note_offset, len(note),
        0, 0, 0, 0, last_pfn,
    )  # fmt: skip
    half = bitmap_blocks // 2 * _PAGE
    front = (
        header.ljust(_PAGE, b"\0")
        + (sub_header + note).ljust(sub_blocks * _PAGE, b"\0")
        + bitmap.ljust(half, b"\0") * 2
    )
    return front + _pages(memory, len(front))


def flattened(dump: bytes) -> bytes:
    """Return the same dump as the stream that `makedumpfile -F` writes to a pipe."""
    parts = [_STREAM_HEADER.pack(b"makedumpfile", 1, 1).ljust(_STREAM_HEADER_BYTES, b"\0")]
    for offset in range(0, len(dump), _RECORD_BYTES):
        piece = dump[offset : offset + _RECORD_BYTES]
        parts += [_RECORD.pack(offset, len(piece)), piece]
    return b"".join((*parts, _RECORD.pack(-1, -1)))


def _memory(
    uts: Sequence[bytes], dmesg: Sequence[tuple[float, str]], filler_pages: int
) -> Iterator[tuple[int, bytes]]:
    """Yield the machine's pages by their number (PFN)."""
    log = _log(dmesg)
    present, writable, large = 0x1, 0x2, 0x80
    virtual = _KERNEL_MAP + _KERNEL_BASE
    tables = ((_PGD, 39, _PUD, 0), (_PUD, 30, _PMD, 0), (_PMD, 21, _KERNEL_BASE, large))
    for table, shift, target, size_bit in tables:
        page = bytearray(_PAGE)
        struct.pack_into("<Q", page, (virtual >> shift) % 512 * 8, target | present | writable | size_bit)
        yield table // _PAGE, bytes(page)
    data = bytearray(_PAGE)
    struct.pack_into("<Q", data, _LOG_BUF - _DATA, _KERNEL_MAP + _LOG)
    struct.pack_into("<I", data, _LOG_BUF_LEN - _DATA, _LOG_PAGES * _PAGE)
    struct.pack_into("<I", data, _LOG_FIRST - _DATA, 0)
    struct.pack_into("<I", data, _LOG_NEXT - _DATA, len(log))
    struct.pack_into("<Q", data, _MEM_MAP - _DATA, _KERNEL_MAP + _FILLER)
    struct.pack_into("<4x65s65s65s65s65s65s", data, _UTS - _DATA, *uts)  # struct uts_namespace: kref first
    yield _DATA // _PAGE, bytes(data)
    log = log.ljust(_LOG_PAGES * _PAGE, b"\0")
    for number in range(_LOG_PAGES):
        yield _LOG // _PAGE + number, log[number * _PAGE : (number + 1) * _PAGE]
    noise = random.Random(0)  # noqa: S311 (the same dump each time, not a secret)
    for number in range(filler_pages):
        yield _FILLER // _PAGE + number, noise.randbytes(_PAGE)


def _log(dmesg: Sequence[tuple[float, str]]) -> bytes:
    """Return printk records: struct printk_log {u64 ns, u16 len, text_len, dict_len, u8 facility, flags}."""
    room = _LOG_PAGES * _PAGE - 16  # the kernel ends its ring with an empty record
    log = b""
    for seconds, line in dmesg:
        text = line.encode("ascii", "replace")[:1000]
        size = -(-(16 + len(text)) // 8) * 8
        record = struct.pack("<QHHHBB", int(seconds * 1e9), size, len(text), 0, 0, 0xC6) + text
        if len(log) + size > room:
            break
        log += record.ljust(size, b"\0")
    return log


def _utsname(hostname: str, release: str) -> tuple[bytes, ...]:
    names = ("Linux", hostname, release, _VERSION, "x86_64", "(none)")
    return tuple(name.encode("ascii", "replace")[:64] for name in names)


def _vmcoreinfo_note(release: str, crashed: int) -> bytes:
    """Return the ELF note with what a dump tool must know to find the log in the made-up machine."""
    symbols = {
        "init_uts_ns": _UTS,
        "init_top_pgt": _PGD,
        "_stext": _KERNEL_BASE,
        "log_buf": _LOG_BUF,
        "log_buf_len": _LOG_BUF_LEN,
        "log_first_idx": _LOG_FIRST,
        "log_next_idx": _LOG_NEXT,
        "mem_map": _MEM_MAP,  # with the figures of struct page: makedumpfile refuses a dump without them
    }
    lines = [
        f"OSRELEASE={release}",
        f"PAGESIZE={_PAGE}",
        *(f"SYMBOL({name})={_KERNEL_MAP + address:x}" for name, address in symbols.items()),
        "SIZE(printk_log)=16",
        "OFFSET(printk_log.ts_nsec)=0",
        "OFFSET(printk_log.len)=8",
        "OFFSET(printk_log.text_len)=10",
        "OFFSET(printk_log.dict_len)=12",
        "SIZE(page)=64",
        "OFFSET(page.flags)=0",
        "OFFSET(page._refcount)=52",
        "OFFSET(page.mapping)=24",
        "OFFSET(page.lru)=8",
        "NUMBER(phys_base)=0",
        "NUMBER(pgtable_l5_enabled)=0",
        "KERNELOFFSET=0",
        f"CRASHTIME={crashed}",
    ]
    text = "".join(line + "\n" for line in lines).encode()
    return _NOTE.pack(len("VMCOREINFO") + 1, len(text), 0, b"VMCOREINFO") + text


def _pages(memory: dict[int, bytes], start: int) -> bytes:
    """Return the page descriptors, which begin at file offset `start`, and the pages after them."""
    at = start + len(memory) * _DESCRIPTOR.size
    descriptors, bodies = [], []
    for _, page in sorted(memory.items()):
        packed = zlib.compress(page, 1)
        flags, body = (_ZLIB_PAGE, packed) if len(packed) < _PAGE else (0, page)
        descriptors.append(_DESCRIPTOR.pack(at, len(body), flags, 0))
        bodies.append(body)
        at += len(body)
    return b"".join(descriptors) + b"".join(bodies)


def _bitmap(pfns: dict[int, bytes]) -> bytes:
    """Return one bit for each page number, the lowest first."""
    return sum(1 << pfn for pfn in pfns).to_bytes(max(pfns) // 8 + 1, "little")


def _blocks(size: int) -> int:
    return -(-size // _PAGE)
