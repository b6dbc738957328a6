"""First triage of a Linux dump, from the dump alone: no debug package, no vmlinux.

drgn (extra `linux-triage`) maps virtual addresses to pages; names, types and unwinding rules are read from
the kernel's own memory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from collector.dump import elf, flattened, kdump, vmcoreinfo
from collector.dump.identify import inspect
from collector.dump.report import DumpFile, State
from collector.errors import DumpError, MissingExtraError
from collector.triage.linux_kept import Kept, kept_beside
from collector.triage.linux_kernel import Kernel, load_kernel
from collector.triage.linux_log import panic_of, read_log
from collector.triage.linux_memory import Memory
from collector.triage.linux_result import Cpu, LinuxTriage, LogLine, Task, Usage
from collector.triage.linux_suspects import find_suspects
from collector.triage.linux_tasks import Stacks, read_cpus, read_others
from collector.triage.linux_usage import read_usage
from collector.triage.linux_waits import Locks, build_chains

_MAGICS = (kdump.MAGIC, flattened.MAGIC, elf.MAGIC)


def triage_vmcore(path: Path) -> LinuxTriage:
    """Say what the dump at `path` tells of the hang.

    Raises:
        DumpError: the file is no dump of a Linux kernel that says where its data is.
        MissingExtraError: drgn is not installed.
    """
    dump = _Drgn(path)
    faults = [fault] if (fault := _fault_of(path)) else []
    kept = Kept()
    try:
        kept = kept_beside(path)
    except DumpError as error:
        faults.append(_said("what is kept beside the dump", error))
    found = triage_memory(dump, vmcoreinfo.parse(dump.info), kept)
    return replace(found, missing=(*faults, *found.missing))


def find_vmcore(where: Path) -> Path | None:
    """Return the Linux dump that `where` is, or that the case folder `where` holds; None if there is none.

    Raises:
        DumpError: a file cannot be read.
    """
    found = sorted((where / "data").rglob("vmcore*")) if where.is_dir() else [where]
    return next((path for path in found if _is_vmcore(path)), None)


def triage_memory(memory: Memory, info: dict[str, str], kept: Kept | None = None) -> LinuxTriage:
    """Say what a kernel's memory tells; what cannot be read of it is in `missing`, and the rest is told.

    Args:
        memory: the dump.
        info: the pairs of VMCOREINFO.
        kept: what of the kernel lies beside the dump.
    """
    missing: list[str] = []
    log: tuple[LogLine, ...] = ()
    try:
        log = read_log(memory, info)
    except DumpError as error:
        missing.append(_said("the kernel log", error))
    kernel: Kernel | None = None
    try:
        kernel, unnamed = load_kernel(memory, info, kept)
        missing += unnamed
    except DumpError as error:
        missing.append(_said("tasks, stacks, locks, load and memory", error))

    now = round(log[-1].seconds * 1e9) if log else 0
    tasks, cpus, usage = _running(kernel, now, missing) if kernel else ((), (), Usage(None, None, None))
    by_address = {task.address: task for task in tasks}
    locks = {}
    if kernel:
        waits = Locks(kernel, by_address)
        locks = {task.address: lock for task in tasks if not task.running and (lock := waits.of(task))}
    chains = build_chains(tasks, locks)
    panic = panic_of(log)
    return LinuxTriage(
        release=vmcoreinfo.release(info) or "",
        crash_time=vmcoreinfo.crash_time(info),
        uptime_seconds=log[-1].seconds if log else None,
        panic=panic,
        suspects=find_suspects(cpus, chains, log),
        log=log,
        cpus=cpus,
        tasks=tasks,
        chains=chains,
        usage=usage,
        missing=tuple(missing),
    )


def _running(kernel: Kernel, now: int, missing: list[str]) -> tuple[tuple[Task, ...], tuple[Cpu, ...], Usage]:
    stacks: Stacks | None = None
    try:
        stacks = Stacks(kernel)
    except DumpError as error:
        missing.append(_said("stacks", error))
    cpus: list[Cpu] = []
    others: list[Task] = []
    try:
        cpus.extend(read_cpus(kernel, stacks, now))
    except DumpError as error:
        missing.append(_said("what some CPUs did", error))
    try:
        others.extend(read_others(kernel, stacks, now, {cpu.task.address for cpu in cpus}))
    except DumpError as error:
        missing.append(_said("some tasks and their locks", error))
    tasks = sorted([*(cpu.task for cpu in cpus), *others], key=lambda task: task.idle_seconds or 0.0)
    usage, unread = read_usage(kernel)
    missing += [_said(what, error) for what, error in unread]
    return tuple(tasks), tuple(cpus), usage


def _said(what: str, error: DumpError) -> str:
    return f"{what}: {error.message}. {error.hint}"


def _fault_of(path: Path) -> str:
    """Say what is wrong with the file as a whole; empty when nothing is."""
    try:
        report = inspect(path)
    except DumpError as error:
        return _said("a part of the dump", error)
    return (
        "" if report.state is State.COMPLETE else f"a part of the dump: it is {report.state}: {report.reason}"
    )


def _is_vmcore(path: Path) -> bool:
    if not path.is_file():
        return False
    with DumpFile(path) as file:
        return file.read(0, max(map(len, _MAGICS))).startswith(_MAGICS)


class _Drgn:
    """The memory of a dump that drgn has opened."""

    def __init__(self, path: Path) -> None:
        try:
            import drgn
        except ImportError as error:
            raise MissingExtraError(
                "the triage of a Linux dump needs drgn",
                hint="Install it with: pip install 'hang-collector[linux-triage]' (Linux only).",
            ) from error
        self._program = drgn.Program()
        try:
            self._program.set_core_dump(path)
            self.info: bytes = self._program["VMCOREINFO"].string_()
        except Exception as error:
            raise DumpError(
                f"{path.name!r} cannot be opened as a Linux dump: {error}",
                hint="Look at the dump itself first: hang-collector inspect says whether it is whole.",
            ) from error

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes. Raises: DumpError."""
        try:
            raw: bytes = self._program.read(address, size)
        except Exception as error:
            raise DumpError(
                f"{size} bytes at {address:#x} are not in the dump",
                hint="makedumpfile left the page out, or the dump is cut.",
            ) from error
        return raw
