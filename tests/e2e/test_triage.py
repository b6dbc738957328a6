"""The triage names the function that hangs a real kernel, from the dump alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.triage.linux_result import Highlight, LinuxTriage
from collector.triage.vmcore import triage_vmcore
from tests.e2e.lab import GuestLab
from tests.e2e.test_guest import send_nmi

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def triage_of(lab: GuestLab, hang: Callable[[], None], folder: Path) -> LinuxTriage:
    pytest.importorskip("drgn", reason="drgn has wheels for Linux only")
    boot_id, before = lab.boot_id(), set(lab.vmcores())
    hang()
    send_nmi(lab)
    lab.wait_ready(other_than=boot_id)
    (dump,) = set(lab.vmcores()) - before
    found = triage_vmcore(lab.fetch(dump, folder / "vmcore"))
    assert found.missing == ()
    assert found.panic is not None
    assert found.panic.by_nmi
    assert {"init", "kthreadd", "dropbear"} <= {task.name for task in found.tasks}
    assert {line.highlight for line in found.log} >= {Highlight.NMI, Highlight.PANIC}
    return found


def test_a_mutex_is_followed_through_two_waiters_to_the_thread_that_sleeps_with_it(
    lab: GuestLab, tmp_path: Path
) -> None:
    found = triage_of(lab, lambda: lab.block("mutex"), tmp_path)
    chain = found.chains[0]
    assert [(link.task.name, link.function, str(link.lock)) for link in chain.links] == [
        ("hang_waiter2", "hang_wait_for_outer_mutex [hang]", "mutex hang_outer_mutex [hang]"),
        ("hang_waiter", "hang_wait_for_mutex [hang]", "mutex hang_mutex [hang]"),
        ("hang_holder", "hang_hold_mutex [hang]", "None"),
    ]
    assert (chain.waiting, chain.deadlock) == (2, False)
    assert found.suspects[0].function == "hang_hold_mutex [hang]"
    assert Highlight.HUNG_TASK in {line.highlight for line in found.log}


def test_readers_and_writers_of_a_rw_semaphore_lead_to_its_writer(lab: GuestLab, tmp_path: Path) -> None:
    found = triage_of(lab, lambda: lab.block("rwsem"), tmp_path)
    assert found.chains[0].waiting == 2
    assert found.chains[0].holder.task.name == "hang_holder"
    assert found.suspects[0].function == "hang_hold_rwsem [hang]"
    assert "rw-semaphore hang_rwsem [hang]" in found.suspects[0].reason


def test_a_task_that_waits_for_what_never_comes_is_named_with_its_function(
    lab: GuestLab, tmp_path: Path
) -> None:
    found = triage_of(lab, lambda: lab.block("d-state"), tmp_path)
    assert [suspect.function for suspect in found.suspects] == ["hang_wait_for_ever [hang]"]
    (blocked,) = (task for task in found.tasks if task.state == "D")
    assert blocked.name == "hang_waiter"


def test_a_soft_lockup_is_named_by_the_function_that_keeps_the_cpu(lab: GuestLab, tmp_path: Path) -> None:
    found = triage_of(lab, lab.lock_up, tmp_path)
    (cpu,) = found.cpus
    assert (cpu.task.name, cpu.interrupts_on, cpu.user_mode) == ("hang_spinner", True, False)
    assert found.suspects[0].function == "hang_spin [hang]"
    assert Highlight.SOFT_LOCKUP in {line.highlight for line in found.log}


def test_a_loop_with_interrupts_off_is_named_by_what_the_nmi_came_upon(lab: GuestLab, tmp_path: Path) -> None:
    found = triage_of(lab, lambda: lab.hang("irq-off"), tmp_path)
    (cpu,) = found.cpus
    assert (cpu.task.name, cpu.interrupts_on) == ("insmod", False)
    assert found.suspects[0].function == "hang_init [hang]"


def test_an_idle_machine_has_no_suspect(lab: GuestLab, tmp_path: Path) -> None:
    found = triage_of(lab, lambda: None, tmp_path)
    assert found.suspects == ()
