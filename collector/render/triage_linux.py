"""What a Linux dump says of a hang: the answer on one screen, or all of it as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from collector.case.wording import span
from collector.render.console import out, plain
from collector.triage.linux_result import Cpu, Frame, LinuxTriage, Task
from collector.triage.wording import linux_named, linux_waiting

_SHOWN_LOG_LINES = 30
_SHOWN_BLOCKED = 20
_GIGABYTE = 1 << 30


def as_table(found: LinuxTriage) -> None:
    """Suspects first, then what they are concluded from, then what the dump did not say."""
    console = out()
    console.print(plain(_headline(found)), style="bold", soft_wrap=True)
    _suspects(console, found)
    _chains(console, found)
    _cpus(console, found)
    _blocked(console, found)
    _log(console, found)
    console.print(plain(_figures(found)), soft_wrap=True)
    for line in found.missing:
        console.print(plain(f"missing: {line}"), soft_wrap=True)


def document(found: LinuxTriage) -> dict[str, object]:
    """Return the triage as plain data: times as ISO 8601, addresses as hexadecimal text."""
    return {
        "release": found.release,
        "crash_time": found.crash_time.isoformat() if found.crash_time else None,
        "uptime_seconds": found.uptime_seconds,
        "panic": asdict(found.panic) if found.panic else None,
        "suspects": [asdict(suspect) for suspect in found.suspects],
        "highlights": [asdict(line) for line in found.highlights],
        "chains": [
            {
                "waiting": chain.waiting,
                "deadlock": chain.deadlock,
                "links": [
                    {
                        "pid": link.task.pid,
                        "name": link.task.name,
                        "function": link.function,
                        "lock": str(link.lock) if link.lock else None,
                    }
                    for link in chain.links
                ],
            }
            for chain in found.chains
        ],
        "cpus": [
            {
                "cpu": cpu.number,
                "pid": cpu.task.pid,
                "interrupts_on": cpu.interrupts_on,
                "user_mode": cpu.user_mode,
            }
            for cpu in found.cpus
        ],
        "tasks": [_task(task) for task in found.tasks],
        "usage": asdict(found.usage),
        "log": [asdict(line) for line in found.log],
        "missing": list(found.missing),
    }


def _task(task: Task) -> dict[str, object]:
    return {
        "address": hex(task.address),
        "pid": task.pid,
        "name": task.name,
        "state": task.state,
        "cpu": task.cpu,
        "running": task.running,
        "idle_seconds": task.idle_seconds,
        "stack": [_frame(frame) for frame in task.stack],
    }


def _frame(frame: Frame) -> str:
    mark = " <- interrupted here" if frame.interrupted else ""
    return f"{frame}+{frame.offset:#x}{mark}"


def _headline(found: LinuxTriage) -> str:
    when = f" at {found.crash_time:%Y-%m-%d %H:%M:%S} UTC" if found.crash_time else ""
    after = f" after {span(found.uptime_seconds)}" if found.uptime_seconds is not None else ""
    reason = found.panic.reason if found.panic else "it does not say why it stopped"
    return f"Linux {found.release} stopped{when}{after}: {reason}"


def _suspects(console: Console, found: LinuxTriage) -> None:
    for suspect in found.suspects:
        console.print(plain(f"suspect: {linux_named(suspect)}"), soft_wrap=True)
    if found.tasks and not found.suspects:
        console.print("no CPU is stuck, and no task waits uninterruptibly")


def _chains(console: Console, found: LinuxTriage) -> None:
    for chain in found.chains:
        if not chain.waiting:
            continue
        console.print()
        for link in chain.links:
            console.print(plain(linux_waiting(link)), soft_wrap=True)


def _cpus(console: Console, found: LinuxTriage) -> None:
    table = _table("CPU", "task", "interrupts", "stack")
    for cpu in found.cpus:
        interrupts = {True: "on", False: "off", None: "?"}[cpu.interrupts_on]
        table.add_row(str(cpu.number), plain(cpu.task.label), interrupts, plain(_what_it_did(cpu)))
    if found.cpus:
        console.print()
        console.print(table)


def _what_it_did(cpu: Cpu) -> str:
    """The stack of what the panic came upon; its own handlers are no news."""
    if cpu.user_mode:
        return "a program"
    stack = cpu.task.stack
    start = next((index for index, frame in enumerate(stack) if frame.interrupted), 0)
    return " < ".join(str(frame) or hex(frame.address) for frame in stack[start:]) or "not in the dump"


def _blocked(console: Console, found: LinuxTriage) -> None:
    blocked = sorted((t for t in found.tasks if t.state == "D"), key=lambda t: -(t.idle_seconds or 0.0))
    table = _table("state D", "since", "stack")
    for task in blocked[:_SHOWN_BLOCKED]:
        since = "?" if task.idle_seconds is None else span(task.idle_seconds)
        table.add_row(plain(task.label), since, plain(" < ".join(map(str, task.stack))))
    if blocked:
        console.print()
        console.print(table)
    if len(blocked) > _SHOWN_BLOCKED:
        console.print(f"… and {len(blocked) - _SHOWN_BLOCKED} more; --format json shows all")


def _log(console: Console, found: LinuxTriage) -> None:
    console.print()
    for line in found.highlights[-_SHOWN_LOG_LINES:]:
        console.print(plain(f"[{line.seconds:12.6f}] {line.text}"), soft_wrap=True)


def _figures(found: LinuxTriage) -> str:
    states = Counter(task.state for task in found.tasks)
    parts = [f"tasks: {len(found.tasks)} ({', '.join(f'{n} {s}' for s, n in sorted(states.items()))})"]
    if found.usage.load:
        parts.append("load " + " ".join(f"{load:.2f}" for load in found.usage.load))
    if found.usage.total_bytes is not None and found.usage.free_bytes is not None:
        free, total = found.usage.free_bytes / _GIGABYTE, found.usage.total_bytes / _GIGABYTE
        parts.append(f"memory {free:.2f} of {total:.2f} GiB free")
    return "; ".join(parts)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
