"""Threads that are stuck: where, since when, in whose code, and in front of whom."""

from __future__ import annotations

from collections.abc import Iterator

from collector.case.wording import span
from collector.triage import waits
from collector.triage.edges import blocked_window
from collector.triage.model import Thread
from collector.triage.modules import stem
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import at_end
from collector.triage.waitgraph import Chain, seconds
from collector.triage.waits import WaitOn

_LONG = 60.0
_THREAD = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-thread"
_STACKS = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-stacks"
_FILTERS = "https://learn.microsoft.com/windows-hardware/drivers/ifs/filter-manager-concepts"


def _stack_line(chain: Chain) -> int:
    thread = chain.end.node.thread
    if thread is None or thread.stack is None or not thread.stack.lines:
        return chain.end.line
    return thread.stack.lines[0]


@pattern(
    "blocked_thread",
    title="Blocked thread",
    meaning="A thread stands still in code that is not the system's own, and holds up others or work.",
    remedy="Give its stack to the owner of the first module on it that is not the system's.",
    source=_STACKS,
)
def blocked_thread(view: View) -> Iterator[Finding]:
    """The end of a chain, when its stack shows whose code it is in."""
    for chain in view.chains:
        thread = chain.end.node.thread
        place = waits.blocked_in(thread, view.modules) if thread else None
        asks = chain.end.wait is not None and chain.end.wait.on is WaitOn.NDIS_REQUEST
        if thread is None or (place is None and not asks):
            continue
        where = place[1] if place else "the network driver interface"
        words = f"thread {_name(thread)} is blocked in {where}"
        yield from seen("blocked_thread", words, [chain.end.line, _stack_line(chain)])


@pattern(
    "blocked_by_driver",
    title="Blocked by a driver",
    meaning="The thread at the end of the chain waits inside a driver of another maker.",
    remedy="Update the driver, or report the stack to its maker.",
    source=_STACKS,
)
def blocked_by_driver(view: View) -> Iterator[Finding]:
    """A chain that ends in a driver's frames in the kernel."""
    for chain in view.chains:
        suspect = at_end(chain, view.log, view.modules)
        if suspect is not None and suspect.kind == "driver":
            words = f"the chain ends in the driver {suspect.module}"
            yield from seen(
                "blocked_by_driver",
                words,
                [suspect.line, chain.end.line],
                suspect=suspect,
                module=suspect.module,
            )


@pattern(
    "waiting_thread_time",
    title="Waiting time",
    meaning="How long the threads have waited. The longest wait need not end the chain, but it began first.",
    remedy="Compare it with the time at which the hang was noticed; look at what else began then.",
    source=_THREAD,
)
def waiting_time(view: View) -> Iterator[Finding]:
    """The longest wait in each chain, from a minute."""
    for chain in view.chains:
        link = chain.longest
        waited = seconds(link) if link else None
        thread = link.node.thread if link else None
        if link is None or thread is None or waited is None or waited < _LONG:
            continue
        words = f"thread {_name(thread)} has waited longest, {span(waited)}"
        yield from seen("waiting_thread_time", words, [thread.ticks_line or thread.line], wait_s=waited)


@pattern(
    "blocked_gui_thread",
    title="Blocked window",
    meaning="A thread that serves a window waits in the middle of a message: the window does not answer.",
    remedy="Follow the chain of what it waits for.",
    source="https://learn.microsoft.com/windows/win32/api/winuser/nf-winuser-ishungappwindow",
)
def blocked_gui(view: View) -> Iterator[Finding]:
    """A window procedure under a wait that is not for messages."""
    for thread in view.chained:
        if blocked_window(thread):
            words = f"the window of thread {_name(thread)} does not answer"
            yield from seen("blocked_gui_thread", words, [thread.line])


@pattern(
    "message_box",
    title="Message box that nobody sees",
    meaning="A thread waits for a person to press a button, perhaps on a desktop that nobody can see.",
    remedy="Read the text. On a server, have the application log it instead of showing it.",
    source="https://learn.microsoft.com/windows/win32/api/winuser/nf-winuser-messagebox",
)
def message_box(view: View) -> Iterator[Finding]:
    """A thread of a chain, or of the log, under MessageBox."""
    for number, wait in view.graph.waits.items():
        thread = view.graph.nodes[number].thread
        if thread is not None and wait.on is WaitOn.MESSAGE_BOX:
            text = shown_text(view, thread)
            words = f"thread {_name(thread)} shows a message box"
            lines = [wait.line, *([text[1]] if text else [])]
            yield from seen("message_box", words + (f": {text[0]!r}" if text else ""), lines)


