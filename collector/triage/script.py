"""What to run in the debugger: all of it at first, then only what the answer still misses."""

from __future__ import annotations

from collections.abc import Iterator

from collector.triage import waits
from collector.triage.model import Thread
from collector.triage.patterns.catalog import View
from collector.triage.waitgraph import Link
from collector.triage.waits import WaitOn

_FIRST_PASS = (
    ("the machine, the dump, the crash", ("version", "vertarget", "!sysinfo machineid", "!analyze -v -hang")),
    ("memory", ("!vm 4", "!poolused 2", "!poolused 4")),
    ("locks of the kernel", ("!locks",)),
    ("processors", ("!cpuinfo", "!running -ti", "!ready f", "!dpcs")),
    ("messages, old and new", ("!lpc", "!alpc /lpp")),
    ("requests and devices", ("!irpfind", "!storunit", "!ndiskd.miniports")),
    ("every process, thread and stack", ("!process 0 ff",)),
    ("the same stacks in one line each", ("!stacks 2",)),
    ("modules, and those that are gone", ("lmv",)),
)
"""Commands whose answers the triage reads; which of them exist depends on the version of Windows."""

_MOST_MISSING = 20


def first_pass(log: str = "hang-pass1.log") -> str:
    """Return a script for `$$><` that answers everything a first triage asks, and logs it to a file."""
    lines = ["$$ Run with: $$><hang-pass1.kd", f".logopen {log}", ".symfix", ".reload"]
    for title, commands in _FIRST_PASS:
        lines.append(f"$$ {title}")
        lines += commands
    return "\n".join([*lines, ".logclose", ""])


def second_pass(commands: tuple[str, ...], log: str = "hang-pass2.log") -> str:
    """Return a script of the commands that are still missing, logged to a file of its own."""
    if not commands:
        return "$$ Nothing is missing: the log shows every chain to its end.\n"
    return "\n".join(["$$ Run with: $$><hang-pass2.kd", f".logopen {log}", *commands, ".logclose", ""])


def missing(view: View) -> tuple[str, ...]:
    """Return the debugger commands whose answers would finish the chains, the gravest chain first."""
    wanted = (command for chain in view.chains if not chain.cycle for command in _to_finish(chain.end, view))
    return tuple(dict.fromkeys(wanted))[:_MOST_MISSING]


_BY_OBJECT = {
    WaitOn.LPC: "!lpc message {:x}",
    WaitOn.ALPC: "!alpc /m {:x}",
    WaitOn.CRITICAL_SECTION: "!cs -o {:x}",
    WaitOn.ERESOURCE: "!locks -v {:x}",
}
_BY_KIND = {
    WaitOn.CRITICAL_SECTION: ("!cs -l -o",),
    WaitOn.ERESOURCE: ("!locks",),
    WaitOn.NDIS_REQUEST: ("!ndiskd.miniports", "!stacks 2 ndis!"),
}


def _to_finish(link: Link, view: View) -> Iterator[str]:
    thread, wait = link.node.thread, link.wait
    if thread is None:
        return
    yield from _to_show(thread)
    if wait is not None and wait.object is not None and wait.on in _BY_OBJECT:
        yield _BY_OBJECT[wait.on].format(wait.object)
    elif wait is not None:
        yield from _BY_KIND.get(wait.on, ())
    place = waits.blocked_in(thread, view.modules)
    if place is not None:
        yield f"lmv m {place[1].module}"
    known = {irp.address for irp in view.log.irps}
    yield from (f"!irp {address:x}" for address in thread.irps if address not in known)


def _to_show(thread: Thread) -> Iterator[str]:
    """A thread that is only mentioned, or whose stack is not shown, or shown for one half."""
    frames = thread.stack.frames if thread.stack else ()
    if thread.address is None:
        return
    if not any(frame.module for frame in frames):
        if thread.process is not None:
            yield f".process /r /p {thread.process:x}"
        yield f"!thread {thread.address:x} 1f"
    elif any(frame.module.lower().startswith("wow64") for frame in frames):
        yield f".thread /w {thread.address:x}; k"
