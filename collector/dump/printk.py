"""The kernel's log (dmesg) out of the memory of a crashed kernel, without debug symbols.

Sources: Linux kernel/printk/printk.c, `struct printk_log`, for the records of kernels up to 5.9;
kernel/printk/printk_ringbuffer.[ch] for the ring of 5.10 and later; log_buf_vmcoreinfo_setup() in printk.c,
by which either describes itself in VMCOREINFO.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.dump.memory import Kernel
from collector.errors import DumpError

_MOST_LOG_BYTES = 1 << 31  # LOG_BUF_LEN_MAX
_MOST_DESCRIPTOR_BITS = 26  # a ring of the largest log has so many records of 32 bytes
_MOST_RECORDS = 1 << 22

_MOST_TEXT = 32 << 20  # characters of log that are kept
_RECORD_COST = 100  # characters that a record costs in memory besides its text
LONGEST_READ = 20.0
"""Seconds. A log of 32 MiB is read in half of that; a damaged ring could lead on for minutes."""

_WORD = 8  # bytes of an unsigned long
_STATE_SHIFT = 62  # the state of a descriptor is in its two highest bits
_ID = (1 << _STATE_SHIFT) - 1
_READABLE = (1, 2)  # desc_committed, desc_finalized; 0 is reserved, 3 reusable
_NO_TEXT = 1  # the lowest bit of a position that leads to no text (FAILED_LPOS 1, EMPTY_LINE_LPOS 3)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log: nanoseconds since boot, and its text, which may have several lines."""

    nanoseconds: int
    text: str

    def __str__(self) -> str:
        """The record as `dmesg` prints it."""
        seconds, rest = divmod(self.nanoseconds, 10**9)
        stamp = f"[{seconds:5}.{rest // 1000:06}] "
        return stamp + self.text.replace("\n", "\n" + " " * len(stamp))


@dataclass(frozen=True, slots=True)
class Log:
    """What could be read of the log, oldest first; not `whole` when older records were left out."""

    records: Sequence[Record]
    whole: bool


def read(kernel: Kernel, seconds: float = LONGEST_READ) -> Log:
    """Read the log from its newest record back, for the last words matter most.

    Args:
        kernel: the crashed kernel.
        seconds: how long that may take; what is older than what was read by then is left out.

    Raises:
        DumpError: the log is not in the dump, or the kernel does not say where it is.
    """
    ends, room = time.monotonic() + seconds, _MOST_TEXT
    kept: deque[Record] = deque()
    for record in _ring(kernel) if kernel.names("prb") else _plain(kernel):
        if record is not None:
            kept.appendleft(record)
            room -= len(record.text) + _RECORD_COST
        if room < 0 or time.monotonic() > ends:
            return Log(kept, whole=False)
    return Log(kept, whole=True)


def _plain(kernel: Kernel) -> Iterator[Record | None]:
    """The records of kernels up to 5.9, newest first, and None for each step on the way to the newest.

    They lie one after the other in a buffer, and only the oldest is known; one of no length wraps around.
    """
    buffer = kernel.unsigned(kernel.symbol("log_buf"))
    size = kernel.unsigned(kernel.symbol("log_buf_len"), 4)
    at = kernel.unsigned(kernel.symbol("log_first_idx"), 4)
    end = kernel.unsigned(kernel.symbol("log_next_idx"), 4)
    header = kernel.size("printk_log")
    when, length, text_length = (
        kernel.offset(f"printk_log.{field}") for field in ("ts_nsec", "len", "text_len")
    )
    places, wrapped = array("I"), False
    while at != end and at + header <= min(size, _MOST_LOG_BYTES) and len(places) < _MOST_RECORDS:
        step = kernel.unsigned(buffer + at + length, 2)
        if not step and wrapped:
            break
        if step:
            places.append(at)
        at, wrapped = (at + step, wrapped) if step else (0, True)
        yield None
    for place in reversed(places):
        text = kernel.read(buffer + place + header, kernel.unsigned(buffer + place + text_length, 2))
        yield _record(kernel.unsigned(buffer + place + when), text)


