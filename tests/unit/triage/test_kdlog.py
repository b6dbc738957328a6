"""What was planted in a log is what is read of it, in every style, and nothing else."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.triage import gather, kd_stack, text
from collector.triage.kdlog import parse
from collector.triage.model import DebuggerLog, Thread, WaitKind
from tests.unit.triage.generator import (
    PlantedProcess,
    PlantedResource,
    PlantedThread,
    Style,
    Writer,
    damaged,
)

WAITS = {
    "SynchronizationEvent": WaitKind.EVENT,
    "NotificationEvent": WaitKind.EVENT,
    "Semaphore Limit 0x1": WaitKind.SEMAPHORE,
    "NotificationTimer": WaitKind.TIMER,
    "ProcessObject": WaitKind.PROCESS,
    "Mutant - owning thread {owner}": WaitKind.MUTANT,
    "QueueObject": WaitKind.QUEUE,
    "SomethingNew": WaitKind.OTHER,
}
SYMBOLS = (
    "nt!KiSwapContext+0x7a",
    "nt!KeWaitForSingleObject+0x19f",
    "ntdll!KiFastSystemCallRet",
    "DriverA+0x21ee",
    "FooDRV!Queue::operator->+0x1c",
    "RPCRT4!RPC_INTERFACE::DispatchToStub+0xa3",
    "VERSION!`string'",
    "std!_Func_class<void, int>::call+0x2",
    "0x6dfcf8c2",
)


@st.composite
def styles(draw: st.DrawFn) -> Style:
    return Style(
        draw(st.sampled_from([32, 64])), draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    )


@st.composite
def planted_processes(draw: st.DrawFn) -> list[PlantedProcess]:
    """Some processes with threads; addresses and ids are all different."""
    numbers = itertools.count(1)

    def thread(process: int, process_id: int, image: str) -> PlantedThread:
        number = next(numbers)
        what = draw(st.sampled_from(list(WAITS)))
        return PlantedThread(
            0x8A000000 + number * 0x400,
            process_id,
            number * 4,
            process,
            image,
            ticks=draw(st.integers(0, 1 << 30)),
            reason=draw(st.sampled_from(["Executive", "UserRequest", "WrLpcReply", "Unknown"])),
            waits_on=((0x89000000 + number * 0x20, what),),
            reply_to=draw(st.none() | st.integers(1, 0xFFFFFFFF)),
            works_on=draw(st.none() | st.integers(1, 0xFFFFFFFF)),
            irps=tuple(draw(st.lists(st.integers(0x10000000, 0xFFFFFFFF), max_size=2))),
            stack=tuple(draw(st.lists(st.sampled_from(SYMBOLS), max_size=12))),
            resident=draw(st.booleans()),
        )

    processes = []
    for _ in range(draw(st.integers(1, 4))):
        number = next(numbers)
        address, process_id, image = 0x88000000 + number * 0x400, number * 4, f"Service {number}.exe"
        threads = tuple(thread(address, process_id, image) for _ in range(draw(st.integers(0, 4))))
        handles = draw(st.integers(0, 99999))
        processes.append(PlantedProcess(address, process_id, image, handles=handles, threads=threads))
    return processes


def written(style: Style, processes: list[PlantedProcess]) -> list[str]:
    """Write the processes; each mutant is owned by the thread itself, by its address."""
    shown = itertools.chain.from_iterable(Writer(style).process(process) for process in processes)
    owner = style.address(0x8B000000)
    return [
        "0: kd> !process 0 ff",
        "**** NT ACTIVE PROCESS DUMP ****",
        *(line.replace("{owner}", owner) for line in shown),
    ]


def assert_read(log: DebuggerLog, processes: list[PlantedProcess]) -> None:
    assert [(p.address, p.process_id, p.parent_id, p.image, p.handle_count) for p in log.processes] == [
        (p.address, p.process_id, p.parent_id, p.image, p.handles) for p in processes
    ]
    planted = [thread for process in processes for thread in process.threads]
    assert len(log.threads) == len(planted)
    for read, thread in zip(log.threads, planted, strict=True):
        assert_thread(read, thread)


def assert_thread(read: Thread, planted: PlantedThread) -> None:
    ((where, what),) = planted.waits_on
    assert (read.address, read.process_id, read.thread_id) == (
        planted.address,
        planted.process_id,
        planted.thread_id,
    )
    assert (read.state, read.wait_reason, read.wait_mode) == ("WAIT", planted.reason, planted.mode)
    assert (read.process, read.image) == (planted.process, planted.image)
    assert [(wait.address, wait.kind) for wait in read.wait_objects] == [(where, WAITS[what])]
    assert read.wait_objects[0].owner == (0x8B000000 if "owning" in what else None)
    assert (read.lpc_wait.message if read.lpc_wait else None) == planted.reply_to
    assert read.lpc_serving == planted.works_on
    assert read.irps == planted.irps
    assert read.ticks == planted.ticks
    assert read.wait_seconds == pytest.approx(planted.ticks / 64, abs=0.002)
    assert read.stack_resident is planted.resident
    assert tuple(map(str, read.stack.frames if read.stack else ())) == planted.stack


@given(styles(), planted_processes())
@settings(deadline=None)
def test_what_was_planted_is_what_is_read(style: Style, processes: list[PlantedProcess]) -> None:
    assert_read(parse(written(style, processes)), processes)


@given(styles(), planted_processes(), st.integers(0, 1000), st.booleans())
@settings(deadline=None)
def test_what_the_web_does_to_a_log_changes_nothing(
    style: Style, processes: list[PlantedProcess], seed: int, double: bool
) -> None:
    assert_read(parse(damaged(written(style, processes), seed, double=double)), processes)


@given(styles(), planted_processes())
@settings(deadline=None)
def test_every_line_number_leads_to_the_line_that_says_it(
    style: Style, processes: list[PlantedProcess]
) -> None:
    lines = written(style, processes)
    for thread in parse(lines).threads:
        assert f"{thread.address:x}" in lines[thread.line - 1].lower()
        assert f"Ticks: {thread.ticks} " in lines[(thread.ticks_line or 0) - 1]
        assert all(f"{wait.address:x}" in lines[wait.line - 1].lower() for wait in thread.wait_objects)
        if thread.lpc_wait:
            assert "Waiting for reply" in lines[thread.lpc_wait.line - 1]
        if thread.stack:
            for frame, number in zip(thread.stack.frames, thread.stack.lines, strict=True):
                assert str(frame) in lines[number - 1]


@given(planted_processes(), st.data())
@settings(deadline=None)
def test_a_log_cut_anywhere_says_nothing_that_was_not_planted(
    processes: list[PlantedProcess], data: st.DataObject
) -> None:
    lines = written(Style(), processes)
    first = data.draw(st.integers(0, len(lines)))
    last = data.draw(st.integers(first, len(lines)))
    planted = {thread.address: thread for process in processes for thread in process.threads}
    for read in parse(lines[first:last]).threads:
        thread = planted[read.address or 0]
        assert read.process in (None, thread.process)
        assert read.lpc_wait is None or read.lpc_wait.message == thread.reply_to
        assert {wait.address for wait in read.wait_objects} <= {where for where, _ in thread.waits_on}
        frames = tuple(map(str, read.stack.frames if read.stack else ()))
        assert thread.stack[: len(frames)] == frames


@given(
    st.lists(st.integers(0x80000000, 0xFFFFFFFF), max_size=9, unique=True),
    st.lists(st.integers(0x80000000, 0xFFFFFFFF), max_size=9, unique=True),
    st.booleans(),
    styles(),
)
def test_a_resource_is_read_with_all_its_threads(
    owners: list[int], waiters: list[int], exclusive: bool, style: Style
) -> None:
    planted = PlantedResource(0x85610D30, tuple(owners), tuple(waiters), exclusive, 4, "nt!CmpRegistryLock")
    (resource,) = parse(["0: kd> !locks", *Writer(style).resource(planted), "0: kd> !vm"]).resources
    assert (resource.address, resource.symbol) == (planted.address, planted.symbol)
    assert resource.owners == planted.owners
    assert resource.exclusive_waiters == planted.waiters
    assert (resource.exclusive, resource.contention_count) == (exclusive, 4)


def test_a_thread_shown_twice_is_one_thread_with_all_that_was_said() -> None:
    thread = PlantedThread(0x8A000400, 4, 8, 0x88000400, "a.exe", ticks=64, stack=SYMBOLS)
    full = list(Writer(Style(32)).thread(thread))
    lines = ["0: kd> !process 0 2", full[0], full[1], "", "0: kd> !thread 8a000400", *full]
    (read,) = parse(lines).threads
    assert (read.line, read.ticks, read.image) == (2, 64, "a.exe")
    assert read.stack is not None
    assert tuple(map(str, read.stack.frames)) == SYMBOLS


def test_arguments_are_kept_where_a_function_waits() -> None:
    stack = (
        "nt!KiSwapContext+0x1",
        "nt!KeWaitForSingleObject+0x2",
        "Foo!Run+0x3",
        "ntdll!RtlEnterCriticalSection",
    )
    for style in (Style(32, args=True), Style(64, args=True)):
        lines = ["0: kd> .thread", *Writer(style).stack(stack, arg=0x8A38B82C)]
        (shown,) = parse(lines).context_stacks
        assert {place: args[0] for place, args in shown.stack.args.items()} == {1: 0x8A38B82C, 3: 0x8A38B82C}


def test_a_stack_without_an_end_is_cut() -> None:
    stack = ("nt!Recurse+0x1",) * (kd_stack.MOST_FRAMES * 3)
    thread = PlantedThread(0x8A000400, 4, 8, 0x88000400, "a.exe", stack=stack)
    (read,) = parse(Writer().thread(thread)).threads
    assert read.stack is not None
    assert len(read.stack.frames) == kd_stack.MOST_FRAMES


def test_more_threads_than_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_THREADS", 10)
    threads = [PlantedThread(0x8A000000 + n * 0x400, 4, n, 0x88000400, "a.exe") for n in range(1, 16)]
    log = parse(itertools.chain.from_iterable(Writer().thread(thread) for thread in threads))
    assert len(log.threads) == 10
    assert log.dropped == {"threads": 5}


@pytest.mark.parametrize("double", [False, True])
def test_what_follows_the_threads_that_are_only_counted_is_read(
    double: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MOST_THREADS", 2)
    writer = Writer()
    threads = [PlantedThread(0x8A000000 + n * 0x400, 4, n, 0x88000400, "a.exe") for n in range(1, 6)]
    lines = [line for thread in threads for line in writer.thread(thread)]
    lines += writer.process(PlantedProcess(0x88001400, 7, "b.exe"))
    lines += writer.thread(threads[0])
    log = parse([piece for line in lines for piece in ([line, ""] if double else [line])])
    assert [one.address for one in log.threads] == [one.address for one in threads[:2]]
    assert [one.image for one in log.processes] == ["b.exe"]
    assert log.dropped == {"threads": 3}
    assert log.context_stacks == ()


def test_more_functions_than_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kd_stack, "MOST_KNOWN_FRAMES", 5)
    stack = tuple(f"Foo!Function{number}" for number in range(9))
    thread = PlantedThread(0x8A000400, 4, 8, 0x88000400, "a.exe", stack=stack)
    assert parse(Writer().thread(thread)).dropped == {"frames": 4}


@given(st.lists(st.text(), max_size=30))
def test_no_text_is_an_error(lines: list[str]) -> None:
    assert parse(lines).lines == len(lines)


ENDLESS = {
    "resources": ["Resource @ 0x85610d30    Shared 1 owning threads", "     Threads: {n:08x}-01<*>"],
    "vm": [
        "*** Virtual Memory Usage ***",
        "Session ID {n} @ f79c6000:",
        "Page File: {n}",
        "*** {n}",
        "C{n}: 1 (1 Kb)",
    ],
    "miniports": ["MINIPORT", "Ndis handle ffffe0004f5f71a0", "Flags A{n}", "B{n}, C{n}"],
    "minidrivers": ["HANDLERS", "Foo ffffe0004f5f71a0 Foo{n}+3"],
    "psod": ["VMware ESX [Releasebuild-1", "r{n}=0x1", "1:{n}/x", "0x1:[0x2]F{n}+0x1 stack: 0"],
    "analysis": ["STACK_TEXT:", "NAME_{n}: x", "f3a9b560 8083d26e Foo!F{n}+0x1"],
    "processors": ["Processor 0: Ready Threads at priority 8", "THREAD {n:08x}  Cid 1.2"],
    "threads": ["THREAD 8a000400  Cid 1.2", "{n:08x}  SynchronizationEvent", "{n:08x}: (0006,0094)"],
    "commands": ["0: kd> !thread {n}", "0: kd> dds {n}", "8a000400 8a000400 Foo!F{n}"],
    "irps": [
        "0: kd> !irp 893a7470",
        "Irp is active with 1",
        ">[ e, 0] 0 1 8a216f18 8a023f70 00000000-00000000 {n}",
    ],
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_block_without_an_end_is_kept_in_bounds(kind: str) -> None:
    first, *rest = ENDLESS[kind]
    endless = (line.format(n=number) for number in range(1, 30_000) for line in rest)
    log = parse(itertools.chain([first], endless))
    assert len(repr(getattr(log, kind))) < 10_000_000


WORDS = (
    "THREAD 882e8730  Cid 0f64.2ce0",
    "PROCESS 8a2ad5e0",
    "Resource @ 0x85610d30",
    "Critical section   = 0x",
    "Searching message ` in",
    "OwningThread = `",
    "Waiting for reply to LPC MessageId `:",
    "Irp is active with",
    ">[  e, 0]   0  1 8a216f18 8a023f70 00000000-00000000    pending",
    "start    end        module name",
    "Tag  Allocs Used",
    "Pool Used:",
    "*** Virtual Memory Usage ***",
    "MINIPORT",
    "HANDLERS",
    "VMware ESX [Releasebuild-1",
    "@BlueScreen:",
    "VMK uptime: ::",
    "0: kd> !irp 893a7470",
    "0:020> ~",
    "0: kd> dds",
    "ChildEBP RetAddr",
    "Child-SP RetAddr : Args to Child : Call Site",
    "fffffad8`67f5a990 ???????? : ```````` -------- : nt!x",
    "b6e8ac78 8083d26e nt!KiSwapContext+0x26",
    "Processor 0: Ready Threads",
    "System Processors: ()",
    "Idle Processors: (`)",
    "BugCheck 1, {`, , }",
    "Arg1: `",
    "CritSec x at `",
    "4.001114 ffffe0007510c040 ffc7d369 Blocked nt!KiSwapContext+0x76",
    "1 threads [stats]: fffffa8003c8db50",
    "Session ID 0 @",
    "*** 9 Pool Allocation Failures ***",
    "\u0663\u0664 Id: c08.43d8 Suspend: \u0663",
    "Message ffffe00012345678",
    "STORPORT Units:",
    "\x1b[31m",
)


@given(st.lists(st.sampled_from(WORDS) | st.tuples(st.sampled_from(WORDS), st.text(max_size=9)).map("".join)))
@settings(max_examples=300)
def test_no_order_of_blocks_is_an_error(lines: list[str]) -> None:
    assert parse(lines).lines == len(lines)


def test_planted_blocks_with_bytes_thrown_in_are_no_error() -> None:
    chance = random.Random(7)
    thread = PlantedThread(0x8A000400, 4, 8, 0x88000400, "a.exe", irps=(0x88000500,), works_on=7, reply_to=8)
    lines = [*Writer(Style(64, args=True)).thread(thread), *WORDS]
    for _ in range(300):
        spoiled = list(lines)
        for _ in range(chance.randrange(1, 20)):
            place = chance.randrange(len(spoiled))
            line = spoiled[place]
            cut = chance.randrange(len(line) + 1)
            spoiled[place] = (
                line[:cut] + chr(chance.randrange(0x3000)) * chance.randrange(3) + line[cut + 1 :]
            )
        parse(spoiled)


def test_terminal_escapes_of_a_hostile_log_are_gone() -> None:
    thread = PlantedThread(
        0x8A000400, 4, 8, 0x88000400, "\x1b]0;a\x07b.exe\u202e", stack=("Foo!\x1b\x08Bar+0x1",)
    )
    (read,) = parse(Writer().thread(thread)).threads
    assert read.image == "]0;ab.exe"
    assert read.stack is not None
    assert str(read.stack.frames[0]) == "Foo!Bar+0x1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_file_is_read_in_the_encodings_of_logopen(encoding: str, tmp_path: Path) -> None:
    thread = PlantedThread(0x8A000400, 4, 8, 0x88000400, "a.exe", stack=SYMBOLS)
    log = tmp_path / "kd.log"
    log.write_text("\r\n".join(["0: kd> !thread", *Writer().thread(thread)]), encoding=encoding, newline="")
    read = parse(text.read_lines(log))
    assert [thread.image for thread in read.threads] == ["a.exe"]
    assert [command.text for command in read.commands] == ["!thread"]


def test_a_file_without_a_line_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_CHUNK", 1000)
    log = tmp_path / "kd.log"
    log.write_bytes(b"\xff" * 50_000 + b"\n0: kd> !vm\n")
    lines = list(text.read_lines(log))
    assert lines[-1] == "0: kd> !vm"
    assert max(map(len, lines)) <= text.LONGEST_LINE + 1000


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    log = tmp_path / "kd.log"
    log.write_bytes(b"")
    assert parse(text.read_lines(log)) == DebuggerLog()


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.lists(st.sampled_from(SYMBOLS[:5]), min_size=1, max_size=9)),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_every_thread_of_a_group_has_the_stack_of_its_group(
    groups: list[tuple[int, list[str]]], order: random.Random
) -> None:
    numbers = list(range(sum(count for count, _ in groups)))
    order.shuffle(numbers)
    rest, planted, lines = iter(numbers), {}, ["0:000> ~"]
    lines += [f"   {n}  Id: 1a4.{n + 16:x} Suspend: 1 Teb: 00f1d000 Unfrozen" for n in sorted(numbers)]
    lines.append("0:000> !us")
    for count, symbols in groups:
        members = list(itertools.islice(rest, count))
        planted |= dict.fromkeys(members, tuple(symbols))
        lines.append(f"{count} thread{'s' * (count > 1)} [stats]: {' '.join(map(str, members))}")
        lines += [
            f"    00007ff8{place:08x} {symbol}   (c:\\a.cpp @ 3)" for place, symbol in enumerate(symbols)
        ]
        lines.append("")
    read = parse(lines).threads
    assert {one.index: tuple(map(str, one.stack.frames)) for one in read if one.stack} == planted
    assert {one.index: (one.process_id, one.thread_id) for one in read} == {
        n: (0x1A4, n + 16) for n in numbers
    }


@given(
    st.lists(st.integers(1, 99), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(100, 199), max_size=6, unique=True),
    styles(),
)
@settings(deadline=None)
def test_a_resource_with_its_threads_in_between_is_read_with_all_of_them(
    owners: list[int], waiters: list[int], style: Style
) -> None:
    where = [0x8A000000 + n * 0x400 for n in (*owners, *waiters)]
    planted = PlantedResource(0x85610D30, tuple(where[: len(owners)]), tuple(where[len(owners) :]))
    writer = Writer(style)
    shown = {
        a: list(writer.thread(PlantedThread(a, 4, n + 8, 0x88000400, "a.exe"))) for n, a in enumerate(where)
    }
    lines = []
    for line in writer.resource(planted):
        lines.append(line)
        if "Threads: " in line:
            lines += itertools.chain.from_iterable(shown[a] for a in planted.owners)
    lines += itertools.chain.from_iterable(shown[a] for a in planted.waiters)
    log = parse(["0: kd> !locks -v", *lines])
    (resource,) = log.resources
    assert (resource.owners, resource.exclusive_waiters) == (planted.owners, planted.waiters)
    assert [one.address for one in log.threads] == where


@given(st.dictionaries(st.sampled_from(["Event", "ALPC Port", "File", "Key"]), st.integers(1, 20)), styles())
@settings(deadline=None)
def test_the_handles_that_were_planted_are_those_that_are_counted(
    types: dict[str, int], style: Style
) -> None:
    a = style.address
    lines = [f"Handle table at {a(0xE19E0000)} with {sum(types.values())} entries in use"]
    for name, count in types.items():
        lines += [f"Object: {a(0x85A6F000)}  Type: ({a(0x85CA7B40)}) {name}", "    HandleCount: 2"] * count
    (table,) = parse(["0: kd> !handle 0 7", *lines, "0: kd> !vm"]).handle_tables
    assert (table.count, table.types) == (sum(types.values()), types)
