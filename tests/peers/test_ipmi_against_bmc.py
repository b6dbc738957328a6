"""The IPMI adapter against a BMC of ours that can be made to misbehave."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import LogRoom, NmiOutcome, PowerState
from collector.adapters.base import (
    Clock,
    EventLog,
    EventLogRoom,
    NmiInjector,
    NmiOffer,
    NmiReaction,
    Power,
    PowerRestore,
    StopSensors,
    Watchdog,
)
from collector.adapters.base import Privilege as PrivilegeReader
from collector.adapters.ipmi import IpmiController, IpmiEndpoint
from collector.adapters.limits import Deadline
from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    InventoryError,
    LoginRefusedError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)
from collector.lab.bmc import ADMIN, Bmc, Board, Faults
from collector.lab.records import CRITICAL_INTERRUPT, OS_STOP, WatchdogTimer
from collector.lab.rmcp import RMCP_HEADER, Account, Privilege
from tests.peers.bmc import logged_in

OPERATOR = Account("oper", "operator", Privilege.OPERATOR)
VIEWER = Account("viewer", "viewer", Privilege.USER)
CHASSIS_CONTROL, SET_PRIVILEGE, GET_WATCHDOG_TIMER = (0x00, 0x02), (0x06, 0x3B), (0x06, 0x25)
GET_SEL_ENTRY, GET_SDR = (0x0A, 0x43), (0x0A, 0x23)
GET_SEL_INFO, GET_SEL_TIME, GET_PEF = (0x0A, 0x40), (0x0A, 0x48), (0x04, 0x13)


@pytest.fixture
def bmc() -> Iterator[Bmc]:
    with Bmc(Board(), [ADMIN, OPERATOR, VIEWER]) as running:
        yield running


def soon() -> Deadline:
    return Deadline.after(20.0)


def test_it_has_every_capability_of_a_bmc() -> None:
    known = (Power, NmiInjector, EventLog, Watchdog, StopSensors)
    for capability in (*known, Clock, EventLogRoom, NmiOffer, NmiReaction, PowerRestore, PrivilegeReader):
        assert issubclass(IpmiController, capability)


def test_power_is_read(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        assert controller.power_state(soon()) is PowerState.ON
        bmc.machine.set_power(False)
        assert controller.power_state(soon()) is PowerState.OFF


def test_the_watchdog_is_read(bmc: Bmc) -> None:
    bmc.watchdog = WatchdogTimer(running=True, action=3, initial=600.0, present=599.9)
    with logged_in(bmc.port) as controller:
        state = controller.watchdog(soon())
    assert (state.running, state.action, state.initial_s, state.present_s) == (
        True,
        "power cycle",
        600.0,
        599.9,
    )


def test_events_are_read_in_order_and_the_nmi_is_among_them(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        assert controller.events(soon()) == []
        bmc.sel.add(bmc.sensors[2], 1)
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
        events = controller.events(soon())
    assert [(event.id, event.sensor, event.text) for event in events] == [
        ("1", "Watchdog 2 #0x03", "hard reset"),
        ("2", "Critical Interrupt #0x02", "NMI/Diag Interrupt"),
    ]
    assert all(event.time is not None and abs(event.time.timestamp() - time.time()) < 60 for event in events)


def test_a_long_log_is_read_whole(bmc: Bmc) -> None:
    for _ in range(300):
        bmc.sel.add(bmc.sensors[0], 1)
    with logged_in(bmc.port) as controller:
        assert [event.id for event in controller.events(soon())] == [str(n) for n in range(1, 301)]


def test_what_the_bmc_says_of_itself_is_read(bmc: Bmc) -> None:
    bmc.power_restore = 2
    for _ in range(990):
        bmc.sel.add(bmc.sensors[0], 1)
    with logged_in(bmc.port) as controller:
        assert controller.event_log_room(soon()) == LogRoom(990, 160, overflow=False)
        assert controller.privilege(soon()) == "operator"
        assert controller.offers_nmi(soon())
        assert controller.power_restore(soon()) == "powers on"
        assert controller.power_state(soon()) is PowerState.ON
        now = controller.clock(soon())
        assert now is not None
        assert abs(now.timestamp() - time.time()) < 60
        bmc.sel.capacity, bmc.offers_nmi = 980, False
        assert controller.event_log_room(soon()) == LogRoom(990, 0, overflow=True)
        assert not controller.offers_nmi(soon())
    assert bmc.nmis == []


def test_a_clock_that_nobody_set_is_none(bmc: Bmc) -> None:
    bmc.sel.clock_ahead = -math.inf
    with logged_in(bmc.port) as controller:
        assert controller.clock(soon()) is None


def test_a_log_of_64_kib_or_more_has_room_that_is_not_counted(bmc: Bmc) -> None:
    bmc.faults.answers[GET_SEL_INFO] = (0, bytes.fromhex("51 0100 ffff 00000000 00000000 02"))
    with logged_in(bmc.port) as controller:
        assert controller.event_log_room(soon()) == LogRoom(1, None, overflow=False)


def test_half_an_answer_is_an_error(bmc: Bmc) -> None:
    halves = {GET_SEL_INFO: bytes(13), GET_SEL_TIME: bytes(3), GET_PEF: b"\x11"}
    bmc.faults.answers |= {command: (0, data) for command, data in halves.items()}
    with logged_in(bmc.port) as controller:
        for question in (controller.event_log_room, controller.clock, controller.nmi_reactions):
            with pytest.raises(PeerFailedError):
                question(soon())


def test_only_a_filter_that_is_on_and_lets_an_nmi_pass_reacts(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        bmc.filters.add(OS_STOP, 0x02)
        bmc.filters.add(CRITICAL_INTERRUPT, 0x04, enabled=False)
        bmc.filters.add(CRITICAL_INTERRUPT, 0x01)
        bmc.filters.on = True
        assert controller.nmi_reactions(soon()) == []
        bmc.filters.add(CRITICAL_INTERRUPT, 0x04)
        bmc.filters.add(0xFF, 0x28)
        assert controller.nmi_reactions(soon()) == ["reset", "power cycle", "another NMI"]
        bmc.filters.actions = 0x20
        assert controller.nmi_reactions(soon()) == ["another NMI"]
        bmc.filters.on = False
        assert controller.nmi_reactions(soon()) == ()


def test_a_bmc_that_knows_no_filters_has_none(bmc: Bmc) -> None:
    bmc.faults.answers[GET_PEF] = (0xC1, b"")
    with logged_in(bmc.port) as controller:
        assert controller.nmi_reactions(soon()) == ()
        bmc.faults.answers[GET_PEF] = (0xD4, b"")
        with pytest.raises(ForbiddenError):
            controller.nmi_reactions(soon())


def test_stop_sensors_are_only_those_that_tell_of_a_stop(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        assert controller.stop_sensors(soon()) == []
        bmc.sensors[0].states = 1 << 1
        bmc.sensors[1].states = 1 << 7  # a corrected bus error stops nothing
        (stopped,) = controller.stop_sensors(soon())
    assert (stopped.name, stopped.states) == ("OS Critical Stop #0x01", ("run-time critical stop",))


def test_a_wrong_password_is_offered_once(bmc: Bmc) -> None:
    with (
        pytest.raises(LoginRefusedError, match="password is wrong") as caught,
        logged_in(bmc.port, password="not-the-password"),
    ):
        pass
    assert [login.message for login in bmc.logins] == [1]
    assert "not-the-password" not in repr(caught.value) + str(caught.value) + caught.value.hint
    assert bmc.sessions == 0


def test_an_unknown_user_is_offered_once(bmc: Bmc) -> None:
    with pytest.raises(LoginRefusedError, match="user is unknown"), logged_in(bmc.port, user="nobody"):
        pass
    assert len(bmc.logins) == 1


def test_an_account_without_the_privilege_is_told_so_after_one_try(bmc: Bmc) -> None:
    with (
        pytest.raises(LoginRefusedError, match="privilege"),
        logged_in(bmc.port, user=VIEWER.name, password=VIEWER.password),
    ):
        pass
    assert len(bmc.logins) == 1


def test_the_level_asked_for_is_the_level_configured(bmc: Bmc) -> None:
    with logged_in(bmc.port, user=OPERATOR.name, password=OPERATOR.password) as controller:
        assert controller.power_state(soon()) is PowerState.ON
    with logged_in(bmc.port, privilege="administrator"):
        pass
    with (
        pytest.raises(LoginRefusedError),
        logged_in(bmc.port, user=OPERATOR.name, password=OPERATOR.password, privilege="administrator"),
    ):
        pass
    asked = [r.data[0] for r in bmc.requests if (r.netfn, r.command) == SET_PRIVILEGE]
    assert asked == [Privilege.OPERATOR, Privilege.ADMINISTRATOR]


@pytest.mark.parametrize("code", [0xC1, 0xCC, 0xD4, 0xD5])
def test_a_refusal_before_acting_is_not_sent(bmc: Bmc, code: int) -> None:
    bmc.faults = Faults(refuse=code)
    with logged_in(bmc.port) as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.NOT_SENT
    assert f"{code:02X}h" in answer.detail
    assert (len(bmc.nmis), bmc.arrived(*CHASSIS_CONTROL)) == (0, 1)


def test_only_one_request_arrives_not_only_one_nmi(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        controller.send_nmi(soon())
    assert bmc.arrived(*CHASSIS_CONTROL) == 1


def test_a_session_that_lost_an_answer_is_not_used_again(bmc: Bmc) -> None:
    bmc.faults = Faults(delay=1.0)
    with logged_in(bmc.port) as controller:
        assert controller.send_nmi(Deadline.after(0.5)).outcome is NmiOutcome.UNCERTAIN
        with pytest.raises(UnreachableError, match="session"):
            controller.power_state(soon())
        second = controller.send_nmi(soon())
        assert second.outcome is NmiOutcome.NOT_SENT
        assert len(bmc.nmis) == 1


def test_a_dropped_session_is_closed_at_the_bmc(bmc: Bmc) -> None:
    bmc.faults = Faults(lose=1)
    with logged_in(bmc.port) as controller:
        assert bmc.sessions == 1
        controller.send_nmi(Deadline.after(0.5))
        eventually(lambda: bmc.sessions == 0)


def test_a_session_is_closed_on_the_way_out(bmc: Bmc) -> None:
    with pytest.raises(ZeroDivisionError), logged_in(bmc.port):
        assert bmc.sessions == 1
        raise ZeroDivisionError
    eventually(lambda: bmc.sessions == 0)


def test_a_controller_can_be_entered_again(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        for _ in range(3):
            controller.__exit__()
            with pytest.raises(UnreachableError):
                controller.power_state(soon())
            assert controller.send_nmi(soon()).outcome is NmiOutcome.NOT_SENT
            controller.__enter__()
            assert controller.power_state(soon()) is PowerState.ON
    assert bmc.nmis == []


def test_two_sessions_with_one_bmc_do_not_disturb_each_other(bmc: Bmc) -> None:
    with logged_in(bmc.port) as first:
        with logged_in(bmc.port) as second:
            assert bmc.sessions == 2
            assert second.power_state(soon()) is PowerState.ON
        assert first.power_state(soon()) is PowerState.ON
        assert first.send_nmi(soon()).outcome is NmiOutcome.SENT


def test_threads_may_each_have_their_own_session(bmc: Bmc) -> None:
    results: list[PowerState] = []

    def work(controller: IpmiController) -> None:
        results.extend(controller.power_state(soon()) for _ in range(20))

    with contextlib.ExitStack() as stack:
        controllers = [stack.enter_context(logged_in(bmc.port)) for _ in range(3)]
        threads = [threading.Thread(target=work, args=(controller,)) for controller in controllers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [PowerState.ON] * 60


def test_a_read_survives_a_lost_packet(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        bmc.silent = True
        threading.Timer(0.5, setattr, (bmc, "silent", False)).start()
        assert controller.power_state(soon()) is PowerState.ON


def test_a_bmc_that_falls_silent_ends_a_read_by_its_deadline(bmc: Bmc) -> None:
    with logged_in(bmc.port) as controller:
        bmc.silent = True
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            controller.power_state(Deadline.after(0.5))
        assert time.monotonic() - started < 10.0


def test_a_bmc_that_never_answers_ends_the_login_by_the_deadline() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with (
            pytest.raises(UnreachableError, match="does not answer") as caught,
            logged_in(silent.getsockname()[1], seconds=1.0),
        ):
            pass
    assert time.monotonic() - started < 10.0
    assert "623" in caught.value.hint


class MuteAfterRakp1(Bmc):
    """Answers as long as nobody has said who they are."""

    def _send(self, packet: bytes, peer: tuple[str, int], delay: float = 0.0) -> None:
        if not self.logins:
            super()._send(packet, peer, delay)


def test_a_bmc_that_falls_silent_while_logging_in_ends_by_the_deadline() -> None:
    with MuteAfterRakp1(Board()) as bmc:
        started = time.monotonic()
        with pytest.raises(UnreachableError), logged_in(bmc.port, seconds=2.0):
            pass
        assert time.monotonic() - started < 10.0
        assert bmc.logins


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}/udp does not answer"), logged_in(port):
        pass


def test_a_name_that_does_not_resolve_is_said_to_be_one() -> None:
    with pytest.raises(UnreachableError, match="does not resolve"), logged_in(623, address="bmc.invalid"):
        pass


def test_a_missing_credential_is_the_inventory_s_fault() -> None:
    with pytest.raises(InventoryError, match="credential"):
        IpmiController(IpmiEndpoint(address="192.0.2.1"), None, soon()).__enter__()


class Noisy(Bmc):
    """Once `noise` is set, sends noise of every size before each answer. Anybody can, in the BMC's name."""

    noise = False

    def _send(self, packet: bytes, peer: tuple[str, int], delay: float = 0.0) -> None:
        for size in range(40 if self.noise else 0):
            for start in (b"", RMCP_HEADER, RMCP_HEADER + b"\x06", RMCP_HEADER + b"\x06\xc0"):
                super()._send(start + os.urandom(size), peer)
        super()._send(packet, peer, delay)


