"""From the text of a debugger, as it prints it or as the web damages it, to the end of the chain."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.triage.answer import Answer, triage
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
