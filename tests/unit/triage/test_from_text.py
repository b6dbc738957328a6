"""From the text of a debugger, as it prints it or as the web damages it, to the end of the chain."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.render.html_triage import page
from collector.triage.answer import Answer, triage
from collector.triage.summary import of_log
from tests.unit.triage.generator import (
    KERNEL_WAIT,
    USER_CODE,
    PlantedProcess,
    PlantedResource,
    PlantedThread,
    Style,
    Writer,
    damaged,
)

IN_DRIVER = (
    *KERNEL_WAIT,
    "FooDrv!Block+0x1b",
    "FooDrv!Dispatch+0x40",
    "nt!IofCallDriver+0x45",
    *USER_CODE[1:],
)
KINDS = ("lpc", "mutant", "eresource", "process", "thread")

styles = st.builds(Style, bits=st.sampled_from([32, 64]), args=st.booleans(), upper_case=st.booleans())
planted_kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=8)


def planted(style: Style, kinds: list[str], *, idle: int, order: random.Random) -> list[str]:
    """A log in which thread 0 waits for thread 1 and so on, among idle ones; each in a process of its own."""
    base = 0x8000_0000 if style.bits == 32 else 0xFFFF_FA80_0000_0000
    writer, processes, locks = Writer(style), [], []
    for number in range(len(kinds) + 1 + idle):
        kind = kinds[number] if number < len(kinds) else ""
        thread, lock = _thread(
            base, number, kind, len(kinds), served=number > 0 and kinds[number - 1 : number] == ["lpc"]
        )
        processes.append(PlantedProcess(thread.process, 0x100 + number, thread.image, threads=(thread,)))
        locks += [lock] if lock else []
    order.shuffle(processes)
    return [
        *(line for one in processes for line in writer.process(one)),
        *(line for one in locks for line in writer.resource(one)),
    ]


def _thread(
    base: int, number: int, kind: str, last: int, *, served: bool
) -> tuple[PlantedThread, PlantedResource | None]:
    here, following = address(base, number), address(base, number + 1)
    event = base + 0x90_0000 + number * 0x100
    objects = {
        "mutant": ((event, f"Mutant - owning thread {following:x}"),),
        "process": ((following + 0x80, "ProcessObject"),),
        "thread": ((following, "Thread"),),
    }
    thread = PlantedThread(
        here,
        0x100 + number,
        0x200 + number,
        here + 0x80,
        f"app{number}.exe",
        ticks=64_000 + number,
        mode="KernelMode" if number == last else "UserMode",
        waits_on=objects.get(kind, ((event, "SynchronizationEvent"),)),
        reply_to=0x5000 + number if kind == "lpc" else None,
        works_on=0x5000 + number - 1 if served else None,
        stack=IN_DRIVER if number == last else (*KERNEL_WAIT, *USER_CODE),
    )
    lock = PlantedResource(event + 8, (following,), (here,)) if kind == "eresource" else None
    return thread, lock


def address(base: int, number: int) -> int:
    return base + 0x10_0000 + number * 0x1000


def chain_of(found: Answer) -> list[int | None]:
    (chain,) = found.chains
    return [link.node.thread.address if link.node.thread else None for link in chain.links]


@settings(max_examples=60, deadline=None)
@given(
    styles, planted_kinds, st.integers(0, 10), st.integers(0, 1 << 30), st.sampled_from(["", "web", "double"])
)
def test_the_chain_that_was_planted_in_a_text_is_found_and_nothing_else(
    style: Style, kinds: list[str], idle: int, seed: int, damage: str
) -> None:
    text = planted(style, kinds, idle=idle, order=random.Random(seed))
    if damage:
        text = damaged(text, seed, double=damage == "double")
    found = triage(text)
    base = 0x8000_0000 if style.bits == 32 else 0xFFFF_FA80_0000_0000
    assert chain_of(found) == [address(base, number) for number in range(len(kinds) + 1)]
    assert found.suspect is not None
    assert (found.suspect.kind, found.suspect.module) == ("driver", "FooDrv")
    assert {name for name in found.patterns if name.startswith("wait_chain_")} == {
        f"wait_chain_{kind}" for kind in kinds
    }


@given(styles, st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_idle_threads_in_a_text_give_no_finding(style: Style, idle: int) -> None:
    text = planted(style, [], idle=idle, order=random.Random(1))
    healthy = [line for line in text if "FooDrv" not in line]
    found = triage(healthy)
    assert found.findings == ()
    assert found.chains == ()


@pytest.mark.parametrize(
    "text", [[], [""], ["\0" * 5000], ["\x1b[2J" * 100], ["THREAD"], ["THREAD " + "f" * 10_000]]
)
def test_text_that_says_nothing_gives_an_answer_that_says_so(text: list[str]) -> None:
    found = triage(text)
    assert found.findings == ()
    assert found.suspect is None


@settings(max_examples=60, deadline=None)
@given(planted_kinds, st.integers(0, 1 << 30), st.data())
def test_a_text_cut_anywhere_still_gives_an_answer(kinds: list[str], seed: int, data: st.DataObject) -> None:
    text = "\n".join(planted(Style(), kinds, idle=2, order=random.Random(seed)))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = triage(text[start:end].splitlines())
    assert all(finding.lines for finding in found.findings)


def circle(count: int) -> list[str]:
    """A log in which each thread waits for a mutex of the next, and the last for one of the first."""
    writer, base = Writer(Style(32)), 0x8000_0000
    lines = []
    for number in range(count):
        here, following = address(base, number), address(base, (number + 1) % count)
        owned = ((here + 0x100, f"Mutant - owning thread {following:x}"),)
        thread = PlantedThread(here, 4, number + 8, here + 0x80, "app.exe", ticks=64_000, waits_on=owned)
        lines += writer.thread(thread)
    return lines


def test_a_circle_of_thousands_is_one_answer_on_one_screen() -> None:
    found = triage(circle(3000))
    (chain,) = found.chains
    assert (chain.cycle, len(chain.links)) == (True, 3000)
    assert "deadlock" in found.patterns
    assert len(str(of_log(found))) < 20_000
    assert len(page("kd.log", found, {})) < 200_000


_CONTRADICTIONS = """\
0: kd> !vm
*** Virtual Memory Usage ***
Physical Memory: 0 ( 0 Kb)
PagedPool Usage: 9 (999999999999 Kb)
PagedPool Maximum: 0 ( 0 Kb)
NonPagedPool Usage: 1 ( 4 Kb)
NonPagedPool Max: 1 ( 1 Kb)
--
Resource @ 0x85610d30    Shared 999999999 owning threads
    Contention Count = 999999999999
    NumberOfExclusiveWaiters = 999999999999
     Threads: 86ba5638-01<*>    86ba5638-01<*>
     Threads Waiting On Exclusive Access:
              86ba5638       86ba5638
