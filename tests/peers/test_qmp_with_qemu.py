"""The example adapter against QEMU's own monitor."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import NmiOutcome, PowerState
from collector.adapters.limits import Deadline
from collector.errors import DeadlineError, PeerFailedError, UnreachableError
from tests.peers import qmp
from tests.peers.server import free_port, running, tool, wait_for_port


@contextlib.contextmanager
def qemu(folder: Path, machine: str) -> Iterator[int]:
    """A machine without disks, stopped before its first instruction; yields the port of its monitor."""
    binary, port = tool("qemu-system-x86_64", package="qemu-system-x86"), free_port()
    monitor = f"tcp:127.0.0.1:{port},server=on,wait=off"
    options = ["-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none", "-S", "-qmp", monitor]
    with running([binary, "-machine", machine, *options], folder / "qemu.log"):
        wait_for_port(port, 30.0)
        yield port


def test_a_real_machine_takes_the_nmi_and_says_so(tmp_path: Path) -> None:
    with qemu(tmp_path, "pc") as port, qmp.logged_in(port) as controller:
        answer = controller.send_nmi(Deadline.after(20))
        assert (answer.outcome, answer.detail) == (NmiOutcome.SENT, "QEMU injected the NMI")


def test_a_real_machine_that_cannot_take_one_leaves_it_uncertain(tmp_path: Path) -> None:
    with qemu(tmp_path, "none") as port, qmp.logged_in(port) as controller:
        answer = controller.send_nmi(Deadline.after(20))
        assert answer.outcome is NmiOutcome.UNCERTAIN
        assert "GenericError" in answer.detail


def test_a_machine_that_was_not_started_tells_nothing_of_its_power(tmp_path: Path) -> None:
    with qemu(tmp_path, "pc") as port, qmp.logged_in(port) as controller:
        assert controller.power_state(Deadline.after(20)) is PowerState.UNKNOWN


def test_a_machine_that_runs_is_on() -> None:
    with qmp.Monitor(lambda _: None) as monitor, qmp.logged_in(monitor.port) as controller:
        assert controller.power_state(Deadline.after(20)) is PowerState.ON


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(UnreachableError), qmp.logged_in(free_port()):
        pass


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-x\r\n", b"[]\n", b"{}\n", b"x" * 200_000, b"[" * 60_000 + b"\n", b"\xff\n"]
)
def test_what_does_not_speak_qmp_is_refused(greeting: bytes) -> None:
    with (
        qmp.Monitor(lambda _: None, greeting=greeting) as monitor,
        pytest.raises(PeerFailedError, match="does not speak QMP"),
        qmp.logged_in(monitor.port),
    ):
        pass


@pytest.mark.parametrize("greeting", [b"", b'{"QMP":'])
def test_a_peer_that_accepts_and_falls_silent_costs_no_more_than_the_deadline(greeting: bytes) -> None:
    with (
        qmp.Monitor(lambda _: None, greeting=greeting) as monitor,
        pytest.raises(DeadlineError),
        qmp.logged_in(monitor.port, seconds=0.3),
    ):
        pass


def test_events_without_end_do_not_outlast_the_deadline() -> None:
    with (
        qmp.Monitor(lambda _: b"", events=math.inf) as monitor,
        pytest.raises(DeadlineError),
        qmp.logged_in(monitor.port, seconds=0.5),
    ):
        pass
