from __future__ import annotations

import struct

import pytest

from collector.errors import DumpError
from collector.triage.linux_btf import Btf
from collector.triage.linux_kernel import Kernel
from collector.triage.linux_symbols import Symbol, Symbols
from collector.triage.linux_tasks import read_cpus, read_others, state_letter
from tests.unit.triage.linux_image import Image, btf

DATA, HEAP, QUEUES, NOTES = 0xFFFFFFFF82000000, 0xFFFF888000000000, 0x31000, 0x39000
LIST = (16, [("next", "u64", 0), ("prev", "u64", 64)])
TYPES = {
    "list_head": LIST,
    "task_struct": (
        128,
        [
            ("__state", "u32", 0),
            ("exit_state", "u32", 32),
            ("flags", "u32", 64),
            ("cpu", "u32", 96),
            ("pid", "u32", 128),
            ("comm", "u8[16]", 192),
            ("tasks", "list_head", 320),
            ("thread_node", "list_head", 448),
            ("signal", "u64", 576),
            ("last_arrival", "u64", 640),
        ],
    ),
    "signal_struct": (16, [("thread_head", "list_head", 0)]),
    "rq": (8, [("curr", "u64", 0)]),
}
TASKS_AT, NODE_AT = 40, 56
INIT, FIRST, SECOND = (HEAP + 0x1000 * index for index in range(3))


def put_task(
    image: Image, at: int, pid: int, name: bytes, *, following: int, signal: int, state: int
) -> None:
    head = struct.pack("<IIIIIxxxx", state, 0, 0x00200000 if pid == 2 else 0, 0, pid)
    lists = struct.pack("<4Q", following + TASKS_AT, 0, signal, 0)
    image.put(at, head + name.ljust(16, b"\0") + lists + struct.pack("<QQ", signal, 5_000_000_000))
    image.words(signal, at + NODE_AT, 0)


def kernel(image: Image) -> Kernel:
    """A kernel with one CPU, an idle task, and two others; its per-CPU area starts at HEAP + 0x100000."""
    put_task(image, INIT, 0, b"swapper/0", following=FIRST, signal=HEAP + 0x8000, state=0)
    put_task(image, FIRST, 1, b"init", following=SECOND, signal=HEAP + 0x9000, state=1)
    put_task(image, SECOND, 2, b"kthreadd\x1b[2J", following=INIT, signal=HEAP + 0xA000, state=2)
    area = HEAP + 0x100000
    image.words(DATA, area)  # __per_cpu_offset
    image.words(DATA + 0x100, 1)  # nr_cpu_ids
    image.words(DATA + 0x200, 1)  # __cpu_online_mask
    image.words(DATA + 0x300, NOTES)  # crash_notes
    image.words(area + QUEUES, INIT)
    names = ("__per_cpu_offset", "nr_cpu_ids", "__cpu_online_mask", "crash_notes")
    symbols = [Symbol(DATA + 0x100 * index, name) for index, name in enumerate(names)]
    symbols += [Symbol(INIT, "init_task"), Symbol(QUEUES, "runqueues")]
    return Kernel(image, Symbols(symbols), Btf(btf(TYPES)))


def test_every_thread_is_listed_with_what_it_is() -> None:
    seen = kernel(Image())
    (cpu,) = read_cpus(seen, None, 0)
    assert (cpu.number, cpu.task.pid, cpu.task.running) == (0, 0, True)
    first, second = read_others(seen, None, 0, {cpu.task.address})
    assert (first.name, first.state, first.kernel_thread) == ("init", "S", False)
    assert (second.name, second.state, second.kernel_thread) == (r"kthreadd\x1b[2J", "D", True)


def test_a_list_that_breaks_off_gives_the_tasks_before_it() -> None:
    image = Image()
    seen = kernel(image)
    del image.pieces[SECOND]
    listed = read_others(seen, None, 0, {INIT})
    assert next(listed).pid == 1
    with pytest.raises(DumpError):
        next(listed)


@pytest.mark.parametrize(
    ("state", "exit_state", "letter"),
    [(0, 0, "R"), (1, 0, "S"), (2, 0, "D"), (0x102, 0, "D"), (0x402, 0, "I"), (4, 0, "T"), (0, 0x20, "Z")],
)
def test_a_state_has_the_letter_of_ps(state: int, exit_state: int, letter: str) -> None:
    assert state_letter(state, exit_state) == letter
