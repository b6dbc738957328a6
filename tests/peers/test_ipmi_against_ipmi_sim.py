"""The IPMI adapter against OpenIPMI's ipmi_sim: a BMC that nobody here wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import NmiOutcome, PowerState
from collector.adapters.ipmi import IpmiController
from collector.adapters.limits import Deadline
from collector.errors import AdapterError, LoginRefusedError
from tests.peers.bmc import logged_in
from tests.peers.ipmi_sim import IpmiSim, ipmi_sim


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[IpmiSim]:
    with ipmi_sim(tmp_path) as running:
        yield running


@pytest.fixture
def controller(bmc: IpmiSim) -> Iterator[IpmiController]:
    with logged_in(bmc.port, user=bmc.username, password=bmc.password) as running:
        yield running


def soon() -> Deadline:
    return Deadline.after(30.0)


def test_one_call_is_one_nmi(bmc: IpmiSim, controller: IpmiController) -> None:
    answer = controller.send_nmi(soon())
    assert (answer.outcome, bmc.nmi_count()) == (NmiOutcome.SENT, 1), answer.detail
    assert bmc.actions() == []


def test_a_late_answer_is_waited_for(tmp_path: Path) -> None:
    with (
        ipmi_sim(tmp_path, delay=3.0) as bmc,
        logged_in(bmc.port, user=bmc.username, password=bmc.password) as controller,
    ):
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
        assert bmc.nmi_count() == 1


def test_an_answer_that_comes_too_late_leaves_one_nmi_and_an_uncertain_outcome(tmp_path: Path) -> None:
    with (
        ipmi_sim(tmp_path, delay=3.0) as bmc,
        logged_in(bmc.port, user=bmc.username, password=bmc.password) as controller,
    ):
        assert controller.send_nmi(Deadline.after(1.5)).outcome is NmiOutcome.UNCERTAIN
        time.sleep(3.0)
        assert bmc.nmi_count() == 1


def test_a_bmc_that_cannot_is_not_sent(tmp_path: Path) -> None:
    with (
        ipmi_sim(tmp_path, pulse_diag=False) as bmc,
        logged_in(bmc.port, user=bmc.username, password=bmc.password) as controller,
    ):
        answer = controller.send_nmi(soon())
        assert (answer.outcome, bmc.nmi_count()) == (NmiOutcome.NOT_SENT, 0)
        assert "CCh" in answer.detail


def test_reading_everything_changes_nothing(bmc: IpmiSim, controller: IpmiController) -> None:
    assert controller.power_state(soon()) is PowerState.ON
    controller.events(soon())
    controller.watchdog(soon())
    controller.stop_sensors(soon())
    controller.clock(soon())
    controller.offers_nmi(soon())
    controller.nmi_reactions(soon())
    controller.power_restore(soon())
    bmc.power_file.write_text("0\n")
    assert controller.power_state(soon()) is PowerState.OFF
    assert bmc.actions() == []
    assert bmc.nmi_count() == 0


def test_the_log_says_what_ipmitool_says(bmc: IpmiSim, controller: IpmiController) -> None:
    controller.send_nmi(soon())
    bmc.emulate("sel_add 0x20 2 0 0 0 0 0x20 0 4 0x20 2 0x6f 0x01 0xff 0xff")
    events = controller.events(soon())
    listed = bmc.ipmitool("sel", "list").stdout.splitlines()
    assert [int(event.id) for event in events] == [int(line.split("|")[0], 16) for line in listed]
    assert [event.text for event in events[-2:]] == ["NMI/Diag Interrupt", "run-time critical stop"]


def test_a_watchdog_answer_without_the_present_countdown_is_read(
    bmc: IpmiSim, controller: IpmiController
) -> None:
    """This BMC leaves the last two bytes out; ipmitool prints what happens to lie in its memory."""
    # Set Watchdog Timer: SMS/OS and running, no action, no pre-timeout, 600.0 s.
    assert bmc.ipmitool("raw", "6", "0x24", "0x44", "0", "0", "0", "0x70", "0x17").returncode == 0
    state = controller.watchdog(soon())
    assert (state.running, state.action, state.initial_s) == (True, "none", 600.0)
    assert state.present_s is None


def test_no_sensor_tells_of_a_stop(controller: IpmiController) -> None:
    assert controller.stop_sensors(soon()) == []


def test_a_wrong_password_is_refused_and_the_right_one_works_afterwards(bmc: IpmiSim) -> None:
    with pytest.raises(LoginRefusedError), logged_in(bmc.port, user=bmc.username, password="wrong"):
        pass
    with pytest.raises(LoginRefusedError), logged_in(bmc.port, user="nobody", password=bmc.password):
        pass
    with logged_in(bmc.port, user=bmc.username, password=bmc.password) as controller:
        assert controller.power_state(soon()) is PowerState.ON


def test_an_operator_may_send_an_nmi(bmc: IpmiSim) -> None:
    with logged_in(bmc.port, user="operator", password=bmc.password) as controller:
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT


def test_it_logs_in_again_and_again(bmc: IpmiSim) -> None:
    for _ in range(5):
        with logged_in(bmc.port, user=bmc.username, password=bmc.password) as controller:
            assert controller.power_state(soon()) is PowerState.ON


def test_two_sessions_at_once(bmc: IpmiSim, controller: IpmiController) -> None:
    with logged_in(bmc.port, user=bmc.username, password=bmc.password) as second:
        assert second.power_state(soon()) is PowerState.ON
    assert controller.power_state(soon()) is PowerState.ON


def test_a_bmc_that_goes_away_in_the_middle_is_an_error(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path) as bmc:
        session = logged_in(bmc.port, user=bmc.username, password=bmc.password)
        controller = session.__enter__()
    with pytest.raises(AdapterError):
        controller.power_state(Deadline.after(1.0))
    session.__exit__(None, None, None)


def test_the_room_in_its_log_is_what_ipmitool_says(bmc: IpmiSim, controller: IpmiController) -> None:
    room = controller.event_log_room(soon())
    assert (room.records, room.overflow) == (1, False)
    assert f"Free Space       : {room.free} bytes" in bmc.ipmitool("sel", "info").stdout
    bmc.emulate("sel_add 0x20 0x02 0 0 0 0 0x20 0x00 0x04 0x09 0x03 0x6f 0x00 0xff 0xff")
    after = controller.event_log_room(soon())
    assert (after.records, (room.free or 0) - (after.free or 0)) == (2, 16)


def test_its_clock_is_the_one_that_was_set(bmc: IpmiSim, controller: IpmiController) -> None:
    assert controller.clock(soon()) is None
    assert bmc.ipmitool("sel", "time", "set", "now").returncode == 0
    now = controller.clock(soon())
    assert now is not None
    assert abs(now.timestamp() - time.time()) < 60


def test_an_event_filter_that_was_set_by_ipmitool_is_seen(bmc: IpmiSim, controller: IpmiController) -> None:
    assert controller.privilege(soon()) == "operator"
    assert controller.nmi_reactions(soon()) == ()
    entry = "0x80 0x08 0 0x10 0xff 0xff 0x13 0xff 0x6f 0x01 0 0 0 0 0 0 0 0 0 0"
    for parameter in ("1 1", "2 0x3f", f"6 3 {entry}"):
        done = bmc.ipmitool("raw", "0x04", "0x12", *parameter.split())
        assert done.returncode == 0, done.stderr
    assert "Critical Interrupt" in bmc.ipmitool("pef", "filter", "list").stdout
    assert controller.nmi_reactions(soon()) == ["power cycle"]
    assert (bmc.nmi_count(), bmc.actions()) == (0, [])
