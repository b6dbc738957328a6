"""What the dump itself is worth: cut, contradictory, paged out, or taken on purpose."""

from __future__ import annotations

from collections.abc import Iterator

from collector.triage.machine import Notice, NoticeKind
from collector.triage.modules import stem
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect

_SAME_BLOCKER = 3
_NMI = 0x80
_BY_HAND = frozenset({0xE2, 0x161, 0x1C8})
_OVERAGED = 30 * 86400.0
_CORE = frozenset({"nt", "ntkrnlmp", "ntoskrnl", "hal", "ntdll", "kernel32", "user32", "win32k"})
_FORCED = "https://learn.microsoft.com/windows-hardware/drivers/debugger/forcing-a-system-crash"
_SIZES = "https://learn.microsoft.com/troubleshoot/windows-server/performance/memory-dump-file-options"


def _notices(view: View, kind: NoticeKind) -> list[Notice]:
    return [one for one in view.log.notices if one.kind is kind]


@pattern(
    "truncated_dump",
    title="Truncated dump",
    meaning="The dump is shorter than the memory it should hold: what the log shows of the rest is nonsense.",
    remedy="Make the page file larger than the memory (or use an automatic dump), and collect again.",
    source=_SIZES,
)
def truncated(view: View) -> Iterator[Finding]:
    """The debugger says so, or every thread seems to stand in KeBugCheckEx."""
    said = [one.line for one in _notices(view, NoticeKind.TRUNCATED)]
    tops = [
        (thread.stack.frames[0].function, thread.line)
        for thread in view.threads
        if thread.stack and thread.stack.frames and thread.state != "RUNNING"
    ]
    nonsense = [line for function, line in tops if function == "KeBugCheckEx"]
    if len(nonsense) < _SAME_BLOCKER or len(nonsense) < len(tops) / 2:
        nonsense = []
    if not said and not nonsense:
        return
    words = "the dump is shorter than the memory"
    if nonsense:
        words = f"{len(nonsense)} threads at once seem to stand in nt!KeBugCheckEx, as in a truncated dump"
    cause, lines = _small_page_file(view)
    suspect = Suspect(
        "collection", detail=cause or "the dump is not whole", line=(lines or said or nonsense)[0]
    )
    where = [*said[:5], *lines, *nonsense]
    yield from seen("truncated_dump", f"{words}; {cause}" if cause else words, where, suspect=suspect)


def _small_page_file(view: View) -> tuple[str, list[int]]:
    vm = view.log.vm
    memory = vm.counters.get("Physical Memory") if vm else None
    largest = max((one.maximum_kb or one.current_kb or 0 for one in vm.page_files), default=0) if vm else 0
    if vm is None or memory is None or not 0 < largest < memory.kb:
        return "", []
    cause = f"page file smaller than RAM ({largest} of {memory.kb} KiB)"
    return cause, [memory.line, *(one.line for one in vm.page_files)]


@pattern(
    "inconsistent_dump",
    title="Inconsistent dump",
    meaning="The system went on while it was dumped: what was read early does not fit what was read late.",
    remedy="Trust chains that agree with each other; take a mirror dump (`livekd -ml`) or crash the system.",
    source="https://learn.microsoft.com/sysinternals/downloads/livekd",
)
def inconsistent(view: View) -> Iterator[Finding]:
    """LiveKd, directory bases that differ, two threads on one processor, or negative counts."""
    said = [one.line for one in _notices(view, NoticeKind.INCONSISTENT)]
    running: dict[int, list[int]] = {}
    for thread in view.threads:
        if thread.state == "RUNNING" and thread.processor is not None:
            running.setdefault(thread.processor, []).append(thread.line)
    doubled = [line for lines in running.values() if len(lines) > 1 for line in lines]
    negative = [
        tag.line
        for tag in view.log.pool_tags
        if min(tag.nonpaged_allocs or 0, tag.paged_allocs or 0, tag.nonpaged_diff or 0, tag.paged_diff or 0)
        < 0
    ]
    yield from seen("inconsistent_dump", "memory changed while it was read", [*said, *doubled, *negative])


