"""The BMC double of the other tests is a real BMC: what it says and counts is what a client asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.peers.ipmi_sim import IpmiSim, ipmi_sim
from tests.peers.server import free_port


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[IpmiSim]:
    with ipmi_sim(tmp_path) as running:
        yield running


def test_one_request_pulses_one_nmi(bmc: IpmiSim) -> None:
    answer = bmc.ipmitool("chassis", "power", "diag")
    assert answer.returncode == 0, answer.stderr
    assert bmc.nmi_count() == 1
    assert bmc.actions() == []


def test_the_nmi_is_in_the_event_log_after_what_was_there_before(bmc: IpmiSim) -> None:
    before = bmc.ipmitool("sel", "elist").stdout.splitlines()
    bmc.ipmitool("chassis", "power", "diag")
    after = bmc.ipmitool("sel", "elist").stdout.splitlines()
    assert len(before) == 1
    assert after[:1] == before
    assert "NMI/Diag Interrupt" in after[1]


def test_reading_changes_nothing(bmc: IpmiSim) -> None:
    for question in (["chassis", "status"], ["mc", "info"], ["sdr", "list"], ["mc", "watchdog", "get"]):
        answer = bmc.ipmitool(*question)
        assert answer.returncode == 0, (question, answer.stderr)
    assert bmc.nmi_count() == 0
    assert bmc.actions() == []


def test_the_sensors_have_their_records(bmc: IpmiSim) -> None:
    listed = bmc.ipmitool("sdr", "elist", "all").stdout
    assert "Inlet Temp" in listed
    assert "23 degrees C" in listed
    assert "Watchdog" in listed


def test_the_power_file_is_the_power_state(bmc: IpmiSim) -> None:
    assert "is on" in bmc.ipmitool("chassis", "power", "status").stdout
    bmc.power_file.write_text("0\n")
    assert "is off" in bmc.ipmitool("chassis", "power", "status").stdout


def test_every_change_of_power_is_recorded(bmc: IpmiSim) -> None:
    bmc.ipmitool("chassis", "power", "off")
    assert bmc.power_file.read_text() == "0\n"
    bmc.ipmitool("chassis", "power", "on")
    bmc.ipmitool("chassis", "power", "reset")
    assert bmc.actions() == ["power 0", "power 1", "reset 1"]
    assert bmc.nmi_count() == 0


def test_an_event_can_be_added_while_it_runs(bmc: IpmiSim) -> None:
    bmc.emulate("sel_add 0x20 2 0 0 0 0 0x20 0 4 0x20 2 0x6f 0x01 0xff 0xff")
    assert "Run-time critical stop" in bmc.ipmitool("sel", "elist").stdout


def test_a_wrong_password_is_refused_and_pulses_nothing(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path, password="another-secret") as bmc:
        impostor = IpmiSim(bmc.address, bmc.port, 0, bmc.username, "wrong", bmc.pid, bmc.folder, bmc.log, ())
        assert impostor.ipmitool("chassis", "power", "diag").returncode != 0
        assert bmc.nmi_count() == 0
        assert bmc.ipmitool("mc", "info").returncode == 0


def test_a_bmc_without_diagnostic_interrupt_refuses(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path, pulse_diag=False) as bmc:
        answer = bmc.ipmitool("chassis", "power", "diag")
        assert "Invalid data field in request" in answer.stderr
        assert bmc.nmi_count() == 0


def test_a_slow_answer_comes_after_the_nmi(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path, delay=2.0) as bmc, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(bmc.ipmitool, "chassis", "power", "diag")
        while not bmc.nmi_count() and not answer.done():
            time.sleep(0.02)
        assert not answer.done()
        assert answer.result().returncode == 0
        assert bmc.nmi_count() == 1


def test_without_the_virtual_machine_no_nmi_is_claimed(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path, vm_port=free_port()) as bmc:
        answer = bmc.ipmitool("chassis", "power", "diag")
        assert "not supported in present state" in answer.stderr.lower()
        assert bmc.nmi_count() == 0
        assert "is off" in bmc.ipmitool("chassis", "power", "status").stdout