class _Ring:
    """Where the parts of the ring of 5.10 and later are."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        ring = kernel.unsigned(kernel.symbol("prb"))
        descriptors = ring + kernel.offset("printk_ringbuffer.desc_ring")
        text = ring + kernel.offset("printk_ringbuffer.text_data_ring")
        counter = kernel.offset("atomic_long_t.counter")

        def descriptor_ring(field: str) -> int:
            return descriptors + kernel.offset(f"prb_desc_ring.{field}")

        self.bits = kernel.unsigned(descriptor_ring("count_bits"), 4)
        self.text_bits = kernel.unsigned(text + kernel.offset("prb_data_ring.size_bits"), 4)
        if self.bits > _MOST_DESCRIPTOR_BITS or 1 << self.text_bits > _MOST_LOG_BYTES:
            raise DumpError(
                f"the kernel's log is said to have 2^{self.bits} records in 2^{self.text_bits} bytes",
                hint="The dump is damaged there; `strings` may still find the log's text.",
            )
        self.descriptors = kernel.unsigned(descriptor_ring("descs"))
        self.infos = kernel.unsigned(descriptor_ring("infos"))
        self.oldest = kernel.unsigned(descriptor_ring("tail_id") + counter)
        self.newest = kernel.unsigned(descriptor_ring("head_id") + counter)
        self.text = kernel.unsigned(text + kernel.offset("prb_data_ring.data"))
        self.state = kernel.offset("prb_desc.state_var") + counter
        block = kernel.offset("prb_desc.text_blk_lpos")
        self.begin = block + kernel.offset("prb_data_blk_lpos.begin")
        self.next = block + kernel.offset("prb_data_blk_lpos.next")
        self.when = kernel.offset("printk_info.ts_nsec")
        self.length = kernel.offset("printk_info.text_len")
        self.descriptor_bytes, self.info_bytes = kernel.size("prb_desc"), kernel.size("printk_info")

    def record(self, number: int) -> Record | None:
        """Return the record with this id; None when it was being written, or has been overwritten."""
        kernel = self._kernel
        index = number & (1 << self.bits) - 1
        descriptor = self.descriptors + index * self.descriptor_bytes
        state = kernel.unsigned(descriptor + self.state)
        if state >> _STATE_SHIFT not in _READABLE or (state ^ number) & _ID:
            return None
        info = self.infos + index * self.info_bytes
        begin = kernel.unsigned(descriptor + self.begin)
        end = kernel.unsigned(descriptor + self.next)
        text = self._text(begin, end, kernel.unsigned(info + self.length, 2))
        return _record(kernel.unsigned(info + self.when), text)

    def _text(self, begin: int, end: int, length: int) -> bytes:
        """Return a record's text. Positions count on forever; a block that would wrap begins at the start."""
        size = 1 << self.text_bits
        if begin & _NO_TEXT or begin == end:
            return b""
        start, stop = begin % size, end % size or size
        if begin // size != (end - 1) // size:
            start = 0
        block = stop - start - _WORD  # each block begins with the id of its record
        return self._kernel.read(self.text + start + _WORD, max(0, min(length, block)))


def _ring(kernel: Kernel) -> Iterator[Record | None]:
    """The records of 5.10 and later, newest first: descriptors and texts in rings of their own."""
    ring = _Ring(kernel)
    count = (ring.newest - ring.oldest & _ID) + 1
    for step in range(min(count, 1 << ring.bits, _MOST_RECORDS)):
        yield ring.record(ring.newest - step)


def _record(nanoseconds: int, text: bytes) -> Record:
    """Make a record whose text can do nothing in a terminal."""
    decoded = text.decode("utf-8", "backslashreplace").rstrip("\n")
    harmless = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in decoded)
    return Record(nanoseconds, harmless)