@pattern(
    "lateral_damage",
    title="Damaged dump",
    meaning="Parts of the dump cannot be read: the crash, or the writing of it, damaged more than its cause.",
    remedy="Do not trust single values; look for a second dump of the same hang.",
    source=_SIZES,
)
def lateral_damage(view: View) -> Iterator[Finding]:
    """The debugger cannot read what every dump has."""
    lines = [one.line for one in _notices(view, NoticeKind.CORRUPT)]
    if not _notices(view, NoticeKind.TRUNCATED):
        yield from seen("lateral_damage", "parts of the dump cannot be read", lines)


@pattern(
    "paged_out_data",
    title="Paged out",
    meaning="Memory that the answer needs was on disk, and so is not in the dump.",
    remedy="Next time take a dump of the process too, or look on the live system with LiveKd.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debugger/paged-out-memory",
)
def paged_out(view: View) -> Iterator[Finding]:
    """The debugger says so, or a thread of a process of a chain has no stack in memory."""
    said = [one.line for one in _notices(view, NoticeKind.PAGED_OUT) if "stack not resident" not in one.text]
    processes = {thread.process for thread in view.chained if thread.process is not None}
    hidden = [
        thread.line
        for thread in view.threads
        if not thread.stack_resident
        and thread.process in processes
        and not (thread.stack and any(frame.module for frame in thread.stack.frames))
    ]
    yield from seen("paged_out_data", "stacks or memory of the chain are not in the dump", [*said, *hidden])


@pattern(
    "overaged_system",
    title="Overaged system",
    meaning="The system has run for months: leaks have had time, and updates wait for a restart.",
    remedy="Restart it, and see how long it takes until the hang comes again.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-time--display-system-time-",
)
def overaged(view: View) -> Iterator[Finding]:
    """An uptime from thirty days."""
    system = view.log.system
    if (system.uptime_seconds or 0.0) >= _OVERAGED:
        days = int((system.uptime_seconds or 0.0) // 86400)
        words = f"the system had run for {days} days"
        yield from seen("overaged_system", words, [system.uptime_line], uptime_s=system.uptime_seconds or 0.0)


@pattern(
    "not_my_version",
    title="Not my version",
    meaning="A core module is of another version of Windows than the rest.",
    remedy="Find out who replaced it; repair with `sfc /scannow`.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/lm--list-loaded-modules-",
)
def not_my_version(view: View) -> Iterator[Finding]:
    """The first two parts of a core module's version differ from those of most others."""
    versions = {
        one: one.file_version.split(".")[:2]
        for one in view.log.modules
        if stem(one.name) in _CORE and "." in one.file_version and not one.unloaded
    }
    usual = [version for one, version in versions.items() if stem(one.name) in {"nt", "ntdll", "ntkrnlmp"}]
    other = [one for one, version in versions.items() if usual and version != usual[0]]
    names = ", ".join(f"{one.name} {one.file_version}" for one in other)
    yield from seen(
        "not_my_version", f"of another version than the system: {names}", [one.line for one in other]
    )


@pattern(
    "manual_dump",
    title="Collected on purpose",
    meaning="Somebody made this dump by hand: the crash says nothing of the hang's cause.",
    remedy="Ignore the crashing thread; look at what the others wait for.",
    source=_FORCED,
)
def manual(view: View) -> Iterator[Finding]:
    """Bug checks 0xE2 (keyboard or debugger), 0x161 (live dump) and 0x1C8 (power button)."""
    analysis = view.log.analysis
    if analysis is not None and _code(analysis.code) in _BY_HAND:
        yield from seen("manual_dump", "the dump was made by hand", [analysis.line])


@pattern(
    "nmi_crash",
    title="Crashed by an NMI",
    meaning="A non-maskable interrupt ended the system: sent on purpose, or by failing hardware.",
    remedy="If nobody sent it, look at the controller's event log for memory and PCI errors.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-0x80--nmi-hardware-failure",
)
def nmi(view: View) -> Iterator[Finding]:
    """Bug check 0x80, whose first argument 0x4F4454 says that the platform raised it."""
    analysis = view.log.analysis
    if analysis is not None and _code(analysis.code) == _NMI:
        yield from seen("nmi_crash", "an NMI ended the system", [analysis.line])


def _code(code: int | None) -> int:
    """The bug check's number without the bit that says a driver was blamed."""
    return (code or 0) & 0x0FFF_FFFF
