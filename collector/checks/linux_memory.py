"""Memory: how much to reserve for the capture kernel, how large the dump, how long it takes to write."""

from __future__ import annotations

from collector.checks.family import Family
from collector.model.audit import DumpEstimate
from collector.model.fact import Facts, number, value

_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3

Table = tuple[tuple[int, int], ...]
# Each row: from this much memory on (GiB), so much is reserved (MiB). Sources: kdump-lib.sh of kdump-utils
# (2026); Debian's grub.d/kdump-tools.cfg is 128M in 12 and 192M in 13, and capture ran out of memory with
# less than 256M in the field.
_X86 = ((0, 192), (2, 256), (64, 512))
_ARM = ((0, 256), (4, 320), (64, 576))
_POWER = ((0, 384), (4, 512), (16, 1024), (64, 2048), (128, 4096))
_DEBIAN = ((0, 128), (2, 192), (64, 512))

_START_S = 60.0  # from the NMI to the first page: kexec, the capture kernel's boot, its file systems
_SCAN_S_PER_GIB = 0.5  # makedumpfile goes through every page once
_WRITE_BYTES_PER_S = 50 * _MIB  # one thread, with compression
_PAGE_DESCRIPTOR_SHARE = 64  # struct page: 64 bytes for each page of 4096

# Bits of `makedumpfile -d`, makedumpfile(8): what is left out.
_ZERO, _CACHE, _PRIVATE_CACHE, _USER, _FREE = 1, 2, 4, 8, 16


def ram_bytes(facts: Facts) -> int | None:
    """All memory: what the kernel manages, and what is reserved for the capture kernel."""
    total = _meminfo(facts).get("MemTotal")
    return None if total is None else total + (crash_bytes(facts) or 0)


def crash_bytes(facts: Facts) -> int | None:
    """What is reserved for the capture kernel."""
    size = number(facts, "kexec_crash_size")
    return None if size is None else int(size)


def recommended_bytes(ram: int, machine: str, family: Family | None) -> int:
    """How much to reserve on a machine with `ram` bytes."""
    table: Table
    if machine.startswith("ppc"):
        table = _POWER
    elif machine.startswith(("aarch64", "arm")):
        table = _ARM
    else:
        table = _DEBIAN if family is Family.DEBIAN else _X86
    return max(mib for gib, mib in table if ram >= gib * _GIB) * _MIB


def estimate(facts: Facts, level: int = 31) -> DumpEstimate | None:
    """The dump's size and time for `makedumpfile -d level`, from /proc/meminfo; None without it.

    The size is an upper one: compression is not counted on.
    """
    memory, ram = _meminfo(facts), ram_bytes(facts)
    if ram is None:
        return None
    kernel = ("Slab", "KernelStack", "PageTables", "Percpu", "VmallocUsed")
    size = ram // _PAGE_DESCRIPTOR_SHARE + sum(memory.get(name, 0) for name in kernel)
    parts = ["kernel memory"]
    for bits, name, field in (
        (_CACHE | _PRIVATE_CACHE, "cache", "Cached"),
        (_USER, "user pages", "AnonPages"),
        (_FREE, "free pages", "MemFree"),
    ):
        if level & bits != bits:
            size += memory.get(field, 0)
            parts.append(name)
    size = min(size, ram)
    seconds = _START_S + ram / _GIB * _SCAN_S_PER_GIB + size / _WRITE_BYTES_PER_S
    how = (
        f"{' + '.join(parts)} by /proc/meminfo for makedumpfile -d {level}, uncompressed; "
        f"{_START_S:.0f} s to start, {_SCAN_S_PER_GIB} s a GiB to scan, "
        f"{_WRITE_BYTES_PER_S // _MIB} MiB/s to write"
    )
    return DumpEstimate(size, seconds, how)


def _meminfo(facts: Facts) -> dict[str, int]:
    """The fields of /proc/meminfo in bytes, proc(5)."""
    fields: dict[str, int] = {}
    for line in (value(facts, "meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isascii() and words[0].isdecimal() and len(words[0]) < 20:  # noqa: PLR2004
            fields[name] = int(words[0]) * _KIB
    return fields
