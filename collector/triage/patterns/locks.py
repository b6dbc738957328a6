"""Locks: chains of those who wait, circles of them, and locks that too many want."""

from __future__ import annotations

from collections.abc import Iterator

from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect
from collector.triage.waitgraph import Link
from collector.triage.waits import WaitOn

_CONTENDED = 100_000
_CROWD = 50
_LOCKS = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-locks---kdext--locks-"
_SECTIONS = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-cs"
_DEADLOCK = "https://learn.microsoft.com/windows-hardware/drivers/debugger/debugging-a-deadlock"
_FOLLOW = "Follow the chain to its end: only the last one is worth a call."


@pattern(
    "deadlock",
    title="Deadlock",
    meaning="Threads wait for each other in a circle. None of them will ever go on.",
    remedy="Report the circle to the owner of the code that takes these locks in different orders.",
    source=_DEADLOCK,
)
def deadlock(view: View) -> Iterator[Finding]:
    """A cycle in the graph of waits, every step of which the log states."""
    for chain in view.chains:
        if chain.cycle and not any(link.inferred for link in chain.links):
            words = f"{len(chain.links)} threads wait for each other in a circle"
            lines = [link.line for link in chain.links]
            yield from seen("deadlock", words, lines, threads=len(chain.links))


def _links(view: View, *kinds: WaitOn) -> list[Link]:
    return [link for chain in view.chains for link in chain.links if link.wait and link.wait.on in kinds]


def _chain(view: View, name: str, what: str, *kinds: WaitOn) -> Iterator[Finding]:
    links = _links(view, *kinds)
    threads = sum(link.node.count for link in links)
    yield from seen(name, f"{threads} thread(s) of the chains wait for {what}", [link.line for link in links])


@pattern(
    "wait_chain_lpc",
    title="Wait chain through LPC or ALPC",
    meaning="A thread sent a request to another process and waits for the answer.",
    remedy=f"{_FOLLOW} `!lpc message` or `!alpc /m` names the thread that works on the request.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-alpc",
)
def chain_lpc(view: View) -> Iterator[Finding]:
    """A link that waits for a reply."""
    yield from _chain(view, "wait_chain_lpc", "an answer from another process", WaitOn.LPC, WaitOn.ALPC)


@pattern(
    "wait_chain_mutant",
    title="Wait chain through a mutex",
    meaning="A thread waits for a mutex that another one owns.",
    remedy=_FOLLOW,
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-thread",
)
def chain_mutant(view: View) -> Iterator[Finding]:
    """A link on a mutant with an owner."""
    yield from _chain(view, "wait_chain_mutant", "a mutex", WaitOn.MUTANT)


@pattern(
    "wait_chain_critical_section",
    title="Wait chain through a critical section",
    meaning="Threads wait for a critical section of their process that another thread owns.",
    remedy=f"{_FOLLOW} `!cs -l -o` names the owner.",
    source=_SECTIONS,
)
def chain_section(view: View) -> Iterator[Finding]:
    """A link in RtlEnterCriticalSection, or waiters that `!cs` counts."""
    sections = WaitOn.CRITICAL_SECTION
    yield from _chain(view, "wait_chain_critical_section", "a critical section", sections)


@pattern(
    "wait_chain_process",
    title="Wait chain through a process",
    meaning="A thread waits for another process to end.",
    remedy=f"{_FOLLOW} Look at why the process does not end.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-process",
)
def chain_process(view: View) -> Iterator[Finding]:
    """A link on a process object."""
    yield from _chain(view, "wait_chain_process", "the end of a process", WaitOn.PROCESS)


@pattern(
    "wait_chain_thread",
    title="Wait chain through a thread",
    meaning="A thread waits for another thread to end.",
    remedy=_FOLLOW,
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-thread",
)
def chain_thread(view: View) -> Iterator[Finding]:
    """A link on a thread object."""
    yield from _chain(view, "wait_chain_thread", "the end of a thread", WaitOn.THREAD)


@pattern(
    "wait_chain_eresource",
    title="Wait chain through an executive resource",
    meaning="Threads wait in the kernel for a resource that others own.",
    remedy=f"{_FOLLOW} `!locks` names owners and waiters.",
    source=_LOCKS,
)
def chain_eresource(view: View) -> Iterator[Finding]:
    """A waiter that `!locks` lists, or a thread in ExAcquireResource."""
    yield from _chain(view, "wait_chain_eresource", "an executive resource", WaitOn.ERESOURCE)


@pattern(
    "high_contention_eresource",
    title="High contention of an executive resource",
    meaning="Far too many threads want one lock of the kernel: each waits for all before it.",
    remedy="Find out what the owners do so often, and for so long, while they hold it.",
    source=_LOCKS,
)
def contended_resource(view: View) -> Iterator[Finding]:
    """A contention count from a hundred thousand, or fifty waiters at once."""
    contended = [
        one
        for one in view.log.resources
        if one.contention_count >= _CONTENDED
        or one.shared_waiter_count + one.exclusive_waiter_count >= _CROWD
    ]
    for one in contended:
        waiters = one.shared_waiter_count + one.exclusive_waiter_count
        name = one.symbol or f"{one.address:#x}"
        words = f"{name} was contended {one.contention_count} times; {waiters} threads wait for it"
        yield from seen(
            "high_contention_eresource",
            words,
            [one.line],
            suspect=Suspect("unknown_lock_owner", lock=name, line=one.line),
            lock=name,
            contention_count=one.contention_count,
            shared_waiters=one.shared_waiter_count,
            exclusive_waiters=one.exclusive_waiter_count,
            owners=one.owner_count or len(one.owners),
        )


@pattern(
    "high_contention_critical_section",
    title="High contention of a critical section",
    meaning="Far too many threads of a process want one lock.",
    remedy="Find out what its owner does while it holds it; heap locks point at allocation in a hot loop.",
    source=_SECTIONS,
)
def contended_section(view: View) -> Iterator[Finding]:
    """A contention count from a hundred thousand, or fifty waiters at once."""
    for one in view.log.critical_sections:
        count = one.contention_count or 0
        if count >= _CONTENDED or (one.locked and one.waiters >= _CROWD):
            name = one.symbol or f"{one.address:#x}"
            before = f"{name} was contended {count} times; " if count else f"{name}: "
            words = f"{before}{one.waiters} threads wait for it"
            yield from seen(
                "high_contention_critical_section",
                words,
                [one.line],
                lock=name,
                contention_count=count,
                waiters=one.waiters,
            )


@pattern(
    "loader_lock_held",
    title="Loader lock held",
    meaning="A thread holds the loader's lock: no thread of its process can start, end, or load a module.",
    remedy="Look at what the owner does; nothing that waits belongs into DllMain.",
    source="https://learn.microsoft.com/windows/win32/dlls/dynamic-link-library-best-practices",
)
def loader_lock(view: View) -> Iterator[Finding]:
    """A locked ntdll!LdrpLoaderLock with an owner and waiters."""
    for one in view.log.critical_sections:
        if one.locked and "ldrploaderlock" in one.symbol.lower() and (one.owner_id or one.owner):
            owner = f"thread {one.owner:x}" if one.owner else f"thread id {one.owner_id:x}"
            words = f"{owner} holds the loader lock; {one.waiters} threads wait for it"
            yield from seen("loader_lock_held", words, [one.line], loader_lock_lockcount=one.waiters)