def test_noise_in_the_bmc_s_name_is_passed_over() -> None:
    with Noisy(Board(), faults=Faults(delay=0.5)) as bmc, logged_in(bmc.port) as controller:
        bmc.noise = True
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
        assert controller.power_state(soon()) is PowerState.ON
        assert len(bmc.nmis) == 1


class Deafening(Bmc):
    """Once `noise` is set, sends a packet of IPMI 1.5 with a high sequence number before each answer."""

    noise = False

    def _send(self, packet: bytes, peer: tuple[str, int], delay: float = 0.0) -> None:
        if self.noise:
            super()._send(RMCP_HEADER + b"\x00" + b"\xfe" * 20, peer)
        super()._send(packet, peer, delay)


def test_a_packet_of_ipmi_1_5_does_not_make_the_session_deaf() -> None:
    with Deafening(Board()) as bmc, logged_in(bmc.port) as controller:
        bmc.noise = True
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
        assert controller.power_state(soon()) is PowerState.ON
        assert len(bmc.nmis) == 1


def test_a_login_that_noise_disturbs_ends_with_an_error_of_ours() -> None:
    with Noisy(Board()) as bmc:
        bmc.noise = True
        with pytest.raises(AdapterError), logged_in(bmc.port, seconds=5.0):
            pass


