"""What has been read so far: bounded lists, things joined by their identity, and what is current."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

from collector.triage.kd_stack import Frames
from collector.triage.machine import Notice, NoticeKind, System, Vm
from collector.triage.model import Analysis, DebuggerLog, Process, Psod, Stack, Thread

MOST_THREADS = 150_000
"""Threads kept of a log; a terminal server has some 20,000."""

MOST_OF_A_KIND = 20_000
"""Things kept of every other kind."""

LONGEST_NAME = 260
"""Characters kept of a name: MAX_PATH of Windows."""

Item = TypeVar("Item")


class Bounded(Generic[Item]):
    """A list that stops growing, and counts what it left out."""

    __slots__ = ("dropped", "items")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.dropped = 0

    def add(self, item: Item) -> None:
        """Keep the item if there is room."""
        if len(self.items) < MOST_OF_A_KIND:
            self.items.append(item)
        else:
            self.dropped += 1


class Gathered:
    """The log in the making. `kinds` holds the lists by the names of the log's fields."""

    def __init__(self) -> None:
        self.frames = Frames()
        self.threads: dict[object, Thread] = {}
        self.dropped_threads = 0
        self.processes: dict[object, Process] = {}
        self.kinds: dict[str, Bounded[Any]] = {}
        self.system: dict[str, Any] = {}
        self.vm: Vm | None = None
        self.analysis: Analysis | None = None
        self.psod: Psod | None = None
        self.idle: tuple[int, int] | None = None  # the mask, and its line
        self.command = ""  # the last one at the prompt
        self.process: int | None = None  # made current by `.process`
        self.thread: int | None = None  # made current by `.thread`
        self.thread_index: int | None = None  # made current by `~20s`, shown in the prompt 0:020>
        self.user_process_id: int | None = None  # of a user dump
        self.image = ""  # of the last `!process`, for the threads under it that name none
        self.code_of = ""  # the module whose function `u` shows
        self.registers_set = False  # by `.cxr`: the next stack is not the thread's own
        self._texts: dict[str, str] = {}

    def add(self, kind: str, item: object) -> None:
        """Keep a thing of a kind, named as the log's field."""
        if kind not in self.kinds:
            self.kinds[kind] = Bounded()
        self.kinds[kind].add(item)

    def notice(self, line: int, kind: NoticeKind, text: str) -> None:
        """Keep a remark of the debugger."""
        self.add("notices", Notice(line, kind, text.strip()))

    def shared(self, text: str) -> str:
        """Return the same object for the same short text: thousands of threads say the same."""
        text = text[:LONGEST_NAME]
        if len(self._texts) >= MOST_OF_A_KIND:
            return text
        return self._texts.setdefault(text, text)

    def has_room_for(self, address: int) -> bool:
        """Whether a thread would be kept; one that would not is counted."""
        if len(self.threads) < MOST_THREADS or address in self.threads:
            return True
        self.dropped_threads += 1
        return False

    def add_thread(self, thread: Thread) -> None:
        """Keep a thread, or fill in what an earlier sighting left out."""
        key: object = thread.address
        if thread.address is None:
            key = "index", thread.process_id or self.user_process_id, thread.index
        earlier = self.threads.get(key)
        if earlier is not None:
            self.threads[key] = _filled_in(earlier, thread)
        elif len(self.threads) < MOST_THREADS:
            self.threads[key] = thread
        else:
            self.dropped_threads += 1

    def add_process(self, process: Process) -> None:
        """Keep a process, or fill in what an earlier sighting left out."""
        key: object = process.address if process.address is not None else ("id", process.process_id)
        earlier = self.processes.get(key)
        if earlier is not None:
            self.processes[key] = _filled_in(earlier, process)
        elif len(self.processes) < MOST_OF_A_KIND:
            self.processes[key] = process

    def log(self, lines: int) -> DebuggerLog:
        """Return what was gathered, frozen."""
        dropped = {kind: bounded.dropped for kind, bounded in self.kinds.items() if bounded.dropped}
        if self.dropped_threads:
            dropped["threads"] = self.dropped_threads
        if self.frames.dropped:
            dropped["frames"] = self.frames.dropped
        mask, mask_line = self.idle or (None, None)
        return DebuggerLog(
            lines=lines,
            system=System(**self.system),
            threads=tuple(self.threads.values()),
            processes=tuple(self.processes.values()),
            vm=self.vm,
            analysis=self.analysis,
            psod=self.psod,
            idle_processors=mask,
            idle_processors_line=mask_line,
            dropped=dropped,
            **{kind: tuple(bounded.items) for kind, bounded in self.kinds.items()},
        )


Sighting = TypeVar("Sighting", Thread, Process)


def _filled_in(earlier: Sighting, later: Sighting) -> Sighting:
    """Return the earlier sighting with what only the later one says; of two stacks, the longer."""
    news: dict[str, Any] = {}
    for field in dataclasses.fields(earlier):
        before, after = getattr(earlier, field.name), getattr(later, field.name)
        if isinstance(after, Stack) and isinstance(before, Stack):
            if len(after.frames) > len(before.frames):
                news[field.name] = after
        elif before == field.default and after != field.default:
            news[field.name] = after
    return dataclasses.replace(earlier, **news) if news else earlier
