"""What a debugger log says about the machine and the dump; `model` says the conventions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class NoticeKind(StrEnum):
    """What the debugger remarks about the dump itself."""

    TRUNCATED = "truncated"  # the dump is shorter than it should be
    INCONSISTENT = "inconsistent"  # LiveKd, "doesn't match CR3": memory changed while it was read
    CORRUPT = "corrupt"  # "Unable to read selector for PCR"
    PAGED_OUT = "paged out"
    NO_SYMBOLS = "no symbols"
    NO_DEBUG_ACCESS = "no access"  # "<Data Not Accessible>", "not present in the dump file"
    CODE_CHANGED = "code changed"  # `!chkimg` errors: a hook, or damage
    POOL = "pool"  # starred lines of `!vm`
    SWITCHED_PROCESSOR = "32-bit code"  # "use !wow64exts.sw", "32bit mode"


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark of the debugger, as written."""

    line: int
    kind: NoticeKind
    text: str


@dataclass(frozen=True, slots=True)
class System:
    """The machine and the dump, from the debugger's banner, `version`, `vertarget` and `!sysinfo`."""

    line: int | None = None
    dump_file: str = ""
    dump_kind: str = ""  # "Kernel Complete Dump File: Full address space is available"
    version: str = ""  # "Windows Server 2003 Kernel Version 3790 (Service Pack 2) MP (4 procs) Free x86"
    build: int | None = None
    built_by: str = ""
    processors: int | None = None
    architecture: str = ""  # x86 x64 ia64 arm64
    machine_name: str = ""
    session_time: str = ""
    uptime_seconds: float | None = None
    uptime_line: int | None = None
    comment: str = ""
    manufacturer: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class VmCounter:
    """One figure of `!vm`."""

    line: int
    name: str  # "PagedPool Usage", "NonPagedPoolNx Usage", "Physical Memory"
    kb: int


@dataclass(frozen=True, slots=True)
class PageFile:
    """One paging file of `!vm`."""

    line: int
    name: str
    current_kb: int | None = None
    free_kb: int | None = None
    maximum_kb: int | None = None


@dataclass(frozen=True, slots=True)
class SessionUsage:
    """One terminal session of `!vm`."""

    line: int
    session: int
    paged_pool_kb: int | None = None
    pool_failures: int = 0
    pool_failures_line: int | None = None


@dataclass(frozen=True, slots=True)
class Vm:
    """What `!vm` says. `warnings` are its starred lines."""

    line: int
    counters: Mapping[str, VmCounter] = field(default_factory=dict)
    page_files: tuple[PageFile, ...] = ()
    sessions: tuple[SessionUsage, ...] = ()
    pool_failures: int = 0  # "N pool allocations have failed"
    pool_failures_line: int | None = None
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolTag:
    """One row of `!poolused`, in the order of the log. None for a column that was not shown."""

    line: int
    tag: str
    nonpaged_allocs: int | None = None
    nonpaged_diff: int | None = None
    nonpaged_bytes: int | None = None
    paged_allocs: int | None = None
    paged_diff: int | None = None
    paged_bytes: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """A loaded or unloaded module (`lm`, `lmv`, `!dh`)."""

    line: int
    name: str  # "MyAVDrv", "nt"; from `!dh` the name of its PDB without path and ending
    start: int | None = None
    end: int | None = None
    image: str = ""  # "MyAVDrv.sys"
    timestamp: str = ""
    file_version: str = ""
    product_version: str = ""
    company: str = ""
    description: str = ""
    pdb: str = ""
    unloaded: bool = False


@dataclass(frozen=True, slots=True)
class HandleTable:
    """The handles of one process (`!handle`), with how many of each type were shown."""

    line: int
    image: str
    count: int
    types: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Processor:
    """One CPU of `!running`, `!cpuinfo`, `!ready`."""

    line: int
    number: int
    thread: int | None = None
    idle: bool | None = None
    ready_threads: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StorageUnit:
    """A disk as storport sees it (`!storunit`)."""

    line: int
    product: str
    address: int | None = None
    outstanding: int | None = None
    state: str = ""  # "Working"


@dataclass(frozen=True, slots=True)
class DeviceStack:
    """The drivers over one another for a device (`!devstack`), from the top."""

    line: int
    devices: tuple[int, ...] = ()
    drivers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Miniport:
    """A network adapter (`!ndiskd.miniport`, or a row of `!ndiskd.miniports`)."""

    line: int
    address: int
    name: str = ""
    driver: int | None = None
    driver_name: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)  # "NBL status", "Datapath", "Resets requested"
    field_lines: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()  # Flags, PnP flags and More flags together
    pending_oid: str = ""


@dataclass(frozen=True, slots=True)
class OidRequest:
    """An OID request (`!ndiskd.oid`)."""

    line: int
    address: int | None
    name: str
    completed: bool | None = None


@dataclass(frozen=True, slots=True)
class Minidriver:
    """The handlers of a network driver (`!ndiskd.minidriver -handlers`): they name its module."""

    line: int
    address: int | None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawWord:
    """A word of a raw stack (`dds`, `dps`) that is a symbol, or an exception's code."""

    line: int
    address: int
    value: int
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class MemoryText:
    """A text in memory (`da`, `du`, `dpa`, `dpu`)."""

    line: int
    address: int
    text: str


@dataclass(frozen=True, slots=True)
class World:
    """What ran on one CPU of an ESXi host when it stopped."""

    cpu: int
    world_id: int
    name: str