@pytest.mark.parametrize("data", [b"", b"\x04", b"\xff" * 1000, b"\xff" * 4000])
def test_answers_of_a_wrong_size_never_end_in_anything_but_our_errors(bmc: Bmc, data: bytes) -> None:
    bmc.faults.answers = dict.fromkeys([GET_WATCHDOG_TIMER, GET_SEL_ENTRY, GET_SDR], (0, data))
    for read in (IpmiController.watchdog, IpmiController.events, IpmiController.stop_sensors):
        with logged_in(bmc.port) as controller, contextlib.suppress(AdapterError):
            read(controller, Deadline.after(1.0))


def test_a_log_that_points_back_to_itself_ends(bmc: Bmc) -> None:
    bmc.faults.answers = {GET_SEL_ENTRY: (0, struct.pack("<H", 2) + bytes(16))}
    with logged_in(bmc.port) as controller:
        events = controller.events(soon())
    assert len(events) == 3
    assert "comes round again" in events[-1].text


def test_what_the_account_may_not_do_is_forbidden(bmc: Bmc) -> None:
    bmc.faults.answers = {GET_SEL_ENTRY: (0xD4, b"")}
    with logged_in(bmc.port) as controller, pytest.raises(ForbiddenError, match="event log"):
        controller.events(soon())


def test_what_the_bmc_does_not_know_is_unsupported(bmc: Bmc) -> None:
    bmc.faults.answers = {GET_SDR: (0xC1, b"")}
    with logged_in(bmc.port) as controller, pytest.raises(UnsupportedError, match="sensors"):
        controller.stop_sensors(soon())


def test_a_failure_of_the_bmc_is_named_with_its_code(bmc: Bmc) -> None:
    bmc.faults.answers = {GET_WATCHDOG_TIMER: (0xD2, b"")}
    with logged_in(bmc.port) as controller, pytest.raises(PeerFailedError, match=r"D2h \(BMC initialization"):
        controller.watchdog(soon())


def test_a_killed_tool_leaves_no_session_behind(bmc: Bmc, tmp_path: Path) -> None:
    """Nothing tidies up after `kill -9`; the process that holds the session notices by itself."""
    script = tmp_path / "hold.py"
    script.write_text(
        "import time\nfrom tests.peers.bmc import logged_in\n"
        f"with logged_in({bmc.port}):\n    print('in', flush=True)\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as tool:
        assert tool.stdout is not None
        assert tool.stdout.readline() == b"in\n"
        assert bmc.sessions == 1
        tool.kill()
    eventually(lambda: bmc.sessions == 0)


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
