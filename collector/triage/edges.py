"""Make the graph of waits from what a log says: every kind of wait, and whom it leads to."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from collector.triage import waits
from collector.triage.model import CriticalSection, DebuggerLog, Resource, Stack, Thread
from collector.triage.modules import Modules, stem
from collector.triage.sightings import ids, join
from collector.triage.waitgraph import MOMENT, Node, WaitGraph
from collector.triage.waits import Wait, WaitOn

_UNRESPONSIVE = 5.0
"""Seconds after which Windows calls a window that takes no messages "not responding" (IsHungAppWindow)."""

_WINDOW_PROCEDURES = (
    "UserCallWinProc",
    "UserCallDlgProc",
    "InternalCallWinProc",
    "DispatchMessage",
    "DispatchClientMessage",
    "DefDlgProc",
    "CallWindowProc",
)
_MESSAGE_LOOPS = (
    "xxxSleepThread",
    "xxxRealWaitMessage",
    "NtUserWaitMessage",
    "NtUserGetMessage",
    "GetMessage",
)
_OPEN_ENDS = frozenset(
    {
        WaitOn.LPC,
        WaitOn.ALPC,
        WaitOn.MESSAGE_BOX,
        WaitOn.DRIVER,
        WaitOn.REDIRECTOR,
        WaitOn.FAST_MUTEX,
        WaitOn.PUSH_LOCK,
        WaitOn.ERESOURCE,
        WaitOn.CRITICAL_SECTION,
        WaitOn.NDIS_REQUEST,
    }
)
"""Waits that mean something even where the log does not say for whom."""

_WIDE = 1 << 32
_LOOKED_AT = 60.0
_ASKED = re.compile(r"!thread\s+([0-9a-fA-F`]{8,17})\b")


def build(log: DebuggerLog, modules: Modules) -> WaitGraph:
    """Return the graph of all threads of the log, and of those it only mentions."""
    return _Builder(log, modules).graph


class _Builder:
    """Adds the nodes first, then one kind of edge after the other."""

    def __init__(self, log: DebuggerLog, modules: Modules) -> None:
        self.log = log
        self.modules = modules
        self.graph = WaitGraph()
        self.names = {p.address: p.image for p in log.processes if p.address is not None and p.image}
        self.process_names = {p.process_id: p.image for p in log.processes if p.process_id and p.image}
        self.process_ids = {p.address: p.process_id for p in log.processes if p.address and p.process_id}
        self.by_address: dict[int, int] = {}
        self.by_ids: dict[tuple[int, int], int] = {}
        self.by_id: dict[int, list[int]] = defaultdict(list)
        self.by_process: dict[int, list[int]] = defaultdict(list)
        self.stuck_of: dict[int | None, list[int]] = {}
        for number, thread in enumerate(join(log.threads, self.names)):
            self._add(number, thread)
        self._locks()
        self._sections()
        self._messages()
        self._mutants()
        self._processes()
        self._miniports()
        self._open_ends()
        self._spinlock()
        if not self.graph.pairs:
            self._asked_for()

    def _add(self, place: int, thread: Thread) -> None:
        key = ("thread", thread.address) if thread.address is not None else ("sighting", place)
        name = thread.image or self.process_names.get(thread.process_id or 0, "")
        number = self.graph.add(Node(key, thread, 1, name, at=self._at(thread)))
        if thread.address is not None:
            self.by_address[thread.address] = number
        if (both := ids(thread)) is not None:
            self.by_ids[both] = number
            self.by_id[both[1]].append(number)
        if thread.process is not None:
            self.by_process[thread.process].append(number)
        wait = waits.wait(thread, self.modules)
        if wait is not None:
            self.graph.waits[number] = wait

    def _at(self, thread: Thread) -> str:
        found = waits.blocked_in(thread, self.modules)
        asks = (
            next((f for f in thread.stack.frames if waits.asks_miniport(f)), None) if thread.stack else None
        )
        frame = found[1] if found else asks
        if frame is None:
            return ""
        return f"{frame.module}!{frame.function}" if frame.function else str(frame)

    def _mentioned(self, address: int, line: int) -> int:
        """A thread that the log names by its address, whether it shows it or not."""
        known = self.by_address.get(address)
        if known is None:
            known = self.graph.add(Node(("thread", address), Thread(line, address=address), 1))
            self.by_address[address] = known
        return known

    def _locks(self) -> None:
        for one in self.log.resources:
            waiters = (*one.exclusive_waiters, *one.shared_waiters)
            if not one.owners or not (waiters or one.shared_waiter_count or one.exclusive_waiter_count):
                continue
            lock = self.graph.add(Node(("eresource", one.address)))
            self.graph.symbols[lock] = one.symbol
            for owner in one.owners:
                self.graph.connect(lock, self._mentioned(owner, one.line), one.line)
            for waiter in waiters:
                number = self._mentioned(waiter, one.line)
                self.graph.waits[number] = Wait(WaitOn.ERESOURCE, one.line, one.address)
                self.graph.connect(number, lock, one.line)
            self._crowd(lock, _uncounted(one), Wait(WaitOn.ERESOURCE, one.line, one.address), "")

    def _sections(self) -> None:
        waiting: dict[int, list[int]] = defaultdict(list)
        unknown = []
        known = {one.address: one for one in self.log.critical_sections}
        for number, wait in list(self.graph.waits.items()):
            if wait.on is WaitOn.CRITICAL_SECTION:
                address = self._section_of(number, known)
                if address is None:
                    unknown.append(number)
                else:
                    waiting[address].append(number)
                    self.graph.waits[number] = replace(wait, object=address)
        for address, numbers in waiting.items():
            for number in numbers:
                self.graph.connect(number, self._section(address), self.graph.waits[number].line)
        for one in known.values():
            self._owner(one, len(waiting[one.address]))
        self._only_section(unknown)

    def _section(self, address: int) -> int:
        return self.graph.add(Node(("critical_section", address)))

    def _section_of(self, number: int, known: dict[int, CriticalSection]) -> int | None:
        thread = self.graph.nodes[number].thread
        if thread is None or thread.stack is None:
            return None
        values = [value for offered in thread.stack.args.values() for value in offered]
        wide = max([thread.address or 0, *values]) >= _WIDE
        offered = waits.section_candidates(thread.stack, wide=wide)
        return next((value for value in offered if value in known), offered[0] if offered else None)

    def _owner(self, one: CriticalSection, shown: int) -> None:
        owner = self._owner_of(one)
        if owner is None or not one.locked:
            return
        lock = self._section(one.address)
        self.graph.symbols[lock] = one.symbol
        self.graph.connect(lock, owner, one.line)
        wait = Wait(WaitOn.CRITICAL_SECTION, one.line, one.address)
        self._crowd(lock, one.waiters - shown, wait, self.graph.nodes[owner].process)

    def _owner_of(self, one: CriticalSection) -> int | None:
        if one.owner is not None:
            return self._mentioned(one.owner, one.line)
        if not one.owner_id:
            return None
        process = one.process_id or self.process_ids.get(one.process or 0)
        if process is not None and (process, one.owner_id) in self.by_ids:
            return self.by_ids[process, one.owner_id]
        numbers = self.by_id.get(one.owner_id, [])
        return numbers[0] if len(numbers) == 1 else None

    def _only_section(self, numbers: list[int]) -> None:
        """Without arguments on the stack: the one locked section of the process, when there is only one."""
        locked: dict[tuple[str, int | None], list[CriticalSection]] = defaultdict(list)
        for one in self.log.critical_sections:
            if one.locked:
                locked["process", one.process].append(one)
                if one.process is not None or one.process_id is not None:
                    locked["id", one.process_id].append(one)
        for number in numbers:
            thread = self.graph.nodes[number].thread
            if thread is None:
                continue
            places = {("process", None), ("process", thread.process), ("id", thread.process_id)}
            near = {one.address: one.line for place in places for one in locked.get(place, [])[:2]}
            address = next(iter(near), 0)
            lock = self.graph.numbers.get(("critical_section", address))
            if len(near) == 1 and lock is not None:
                self.graph.connect(number, lock, near[address], inferred=True)
                self.graph.waits[number] = replace(self.graph.waits[number], object=address)

    def _messages(self) -> None:
        serving = self._servers()
        for one in self.log.lpc_messages:
            if one.client_thread is not None and one.client_thread != one.server_thread:
                client = self._mentioned(one.client_thread, one.line)
                on = WaitOn.ALPC if one.alpc else WaitOn.LPC
                if self.graph.waits.get(client, Wait(on, 0)).on is on or client not in self.graph.waits:
                    self.graph.waits.setdefault(client, Wait(on, one.line, one.message))
        for number, wait in list(self.graph.waits.items()):
            if wait.on in (WaitOn.LPC, WaitOn.ALPC) and wait.object in serving:
                server, line, inferred = serving[wait.object]
                self.graph.connect(number, server, line, inferred=inferred)

    def _servers(self) -> dict[int | None, tuple[int, int, bool]]:
        """Who works on each message: stated by `!lpc` or `!alpc`, by the thread itself, or likely."""
        serving: dict[int | None, tuple[int, int, bool]] = {}
        for one in self.log.lpc_messages:
            if one.server_thread is not None and one.server_thread != one.client_thread:
                serving.setdefault(
                    one.message, (self._mentioned(one.server_thread, one.line), one.line, False)
                )
        for number, node in enumerate(self.graph.nodes):
            thread = node.thread
            if thread is not None and thread.lpc_serving is not None:
                line = thread.lpc_serving_line or thread.line
                serving.setdefault(thread.lpc_serving, (number, line, False))
        for one in self.log.lpc_messages:
            likely = self._busiest(one.server_process, one.client_thread)
            if likely is not None:
                serving.setdefault(one.message, (likely, one.line, True))
        for node in list(self.graph.nodes):
            reply = node.thread.lpc_wait if node.thread else None
            if node.thread and reply and reply.server_process:
                likely = self._busiest(reply.server_process, node.thread.address)
                if likely is not None:
                    serving.setdefault(reply.message, (likely, reply.line, True))
        return serving

    def _busiest(self, process: int | None, client: int | None) -> int | None:
        """The thread of a server process that is stuck for longest: where a message has no thread yet."""
        if process not in self.stuck_of:
            stuck = sorted(self._stuck(process or 0), key=self._waited, reverse=True)
            self.stuck_of[process] = stuck[:2]  # the client itself may be one of them
        longest = self.stuck_of[process]
        return next((n for n in longest if self.graph.nodes[n].key != ("thread", client or -1)), None)

    def _waited(self, number: int) -> float:
        thread = self.graph.nodes[number].thread
        return (thread.wait_seconds or 0.0) if thread else 0.0

    def _mutants(self) -> None:
        for number, wait in list(self.graph.waits.items()):
            if wait.on is WaitOn.MUTANT and wait.owner is not None:
                self.graph.connect(number, self._mentioned(wait.owner, wait.line), wait.line)
            if wait.on is WaitOn.THREAD and wait.object in self.by_address:
                self.graph.connect(number, self.by_address[wait.object], wait.line)

    def _processes(self) -> None:
        """Who waits for a process waits for its threads: for those that are stuck, else for its only one."""
        waiting: dict[int, list[int]] = defaultdict(list)
        for number, wait in self.graph.waits.items():
            if wait.on is WaitOn.PROCESS and wait.object is not None:
                waiting[wait.object].append(number)
        for address, waiters in waiting.items():
            threads = self.by_process.get(address, [])
            stuck = self._stuck(address) or (threads if len(threads) == 1 else [])
            if not stuck:
                continue
            process = self.graph.add(Node(("process", address)))
            for number in waiters:
                self.graph.connect(number, process, self.graph.waits[number].line)
            for thread in stuck:
                self.graph.connect(process, thread, self.graph.waits[waiters[0]].line)

    def _stuck(self, process: int) -> list[int]:
        threads = self.by_process.get(process, [])
        return [n for n in threads if self.graph.edges[n] or self._stuck_alone(n)]

    def _stuck_alone(self, number: int) -> bool:
        node, wait = self.graph.nodes[number], self.graph.waits.get(number)
        thread = node.thread
        if thread is None or wait is None or (thread.wait_seconds or MOMENT) < MOMENT:
            return False
        serving = waits.serves(thread) and waits.blocked_in(thread, self.modules) is not None
        return wait.on in _OPEN_ENDS or serving or blocked_window(thread)

    def _miniports(self) -> None:
        """A request to a network adapter waits for the threads that are stuck in its driver."""
        asking = [n for n, wait in self.graph.waits.items() if wait.on is WaitOn.NDIS_REQUEST]
        drivers = {stem(name) for one in self.log.minidrivers for name in one.modules}
        if not asking:
            return
        port = self.graph.add(Node(("miniport", 0)))
        for number, wait in list(self.graph.waits.items()):
            thread = self.graph.nodes[number].thread
            if thread is None or wait.on is not WaitOn.DRIVER or thread.stack is None:
                continue
            found = waits.blocked_in(thread, self.modules)
            sleeps = any(frame.function == "NdisMSleep" for frame in thread.stack.frames[:8])
            if sleeps or (found is not None and stem(found[1].module) in drivers):
                self.graph.connect(port, number, wait.line, inferred=True)
        for number in asking if self.graph.edges[port] else []:
            self.graph.connect(number, port, self.graph.waits[number].line)

    def _open_ends(self) -> None:
        """Let every stuck thread that leads nowhere in the log lead to the thing it waits for."""
        for number in range(len(self.graph.nodes)):
            if self.graph.nodes[number].thread is None or self.graph.edges[number]:
                continue
            if self._stuck_alone(number):
                wait = self.graph.waits[number]
                shared = wait.object is not None and wait.on in (WaitOn.CRITICAL_SECTION, WaitOn.ERESOURCE)
                key = (wait.on.value, wait.object) if shared and wait.object else ("end", number)
                self.graph.connect(number, self.graph.add(Node(key)), wait.line)

    def _asked_for(self) -> None:
        """Without any chain: the threads that somebody looked at by name, if they wait in foreign code.

        Idle threads of a list wait in foreign code too; those nobody asks for one by one.
        """
        commands = (_ASKED.match(one.text) for one in self.log.commands)
        asked = {int(one[1].replace("`", ""), 16) for one in commands if one is not None}
        for address in sorted(asked & self.by_address.keys()):
            number = self.by_address[address]
            thread, wait = self.graph.nodes[number].thread, self.graph.waits.get(number)
            found = waits.blocked_in(thread, self.modules) if thread else None
            own = thread is not None and found is not None and stem(found[1].module) == stem(thread.image)
            if thread and found and wait and not own and (thread.wait_seconds or 0.0) >= _LOOKED_AT:
                self.graph.connect(number, self.graph.add(Node(("end", number))), wait.line)

    def _spinlock(self) -> None:
        """The world of ESXi that spun on a lock for too long. Who holds the lock, no screen says."""
        screen = self.log.psod
        if screen is None or not screen.lock or screen.world is None:
            return
        stack = screen.stack or Stack()
        shown = zip(stack.frames, stack.lines, strict=False)
        line = next((line for frame, line in shown if "WaitLock" in frame.function), screen.line)
        world = Node(
            ("world", screen.world.world_id), None, 1, screen.world.name, f"world {screen.world.world_id}"
        )
        waiter, lock = self.graph.add(world), self.graph.add(Node(("spinlock", 0)))
        self.graph.symbols[lock] = screen.lock
        self.graph.waits[waiter] = Wait(WaitOn.SPINLOCK, line)
        self.graph.connect(waiter, lock, line)

    def _crowd(self, lock: int, count: int, wait: Wait, process: str) -> None:
        """Waiters that are counted and not shown."""
        if count > 0:
            crowd = self.graph.add(Node(("waiters", lock), None, count, process))
            self.graph.waits[crowd] = wait
            self.graph.connect(crowd, lock, wait.line)


def blocked_window(thread: Thread) -> bool:
    """Whether a thread that serves a window waits in the middle of a message, and so takes no further one."""
    if thread.stack is None or (thread.wait_seconds or _UNRESPONSIVE) < _UNRESPONSIVE:
        return False
    functions = [frame.function for frame in thread.stack.frames]
    if any(name.startswith(_MESSAGE_LOOPS) for name in functions[:12]):
        return False
    return any(name.startswith(_WINDOW_PROCEDURES) for name in functions)


def _uncounted(one: Resource) -> int:
    counted = one.shared_waiter_count + one.exclusive_waiter_count
    return counted - len(one.shared_waiters) - len(one.exclusive_waiters)
