"""Memory of a Windows host: how large a dump of it may become, and how much room Microsoft asks for.

Microsoft's own pages disagree. What is enough by the strictest of them is OK; what only the most generous one
calls enough may work, and is said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.checks.windows_read import DumpType, dump_type, is_hyperv_host, whole
from collector.model.audit import DumpEstimate
from collector.model.fact import Facts, value

_MIB, _GIB = 1024**2, 1024**3

LARGE = 32 * _GIB
"""From more memory than this on, Microsoft advises against complete dumps."""

_BYTES_PER_S = 100 * _MIB
_SMALL = 2 * _MIB
_KERNEL_USUAL = 40 * _GIB
_KERNEL_LOOSE = (2 * _GIB, 16 * _GIB)
# From this much memory on, so much for a dump without user pages: the sizes that Azure Local sets on its
# hosts, where they are more than what Microsoft calls usual.
_KERNEL_LARGE = ((0, _KERNEL_USUAL), (128 * _GIB + 1, 64 * _GIB), (768 * _GIB, 128 * _GIB))


@dataclass(frozen=True, slots=True)
class Requirement:
    """Bytes that the page file, or the dedicated dump file, must have.

    `strict` is enough by every source, `loose` by one of them.
    """

    loose: int
    strict: int


def ram_bytes(facts: Facts) -> int | None:
    """All physical memory, with what the firmware keeps for itself where Windows tells."""
    sizes = [whole(value(facts, name)) for name in ("ram", "ram_installed")]
    return max((size for size in sizes if size), default=None)


def requirement(facts: Facts) -> Requirement | None:
    """What the configured dump needs; None when its type or the memory is not known, or no dump is set.

    Sources: Microsoft, "How to determine the appropriate page file size for 64-bit versions of Windows" and
    "Dump configuration recommendations" (complete: RAM and 257 MB, 300 MB advised; "normally" less than 40 GB
    for a kernel dump); "Configure system failure and recovery options" (kernel: RAM and 128 MB; complete: RAM
    and 1 MB); field practice of 2 to 16 GB for a kernel dump.
    """
    kind, ram = dump_type(facts), ram_bytes(facts)
    if kind is None or kind is DumpType.NONE or ram is None:
        return None
    if kind is DumpType.SMALL:
        return Requirement(_SMALL, _SMALL)
    kernel = _kernel(ram)
    if kind.kernel_only or (kind is DumpType.ACTIVE and is_hyperv_host(facts)):
        return kernel
    if kind is DumpType.ACTIVE:
        return Requirement(kernel.loose, ram + 300 * _MIB)
    return Requirement(ram + _MIB, ram + 300 * _MIB)


def dump_estimate(facts: Facts) -> DumpEstimate | None:
    """The dump's likely size, and the seconds from the NMI until it is in the page file.

    A complete dump is all of memory; a kernel's share is about a third (Microsoft, "Kernel memory dump"), and
    so is an active dump on a Hyper-V host, whose guests are left out. 1 TiB takes 175 minutes at 100 MiB/s
    (Microsoft, "Dump configuration recommendations").
    """
    kind, ram = dump_type(facts), ram_bytes(facts)
    if kind is None or kind is DumpType.NONE or ram is None:
        return None
    if kind is DumpType.SMALL:
        size, share = _SMALL, "a small dump"
    elif kind.kernel_only or (kind is DumpType.ACTIVE and is_hyperv_host(facts)):
        size, share = (
            min(ram // 3, _KERNEL_USUAL),
            f"a third of memory for {_article(kind)} dump, 40 GiB at most",
        )
    else:
        most = "" if kind is DumpType.COMPLETE else " at most"
        size, share = ram, f"all of memory{most} for {_article(kind)} dump"
    how = (
        f"{share}; {_BYTES_PER_S // _MIB} MiB/s to write, and after the restart as long again "
        "to copy it out of the page file"
    )
    return DumpEstimate(size, size / _BYTES_PER_S, how)


def _kernel(ram: int) -> Requirement:
    usual = max(size for start, size in _KERNEL_LARGE if ram >= start)
    strict = min(ram + 128 * _MIB, usual)
    least, most = _KERNEL_LOOSE
    return Requirement(min(max(ram // 3, least), most, strict), strict)


def _article(kind: DumpType) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