--
THREAD 86ba5638  Cid 0001.0002  Teb: 0 Win32Thread: 0 WAIT: (Executive) KernelMode Non-Alertable
    8743270c  Mutant - owning thread 86ba5638
Wait Start TickCount 999999999999999999 Ticks: 999999999999999999 (999999999:99:99:99.999)
--
THREAD 86ba5638  Cid 0001.0002  Teb: 0 Win32Thread: 0 RUNNING on processor 99999
THREAD 86ba5638  Cid 0003.0004  Teb: 0 Win32Thread: 0 RUNNING on processor 0
--
0: kd> !lpc message 7
Server thread 86ba5638 is working on message 7
Client thread 86ba5638 waiting a reply from 7
Server thread 86ba5639 is working on message 7
--
BugCheck FFFFFFFF, {0, 0, 0, 0}
DPC_WATCHDOG_VIOLATION (133)
Arg1: 0000000000000001
--
System Uptime: 999999 days 99:99:99.999
Handle table at e19e0000 with 999999999 entries in use
--
PROCESS 86ba5638
    SessionId: 0  Cid: 0001    Peb: 0  ParentCid: 0001
    HandleCount: 999999999.
"""


@given(st.lists(st.sampled_from(_CONTRADICTIONS.split("--\n")), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_numbers_that_contradict_each_other_give_an_answer(texts: list[str]) -> None:
    found = triage("\n".join(texts).splitlines())
    assert all(finding.lines for finding in found.findings)
    assert all(len(chain.links) <= 3 for chain in found.chains)
    assert len(str(of_log(found))) < 20_000
