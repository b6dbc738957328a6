from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DumpError
from collector.triage.linux_log import highlight_of, panic_of, read_log
from collector.triage.linux_result import Highlight, LogLine, Panic
from tests.unit.triage.linux_image import Image, printk_ring

LINES = [(1_000_000_000 * at, f"line {at} of a log that goes round its ring") for at in range(1, 6)]


def test_the_log_is_read_in_order_past_the_end_of_its_ring() -> None:
    image = Image()
    log = read_log(image, printk_ring(image, LINES, size_bits=9))
    assert [(line.seconds, line.text) for line in log] == [(at / 1e9, text) for at, text in LINES]


def test_a_line_cannot_act_on_a_terminal() -> None:
    image = Image()
    (line,) = read_log(image, printk_ring(image, [(0, "red \x1b[31m")]))
    assert line.text == r"red \x1b[31m"


def test_a_kernel_with_the_old_log_is_told_how_to_get_it() -> None:
    with pytest.raises(DumpError) as error:
        read_log(Image(), {})
    assert "--dump-dmesg" in error.value.hint


@pytest.mark.parametrize(
    ("text", "highlight"),
    [
        ("INFO: task hang_waiter:128 blocked for more than 120 seconds.", Highlight.HUNG_TASK),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [hang_spinner:137]", Highlight.SOFT_LOCKUP),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", Highlight.HARD_LOCKUP),
        ("rcu: INFO: rcu_preempt self-detected stall on CPU", Highlight.RCU_STALL),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", Highlight.RCU_STALL),
        ("Uhhuh. NMI received for unknown reason 21 on CPU 0.", Highlight.NMI),
        ("Kernel panic - not syncing: NMI: Not continuing", Highlight.PANIC),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000008", Highlight.OOPS),
        ("Out of memory: Killed process 812 (java)", Highlight.OUT_OF_MEMORY),
        ("nfs: server nas01 not responding, still trying", Highlight.STORAGE),
        ("EXT4-fs (vda): mounted filesystem with ordered data mode.", None),
        ("NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.", None),
    ],
)
def test_the_lines_that_speak_of_a_hang_are_pulled_up(text: str, highlight: Highlight | None) -> None:
    assert highlight_of(text) == highlight


def test_the_panic_is_told_with_its_reason_and_cpu() -> None:
    log = [
        LogLine(1, "Uhhuh. NMI received for unknown reason 21 on CPU 0."),
        LogLine(1, "Kernel panic - not syncing: NMI: Not continuing"),
        LogLine(1, "CPU: 3 PID: 0 Comm: swapper/3 Not tainted 6.1.0 #1"),
    ]
    assert panic_of(log) == Panic("NMI: Not continuing", 3, by_nmi=True)
    assert panic_of([]) is None


@given(st.data())
def test_a_damaged_log_gives_an_error_of_ours_or_lines(data: st.DataObject) -> None:
    image = Image()
    info = printk_ring(image, LINES, size_bits=9)
    start = data.draw(st.sampled_from(sorted(image.pieces)))
    raw = bytearray(image.pieces[start])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    image.pieces[start] = bytes(raw)
    try:
        lines = read_log(image, info)
    except DumpError:
        return
    assert sum(len(line.text) for line in lines) < 100_000
