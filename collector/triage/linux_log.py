"""The kernel's log, read by VMCOREINFO alone, and the lines of it that speak of a hang.

Source: Linux kernel/printk/printk_ringbuffer.h (the ring since 5.10, its states and its blocks);
Documentation/admin-guide/kdump/gdbmacros.txt. The lines' texts: kernel/hung_task.c, kernel/watchdog.c,
kernel/watchdog_hld.c, kernel/rcu/tree_stall.h, kernel/panic.c, arch/x86/kernel/nmi.c, mm/oom_kill.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from collector.errors import DumpError
from collector.triage.linux_memory import Memory, damaged, number, text
from collector.triage.linux_result import Highlight, LogLine, Panic

_MOST_RECORDS = 100_000
_LONGEST_RECORD = 4096
_STATE_SHIFT = 62
_ID_MASK = (1 << _STATE_SHIFT) - 1
_READABLE_STATES = {1, 2}  # committed, finalized
_DATALESS = 1
_BLOCK_ID_BYTES = 8
_MOST_BITS = 32

_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
_PANIC_CPU = re.compile(r"CPU: (\d{1,5}) (?:UID: \d+ )?PID: \d+ Comm: ")
_SYSRQ = re.compile(r"sysrq: Trigger a crash")
_BY_NMI = re.compile(r"NMI: Not continuing|NMI received for unknown reason|NMI IOCK|Got an NMI")

_HIGHLIGHTS: tuple[tuple[Highlight, re.Pattern[str]], ...] = (
    (Highlight.PANIC, re.compile(f"{_PANIC.pattern}|{_SYSRQ.pattern}")),
    (Highlight.NMI, re.compile(r"NMI received for unknown reason|NMI: IOCK error|NMI: PCI system error")),
    (Highlight.HARD_LOCKUP, re.compile(r"Watchdog detected hard LOCKUP")),
    (Highlight.SOFT_LOCKUP, re.compile(r"BUG: soft lockup - CPU#\d+ stuck for")),
    (Highlight.HUNG_TASK, re.compile(r"INFO: task .{1,64}:\d+ blocked (?:in I/O wait )?for more than")),
    (Highlight.RCU_STALL, re.compile(r"detected (?:expedited )?stalls? on|self-detected stall|starved for")),
    (Highlight.OOPS, re.compile(r"\bOops\b|general protection fault|BUG: (?!soft lockup)|kernel BUG at")),
    (Highlight.OUT_OF_MEMORY, re.compile(r"Out of memory: Kill|invoked oom-killer")),
    (Highlight.STORAGE, re.compile(r"I/O error|server \S+ not responding|timing out command|I/O timeout")),
)


def read_log(memory: Memory, info: Mapping[str, str]) -> tuple[LogLine, ...]:
    """Return the newest lines of the kernel log, oldest first.

    Args:
        memory: the dump.
        info: the pairs of VMCOREINFO.

    Raises:
        DumpError: VMCOREINFO does not describe the log, or the log is damaged or not in the dump.
    """
    if "SYMBOL(prb)" not in info:
        raise DumpError(
            "VMCOREINFO does not describe the kernel log",
            hint="Kernels before 5.10 keep it otherwise: run makedumpfile --dump-dmesg on the dump.",
        )
    try:
        records = list(_records(memory, info))
    except (KeyError, ValueError) as error:
        raise damaged("VMCOREINFO lacks a part of the kernel log") from error
    return tuple(
        LogLine(stamp / 1e9, line, highlight_of(line))
        for stamp, raw in records
        for line in map(text, raw.split(b"\n"))
    )


def highlight_of(line: str) -> Highlight | None:
    """Say why a person should read the line first, if he should."""
    return next((kind for kind, pattern in _HIGHLIGHTS if pattern.search(line)), None)


def panic_of(log: Iterable[LogLine]) -> Panic | None:
    """Return why the kernel says it stopped; None when it does not say that it did."""
    reason, cpu, by_nmi = "", None, False
    for line in log:
        if match := _PANIC.search(line.text):
            reason = match[1]
        elif not reason and _SYSRQ.search(line.text):
            reason = "crash asked for by sysrq"
        elif reason and cpu is None and (match := _PANIC_CPU.search(line.text)):
            cpu = int(match[1])
        by_nmi = by_nmi or bool(_BY_NMI.search(line.text))
    return Panic(reason, cpu, by_nmi) if reason else None


def _records(memory: Memory, info: Mapping[str, str]) -> Iterator[tuple[int, bytes]]:
    """Yield when (nanoseconds since boot) and what of each record that is complete."""
    offset = {key[7:-1]: int(value) for key, value in info.items() if key.startswith("OFFSET(")}
    ring = number(memory, int(info["SYMBOL(prb)"], 16))
    descriptors = ring + offset["printk_ringbuffer.desc_ring"]
    data_ring = ring + offset["printk_ringbuffer.text_data_ring"]

    def of(base: int, member: str, size: int = 8) -> int:
        return number(memory, base + offset[member], size)

    bits = of(descriptors, "prb_desc_ring.count_bits", 4), of(data_ring, "prb_data_ring.size_bits", 4)
    if max(bits) > _MOST_BITS:
        raise damaged(f"the kernel log has 2^{max(bits)} records or bytes")
    count, size = 1 << bits[0], 1 << bits[1]
    slots, infos = of(descriptors, "prb_desc_ring.descs"), of(descriptors, "prb_desc_ring.infos")
    data = of(data_ring, "prb_data_ring.data")
    newest = of(descriptors, "prb_desc_ring.head_id")
    available = (newest - of(descriptors, "prb_desc_ring.tail_id") & _ID_MASK) + 1
    used = min(available, count, _MOST_RECORDS)

    for number_of_record in range(newest - used + 1, newest + 1):
        record = number_of_record & _ID_MASK
        slot = slots + record % count * int(info["SIZE(prb_desc)"])
        state = of(slot, "prb_desc.state_var")
        if state & _ID_MASK != record or state >> _STATE_SHIFT not in _READABLE_STATES:
            continue
        block = slot + offset["prb_desc.text_blk_lpos"]
        begin, end = of(block, "prb_data_blk_lpos.begin"), of(block, "prb_data_blk_lpos.next")
        if begin & _DATALESS:
            continue
        about = infos + record % count * int(info["SIZE(printk_info)"])
        length = min(of(about, "printk_info.text_len", 2), _LONGEST_RECORD)
        # A block that would pass the end of the ring starts at its beginning.
        start = begin % size if begin // size == end // size or end % size == 0 else 0
        if start + _BLOCK_ID_BYTES + length > size:
            raise damaged("a record of the kernel log passes the end of its ring")
        yield of(about, "printk_info.ts_nsec"), memory.read(data + start + _BLOCK_ID_BYTES, length)
