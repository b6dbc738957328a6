"""Memory that ran out: pools, sessions, handles, processes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import median

from collector.triage.machine import HandleTable, PoolTag, Vm, VmCounter
from collector.triage.model import Process
from collector.triage.modules import stem
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect

_NEARLY_FULL = 0.8
"""The part of a pool at which the debugger itself begins to warn of excessive usage."""

_SESSION_FULL = 0.9
_MANY_HANDLES = 2000
_TOO_MANY_HANDLES = 10_000
_MANY_OF_A_NAME = 20
_MANY_CHILDREN = 5
_USUALLY_MANY = frozenset(
    {"svchost", "csrss", "winlogon", "conhost", "dllhost", "chrome", "msedge", "firefox", "iexplore", "vmwp"}
    | {"runtimebroker", "fontdrvhost", "dwm", "logonui", "rdpclip", "explorer", "userinit", "system", "idle"}
)
_POOLS = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-vm"
_TAGS = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-poolused"
_GENERIC_TAGS = frozenset(
    {"ddk", "cm", "mmst", "ntff", "obtb", "file", "pool", "none", "thre", "proc", "even", "irp"}
)
"""Tags of Windows' own objects, and the one of drivers that name none: they blame no driver."""

_SHORTEST_PREFIX = 3


@pattern(
    "insufficient_memory_paged_pool",
    title="Paged pool exhausted",
    meaning="The kernel's paged pool is full, or nearly. Whoever asks it for memory fails or waits.",
    remedy="Find the largest tag with `!poolused 4`, its driver with the tag's name, and update that driver.",
    source=_POOLS,
)
def paged_pool(view: View) -> Iterator[Finding]:
    """The debugger's own warning, or usage against the maximum."""
    if view.log.vm is not None:
        yield from _pool(view, view.log.vm, "insufficient_memory_paged_pool", paged=True)


@pattern(
    "insufficient_memory_nonpaged_pool",
    title="Nonpaged pool exhausted",
    meaning="The kernel's nonpaged pool is full, or nearly. Drivers fail, and network and disk stand still.",
    remedy="Find the largest tag with `!poolused 3`, its driver with the tag's name, and update that driver.",
    source=_POOLS,
)
def nonpaged_pool(view: View) -> Iterator[Finding]:
    """The debugger's own warning, or usage against the maximum."""
    if view.log.vm is not None:
        yield from _pool(view, view.log.vm, "insufficient_memory_nonpaged_pool", paged=False)


def _pool(view: View, vm: Vm, name: str, *, paged: bool) -> Iterator[Finding]:
    prefix = "pagedpool" if paged else "nonpagedpool"
    usage = _largest(vm, prefix, ("usage",))
    maximum = _largest(vm, prefix, ("max", "maximum"))
    warned = [one.line for one in vm.warnings if _warns(one.text, paged=paged)]
    ratio = usage.kb / maximum.kb if usage and maximum and maximum.kb else 0.0
    if not warned and ratio < _NEARLY_FULL:
        return
    full = f": {usage.kb} of {maximum.kb} KiB ({ratio:.0%})" if usage and maximum and ratio else ""
    label = "paged" if paged else "nonpaged"
    tag = _top_tag(view, paged=paged)
    words = f"the {label} pool is nearly exhausted{full}"
    if tag is not None:
        words += f"; most of it is tagged {tag.tag!r} ({_size(tag, paged=paged)} bytes)"
    driver = _driver_of_tags(view, paged=paged)
    suspect = driver or Suspect(f"{label}_pool", tag=tag.tag if tag else "", line=tag.line if tag else None)
    figures: dict[str, int | float | str] = {}
    if usage and maximum:
        figures = {
            f"{label}_usage_kb": usage.kb,
            f"{label}_max_kb": maximum.kb,
            f"{label}_ratio": round(ratio, 4),
        }
    if tag is not None:
        figures |= {"top_tag": tag.tag, "top_tag_bytes": _size(tag, paged=paged)}
    lines = [*warned, *(one.line for one in (usage, maximum, tag, suspect) if one is not None)]
    yield from seen(name, words, lines, suspect=suspect, **figures)


def _largest(vm: Vm, prefix: str, endings: tuple[str, ...]) -> VmCounter | None:
    """The total of a pool: the figure that is not one of its parts (`PagedPool 0 Usage`)."""
    found = [
        counter
        for counter in vm.counters.values()
        if (name := counter.name.lower().replace(" ", "")).startswith(prefix)
        and name.endswith(endings)
        and not any(character.isdigit() for character in name)
    ]
    return max(found, key=lambda counter: counter.kb, default=None)


def _warns(text: str, *, paged: bool) -> bool:
    low = text.lower().replace("-", "").replace(" ", "")
    nonpaged = "nonpagedpool" in low
    return "excessive" in low and ("pagedpool" in low) and nonpaged != paged


def _size(tag: PoolTag, *, paged: bool) -> int:
    return (tag.paged_bytes if paged else tag.nonpaged_bytes) or 0


def _top_tag(view: View, *, paged: bool) -> PoolTag | None:
    top = max(view.log.pool_tags, key=lambda tag: _size(tag, paged=paged), default=None)
    return top if top is not None and _size(top, paged=paged) else None


def _driver_of_tags(view: View, *, paged: bool) -> Suspect | None:
    """The driver whose name begins like one of the largest tags, or that the debugger names beside it."""
    tags = sorted(view.log.pool_tags, key=lambda tag: -_size(tag, paged=paged))
    for tag in [one for one in tags if _size(one, paged=paged)][:5]:
        for module in view.log.modules:
            name = tag.tag.strip().lower()
            alike = len(name) >= _SHORTEST_PREFIX and stem(module.name).startswith(name)
            if alike and name not in _GENERIC_TAGS and view.modules.is_foreign(module.name):
                return _driver(view, module.image or module.name, tag, module.line)
        binary = tag.description.rpartition("Binary:")[2].strip().split("!")[0].split(" ")[0]
        if "Binary:" in tag.description and binary and view.modules.is_foreign(binary):
            return _driver(view, binary, tag, tag.line)
    return None


