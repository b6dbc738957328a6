"""Our own BMC, judged by a client that is not ours: ipmitool over lanplus."""

from __future__ import annotations

import math
import os
import random
import socket
import subprocess
from collections.abc import Iterator

import pytest

from collector.lab.bmc import Bmc, Board, Faults
from collector.lab.records import CRITICAL_INTERRUPT, WATCHDOG_2, WatchdogTimer
from collector.lab.rmcp import RMCP_HEADER, Account, Privilege, Status
from tests.peers.server import tool

ACCOUNTS = (
    Account("admin", "bmc-password"),
    Account("oper", "operator-password-20", Privilege.OPERATOR),  # 20 bytes: the longest that IPMI has
    Account("viewer", "viewer", Privilege.USER),
)


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def bmc(board: Board) -> Iterator[Bmc]:
    with Bmc(board, ACCOUNTS) as running:
        yield running


def ipmitool(
    bmc: Bmc, *arguments: str, user: str = "admin", password: str = "bmc-password", suite: str = "3"
) -> subprocess.CompletedProcess[str]:
    command = [
        tool("ipmitool", package="ipmitool"), "-I", "lanplus", "-C", suite, "-R", "1", "-N", "5",
        "-H", bmc.address, "-p", str(bmc.port), "-U", user, "-E", *arguments,
    ]  # fmt: skip
    return subprocess.run(
        command,
        env={**os.environ, "IPMI_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_power_is_what_the_machine_says(bmc: Bmc, board: Board) -> None:
    assert "is on" in ipmitool(bmc, "power", "status").stdout
    board.on = False
    assert "is off" in ipmitool(bmc, "power", "status").stdout


def test_power_and_reset_reach_the_machine(bmc: Bmc, board: Board) -> None:
    assert ipmitool(bmc, "power", "off").returncode == 0
    assert not board.on
    assert ipmitool(bmc, "power", "on").returncode == 0
    assert board.on
    assert ipmitool(bmc, "power", "reset").returncode == 0
    assert ipmitool(bmc, "power", "cycle").returncode == 0
    assert board.resets == 2
    assert ipmitool(bmc, "power", "soft").returncode != 0  # not offered: refused as an invalid field


def test_one_diag_is_one_nmi_and_one_event(bmc: Bmc, board: Board) -> None:
    assert ipmitool(bmc, "power", "diag").returncode == 0
    assert (len(bmc.nmis), board.nmis) == (1, 1)
    assert bmc.nmis[0].user == "admin"
    events = ipmitool(bmc, "sel", "elist").stdout.splitlines()
    assert len(events) == 1
    assert "NMI/Diag Interrupt" in events[0]


def test_an_empty_event_log_is_said_to_be_empty(bmc: Bmc) -> None:
    answer = ipmitool(bmc, "sel", "elist")
    assert answer.returncode == 0
    assert "no entries" in (answer.stdout + answer.stderr)


def test_events_are_listed_in_order(bmc: Bmc) -> None:
    for state in range(4):
        bmc.sel.add(next(s for s in bmc.sensors if s.type == WATCHDOG_2), state)
    listed = ipmitool(bmc, "sel", "elist").stdout.splitlines()
    assert [line.split("|")[-2].strip() for line in listed] == [
        "Timer expired", "Hard reset", "Power down", "Power cycle",
    ]  # fmt: skip


def test_a_sensor_says_that_the_system_stopped(bmc: Bmc) -> None:
    bmc.sensors[0].states = 1 << 1
    listed = ipmitool(bmc, "sdr", "elist").stdout
    assert "Run-time critical stop" in listed
    assert len(listed.splitlines()) == len(bmc.sensors)


def test_the_watchdog_timer_is_read_in_whole(bmc: Bmc) -> None:
    bmc.watchdog = WatchdogTimer(running=True, action=1, initial=600.0, present=123.4)
    text = ipmitool(bmc, "mc", "watchdog", "get").stdout
    assert "Started/Running" in text
    assert "Hard Reset" in text
    assert "600.0 sec" in text
    assert "123.4 sec" in text


@pytest.mark.parametrize(
    "question", [["mc", "info"], ["mc", "guid"], ["sel", "info"], ["sel", "time", "get"]]
)
def test_the_bmc_says_who_it_is(bmc: Bmc, question: list[str]) -> None:
    answer = ipmitool(bmc, *question)
    assert answer.returncode == 0, answer.stderr


def test_a_wrong_password_is_refused_at_once_and_only_once(bmc: Bmc) -> None:
    assert ipmitool(bmc, "power", "diag", password="wrong").returncode != 0
    assert [login.message for login in bmc.logins].count(1) == 1
    assert bmc.nmis == []
    assert bmc.sessions == 0


def test_an_unknown_user_is_refused(bmc: Bmc) -> None:
    answer = ipmitool(bmc, "power", "status", user="nobody")
    assert answer.returncode != 0
    assert bmc.logins[-1].status is Status.UNAUTHORIZED_NAME


def test_other_cipher_suites_are_refused(bmc: Bmc) -> None:
    assert "no matching cipher suite" in ipmitool(bmc, "power", "status", suite="17").stderr
    assert ipmitool(bmc, "power", "status", suite="0").returncode != 0  # would need no password at all
    assert bmc.logins == []


def test_the_offered_suite_is_found_by_asking(bmc: Bmc) -> None:
    command = [
        tool("ipmitool", package="ipmitool"), "-I", "lanplus", "-H", bmc.address, "-p", str(bmc.port),
        "-U", "admin", "-P", "bmc-password", "power", "status",
    ]  # fmt: skip
    assert "is on" in subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def test_a_session_may_do_what_its_account_may(bmc: Bmc) -> None:
    oper = {"user": "oper", "password": "operator-password-20"}
    viewer = {"user": "viewer", "password": "viewer"}
    assert ipmitool(bmc, "power", "status", **oper).returncode != 0  # ipmitool asks for ADMINISTRATOR
    assert bmc.logins[-1].status is Status.UNAUTHORIZED_ROLE
    assert ipmitool(bmc, "-L", "OPERATOR", "power", "diag", **oper).returncode == 0
    assert "is on" in ipmitool(bmc, "-L", "USER", "power", "status", **viewer).stdout
    refused = ipmitool(bmc, "-L", "USER", "power", "diag", **viewer)
    assert "Insufficient privilege" in refused.stderr
    assert len(bmc.nmis) == 1


def test_a_session_is_closed_by_its_client(bmc: Bmc) -> None:
    ipmitool(bmc, "power", "status")
    assert bmc.sessions == 0
    assert bmc.arrived(0x06, 0x3C) == 1


def test_a_lost_answer_makes_ipmitool_send_again(board: Board) -> None:
    """The count at the peer is honest: a client that sends twice is seen to send twice."""
    command = ["-R", "2", "-N", "1", "power", "diag"]
    with Bmc(board, faults=Faults(lose=1)) as bmc:
        assert ipmitool(bmc, *command).returncode == 0
        assert len(bmc.nmis) == 2
    with Bmc(board, faults=Faults(lose=math.inf)) as bmc:
        assert ipmitool(bmc, *command).returncode != 0
        assert len(bmc.nmis) == 2


def test_a_refusal_is_no_nmi(board: Board) -> None:
    with Bmc(board, faults=Faults(refuse=0xD5)) as bmc:
        assert "not supported in present state" in ipmitool(bmc, "power", "diag").stderr.lower()
        assert bmc.nmis == []
        assert bmc.arrived(0x00, 0x02) == 1


def test_garbage_never_ends_it(bmc: Bmc) -> None:
    noise = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for size in range(80):
            sender.sendto(noise.randbytes(size), (bmc.address, bmc.port))
            for kind in (0x00, 0x06):
                sender.sendto(RMCP_HEADER + bytes([kind]) + noise.randbytes(size), (bmc.address, bmc.port))
            for payload_type in (0x00, 0x10, 0x12, 0x14, 0xC0):
                header = bytes([0x06, payload_type]) + bytes(8) + size.to_bytes(2, "little")
                sender.sendto(RMCP_HEADER + header + noise.randbytes(size), (bmc.address, bmc.port))
    assert "is on" in ipmitool(bmc, "power", "status").stdout


class Echo(Bmc):
    """Gets every datagram of a session twice, as networks do at times."""

    def _handle(self, datagram: bytes, peer: tuple[str, int]) -> None:
        for _ in range(2 if self.sessions else 1):
            super()._handle(datagram, peer)


def test_a_datagram_that_the_network_doubled_acts_once(board: Board) -> None:
    with Echo(board) as bmc:
        assert ipmitool(bmc, "power", "diag").returncode == 0
        assert len(bmc.nmis) == 1


def test_it_starts_again_on_its_old_port(board: Board) -> None:
    bmc = Bmc(board)
    with bmc:
        port = bmc.port
    with bmc:
        assert bmc.port == port
        assert "is on" in ipmitool(bmc, "power", "status").stdout


def test_ipmitool_reads_the_filters_the_log_and_the_chassis_as_they_are(bmc: Bmc) -> None:
    bmc.filters.add(CRITICAL_INTERRUPT, 0x04)
    listed = ipmitool(bmc, "pef", "filter", "list").stdout
    assert "enabled" in listed
    assert "Critical Interrupt" in listed
    assert "Reset" in listed
    bmc.power_restore, bmc.sel.capacity = 2, 3
    assert "Power Restore Policy : always-on" in ipmitool(bmc, "chassis", "status").stdout
    assert "Free Space       : 48 bytes" in ipmitool(bmc, "sel", "info").stdout
