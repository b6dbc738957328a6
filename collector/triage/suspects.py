"""Who stands at the end of a chain, and whose code it is in there.

The first module under the wait that is neither the system's own nor one that only hands calls on is named,
for the frames above it did what it asked for, and those below it asked it.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.triage import waits
from collector.triage.machine import Module
from collector.triage.model import DebuggerLog, Frame, Thread
from collector.triage.modules import Modules, stem
from collector.triage.waitgraph import Chain
from collector.triage.waits import WaitOn

_LOWEST = 0x1_0000
"""Windows maps nothing below 64 KiB: smaller numbers are no addresses."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Who is likely to blame. `kind` says which of the other fields name it."""

    kind: str  # driver, module, process, machine, deadlock, unknown_lock_owner, paged_pool, collection, ...
    module: str = ""
    process: str = ""
    thread: int | None = None
    lock: str = ""
    tag: str = ""
    vendor: str = ""
    also: tuple[str, ...] = ()
    detail: str = ""
    line: int | None = None


def at_end(chain: Chain, log: DebuggerLog, modules: Modules) -> Suspect | None:
    """Return who the chain leads to, or None when its last thread is only mentioned in the log."""
    thread, wait = chain.end.node.thread, chain.end.wait
    if thread is None:
        return None
    if chain.cycle:
        names = tuple(dict.fromkeys(link.node.process for link in chain.links if link.node.process))
        first = names[0] if names else ""
        return Suspect("deadlock", process=first, thread=thread.address, also=names[1:], line=chain.end.line)
    if wait is not None and wait.on is WaitOn.REDIRECTOR:
        return Suspect("machine", process=thread.image, thread=thread.address, line=wait.line)
    return (
        _by_stack(thread, modules)
        or _by_unknown_module(thread, log)
        or _by_miniport(thread, log, modules, asks=wait is not None and wait.on is WaitOn.NDIS_REQUEST)
        or _by_irp(thread, log, modules)
        or _by_process(thread)
    )


def unknown_module(log: DebuggerLog) -> Module | None:
    """Return the module that `!dh` found where the debugger knew none; its PDB names it."""
    named = [one for one in log.modules if one.pdb and not one.image and not one.unloaded]
    return named[-1] if named else None


def _by_stack(thread: Thread, modules: Modules) -> Suspect | None:
    found = waits.blocked_in(thread, modules)
    if found is None or thread.stack is None:
        return None
    place, frame = found
    line = thread.stack.lines[place] if place < len(thread.stack.lines) else thread.line
    kernel = waits.kernel_frames(thread.stack)
    side = kernel if place < len(kernel) else thread.stack.frames
    if place >= len(kernel) and stem(frame.module) == stem(thread.image):
        return Suspect("process", frame.module, thread.image, thread.address, line=line)
    return Suspect(
        "driver" if place < len(kernel) else "module",
        module=frame.module,
        process=thread.image,
        thread=thread.address,
        vendor=_vendor(frame.module, modules),
        also=_others(side[place:], frame.module, modules),
        detail=str(frame),
        line=line,
    )


def _others(frames: tuple[Frame, ...], named: str, modules: Modules) -> tuple[str, ...]:
    names = dict.fromkeys(frame.module for frame in frames if modules.is_foreign(frame.module))
    return tuple(name for name in names if name != named)[:4]


def _by_unknown_module(thread: Thread, log: DebuggerLog) -> Suspect | None:
    """A frame in no known module; `!dh`, or the list of unloaded modules, says what is there."""
    frames = thread.stack.frames if thread.stack else ()
    nameless = [frame.offset for frame in frames if not frame.module and frame.offset >= _LOWEST]
    if not nameless:
        return None
    inside = (module_at(log.modules, address) for address in nameless)
    module = next((one for one in inside if one is not None), None) or unknown_module(log)
    if module is None:
        return None
    return Suspect("module", module.name, thread.image, thread.address, detail=module.pdb, line=module.line)


def _by_miniport(thread: Thread, log: DebuggerLog, modules: Modules, *, asks: bool) -> Suspect | None:
    """The driver of the network adapter that does not answer, by the module of its handlers."""
    if not asks:
        return None
    stuck = {one.driver for one in log.miniports if one.pending_oid or any("RESET" in f for f in one.flags)}
    for one in log.minidrivers:
        foreign = [name for name in one.modules if modules.is_foreign(name)]
        if foreign and (one.address in stuck or not stuck):
            vendor = _vendor(foreign[0], modules)
            return Suspect("driver", foreign[0], thread.image, thread.address, vendor=vendor, line=one.line)
    return None


def _by_irp(thread: Thread, log: DebuggerLog, modules: Modules) -> Suspect | None:
    """The driver that keeps an I/O request of the thread."""
    for irp in log.irps:
        if irp.thread is None or irp.thread != thread.address:
            continue
        for location in irp.locations:
            name = location.driver.rsplit("\\", 1)[-1]
            if location.current and modules.is_foreign(name):
                vendor = _vendor(name, modules)
                return Suspect(
                    "driver", name, thread.image, thread.address, vendor=vendor, line=location.line
                )
    return None


def _by_process(thread: Thread) -> Suspect | None:
    if not thread.image:
        return None
    return Suspect("process", process=thread.image, thread=thread.address, line=thread.line)


def _vendor(module: str, modules: Modules) -> str:
    vendor = modules.vendor(module)
    return vendor.name if vendor else ""


def module_at(modules: tuple[Module, ...], address: int) -> Module | None:
    """Return the module that an address lies in, loaded ones first."""
    inside = [one for one in modules if one.start is not None and one.start <= address < (one.end or 0)]
    return min(inside, key=lambda one: one.unloaded, default=None)
