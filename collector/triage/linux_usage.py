"""Load and memory of a stopped kernel.

Source: Linux include/linux/sched/loadavg.h (FSHIFT), mm/page_alloc.c, include/linux/mmzone.h.
"""

from __future__ import annotations

from collector.errors import DumpError
from collector.triage.linux_kernel import Kernel
from collector.triage.linux_result import Usage

_LOAD_ONE = 1 << 11  # FIXED_1
_PAGE_BYTES = 4096  # on x86-64, the one architecture whose stacks are read


def read_usage(kernel: Kernel) -> tuple[Usage, tuple[tuple[str, DumpError], ...]]:
    """Return load and memory, and for each that cannot be read its name and why."""
    missing: list[tuple[str, DumpError]] = []
    load: tuple[float, float, float] | None = None
    total: int | None = None
    free: int | None = None
    try:
        averages = kernel.symbols.address("avenrun")
        one, five, fifteen = (kernel.number(averages + 8 * index) / _LOAD_ONE for index in range(3))
        load = one, five, fifteen
    except DumpError as error:
        missing.append(("load", error))
    try:
        total = kernel.number(kernel.symbols.address("_totalram_pages")) * _PAGE_BYTES
        at = 8 * kernel.btf.constant("zone_stat_item", "NR_FREE_PAGES")
        pages = kernel.number(kernel.symbols.address("vm_zone_stat") + at, signed=True)
        free = max(pages, 0) * _PAGE_BYTES  # CPUs keep changes of their own, so it may be a little below zero
    except DumpError as error:
        missing.append(("memory", error))
    return Usage(load, total, free), tuple(missing)