def shown_text(view: View, thread: Thread) -> tuple[str, int] | None:
    """What the message box says: the text in memory that an argument of it points at."""
    if thread.stack is None:
        return None
    frames = thread.stack.frames
    shows = [n for n, frame in enumerate(frames) if "MessageBox" in frame.function]
    pointed = {value for n in shows for value in thread.stack.args.get(n, ())}
    texts = {one.address: (one.text, one.line) for one in view.log.texts if one.text}
    return next((texts[value] for value in pointed if value in texts), None)


@pattern(
    "coupled_processes",
    title="Coupled processes",
    meaning="The chain goes from one process into another: the one that looks hung only waits.",
    remedy="Look at the process at the end, not at the one that users complain about.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-alpc",
)
def coupled_processes(view: View) -> Iterator[Finding]:
    """Two processes that follow each other in one chain."""
    for chain in view.chains:
        names = [link.node.process for link in chain.links if link.node.process]
        if len(set(names)) > 1:
            words = " waits for ".join(dict.fromkeys(names))
            yield from seen("coupled_processes", words, [link.line for link in chain.links])


@pattern(
    "coupled_machines",
    title="Coupled machines",
    meaning="A thread waits in a redirector for another machine.",
    remedy="Look at the server that the share is on, and at the network to it.",
    source="https://learn.microsoft.com/windows-hardware/drivers/ifs/introduction-to-network-redirectors",
)
def coupled_machines(view: View) -> Iterator[Finding]:
    """A chain that ends in rdbss, mrxsmb, mrxdav or mup."""
    for chain in view.chains:
        if chain.end.wait is not None and chain.end.wait.on is WaitOn.REDIRECTOR:
            suspect = at_end(chain, view.log, view.modules)
            name = suspect.detail if suspect else ""
            words = f"the chain ends at another machine{': ' + name if name else ''}"
            yield from seen("coupled_machines", words, [chain.end.line], suspect=suspect)


@pattern(
    "file_system_filter",
    title="File-system filter in the way",
    meaning="The chain ends below the filter manager in a filter of another maker, often an anti-virus.",
    remedy="Update the filter; exclude the path from its scan; as a test, unload it with `fltmc unload`.",
    source=_FILTERS,
)
def file_system_filter(view: View) -> Iterator[Finding]:
    """fltmgr on the stack, and a foreign driver on it that is nearer to the wait."""
    for chain in view.chains:
        thread = chain.end.node.thread
        place = waits.blocked_in(thread, view.modules) if thread else None
        if thread is None or thread.stack is None or place is None:
            continue
        kernel = waits.kernel_frames(thread.stack)
        if place[0] < len(kernel) and any(stem(frame.module) == "fltmgr" for frame in kernel):
            words = f"{place[1].module} stands between the filter manager and the disk"
            yield from seen("file_system_filter", words, [chain.end.line], module=place[1].module)


@pattern(
    "virtualized_process_wow64",
    title="32-bit process on 64-bit Windows",
    meaning="A thread of the chain runs 32-bit code, and the log shows only the 64-bit side of its stack.",
    remedy="Use `.thread /w ADDRESS` and `k`; next time take a 32-bit dump of the process too.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-wow64exts-sw",
)
def wow64(view: View) -> Iterator[Finding]:
    """wow64cpu on the stack of a thread of a chain."""
    for thread in view.chained:
        frames = thread.stack.frames if thread.stack else ()
        place = next((n for n, frame in enumerate(frames) if stem(frame.module).startswith("wow64")), None)
        if place is not None and thread.stack is not None:
            words = f"thread {_name(thread)} runs 32-bit code"
            line = thread.stack.lines[place] if place < len(thread.stack.lines) else thread.line
            yield from seen("virtualized_process_wow64", words, [line])


def _name(thread: Thread) -> str:
    if thread.address is not None:
        name = f"{thread.address:x}"
    else:
        name = f"{thread.process_id or 0:x}.{thread.thread_id or 0:x}"
    return f"{name} of {thread.image}" if thread.image else name