def _driver(view: View, module: str, tag: PoolTag, line: int) -> Suspect:
    vendor = view.modules.vendor(module)
    name = vendor.name if vendor else ""
    return Suspect("driver", module=module, tag=tag.tag, vendor=name, line=line)


@pattern(
    "pool_allocation_failures",
    title="Pool allocations failed",
    meaning="The kernel has refused memory to its own parts and to drivers.",
    remedy="See which pool it was and who filled it: `!vm`, `!poolused 2` and `!poolused 4`.",
    source=_POOLS,
)
def pool_failures(view: View) -> Iterator[Finding]:
    """The counter of `!vm`."""
    vm = view.log.vm
    if vm is not None and vm.pool_failures:
        words = f"{vm.pool_failures} pool allocations have failed"
        line = [vm.pool_failures_line]
        yield from seen("pool_allocation_failures", words, line, pool_failures=vm.pool_failures)


@pattern(
    "insufficient_memory_session_pool",
    title="Session pool exhausted",
    meaning="A terminal session's own paged pool is full: its windows fail to open or to draw.",
    remedy="See who filled it with `!poolused 8`; printer and video drivers are the usual ones.",
    source=_POOLS,
)
def session_pool(view: View) -> Iterator[Finding]:
    """Failures that `!vm 4` counts in a session, or usage against the maximum."""
    vm = view.log.vm
    if vm is None:
        return
    limit = next(
        (c.kb for c in vm.counters.values() if c.name.lower().startswith("session paged pool max")), 0
    )
    full = [
        one
        for one in vm.sessions
        if one.pool_failures or (limit and (one.paged_pool_kb or 0) >= _SESSION_FULL * limit)
    ]
    if full:
        worst = max(full, key=lambda one: (one.pool_failures, one.paged_pool_kb or 0))
        words = f"{len(full)} session(s) have no session pool left; session {worst.session} worst"
        if worst.pool_failures:
            words += f", with {worst.pool_failures} failed allocations"
        lines = [one.pool_failures_line or one.line for one in full]
        suspect = Suspect("session_pool", line=worst.line)
        yield from seen("insufficient_memory_session_pool", words, lines, suspect=suspect, sessions=len(full))


@pattern(
    "handle_leak",
    title="Handle leak",
    meaning="A process holds far more handles than others do; each costs paged pool.",
    remedy="Look at their type with `!handle 0 0 PROCESS`, and at who opens them with `!htrace`.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-handle",
)
def handle_leak(view: View) -> Iterator[Finding]:
    """Thousands of handles in one process, many times what others have; `!handle` says of which type."""
    tables = {one.image: one for one in sorted(view.log.handle_tables, key=lambda one: one.count)}
    worst = _most_handles(view)
    if worst is not None:
        table = tables.get(worst.image)
        yield from _leak(worst.image, _handles(worst), worst.line, table)
    elif tables and (largest := max(tables.values(), key=lambda one: one.count)).count >= _TOO_MANY_HANDLES:
        yield from _leak(largest.image, largest.count, largest.line, largest)


def _most_handles(view: View) -> Process | None:
    """The process that stands out by its handles."""
    counted = [p for p in view.log.processes if p.handle_count is not None and stem(p.image) != "system"]
    if not counted:
        return None
    worst = max(counted, key=_handles)
    others = [_handles(one) for one in counted if one is not worst]
    many = _handles(worst) >= _MANY_HANDLES and _handles(worst) >= 4 * (median(others) if others else 0)
    return worst if many or _handles(worst) >= _TOO_MANY_HANDLES else None


def _leak(image: str, count: int, line: int, table: HandleTable | None) -> Iterator[Finding]:
    words = f"{image or 'a process'} has {count} handles"
    figures: dict[str, int | float | str] = {"handle_count": count}
    if table is not None and table.types:
        kind, of_kind = max(table.types.items(), key=lambda item: item[1])
        words += f", {of_kind} of them of the type {kind}"
        figures |= {"handle_type": kind, "handles_of_type": of_kind}
    suspect = Suspect("process", process=image, line=line)
    lines = [line, table.line if table else None]
    yield from seen("handle_leak", words, lines, suspect=suspect, **figures)


def _handles(process: Process) -> int:
    return process.handle_count or 0


@pattern(
    "process_factory",
    title="Process factory",
    meaning="Somebody starts one process after the other, and they do not end.",
    remedy="Look at the parent of these processes and at what they wait for.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-process",
)
def process_factory(view: View) -> Iterator[Finding]:
    """Many processes of one name, more than there are sessions, or many such children of one parent."""
    named: dict[str, list[Process]] = defaultdict(list)
    for process in view.log.processes:
        if stem(process.image) not in _USUALLY_MANY:
            named[process.image.lower()].append(process)
    sessions = sum(stem(process.image) == "csrss" for process in view.log.processes)
    for name, group in named.items():
        parents = Counter(one.parent_id for one in group if one.parent_id)
        children = max(parents.values(), default=0)
        many = len(group) >= _MANY_OF_A_NAME and len(group) > 2 * sessions
        if name and (many or children >= _MANY_CHILDREN):
            words = f"{len(group)} processes are called {group[0].image}"
            suspect = Suspect("process", process=group[0].image, line=group[0].line)
            lines = [one.line for one in group]
            yield from seen("process_factory", words, lines, suspect=suspect, processes=len(group))
