"""The Hyper-V controller against a host that answers, refuses, moves its machines, or is stuck."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.adapters.answers import NmiOutcome, PowerState
from collector.adapters.base import EventLog, GuestView, NmiInjector, Power, Screen, StopSensors
from collector.adapters.hyperv import HypervController
from collector.adapters.limits import Deadline
from collector.errors import AdapterError, DeadlineError, ForbiddenError, PeerFailedError, UnsupportedError
from tests.peers import wsman as peer
from tests.peers.hyperv_host import NEVER, HypervHost, Machine, answered, asked, stuck
from tests.peers.hyperv_login import controller, served
from tests.peers.wsman import Wsman, wsman
from tests.peers.wsman_powershell import Answer

ID = "6f1d1b0e-0000-4000-8000-000000000001"
DENIED = {"category": "PermissionDenied", "words": "Sie haben keine Berechtigung."}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[HypervHost, Wsman, HypervController]]:
    """One session for all: to start one takes longer than most tests."""
    host = HypervHost(machines={"SQL01": [Machine(ID)]})
    with served(host) as (server, logged_in):
        yield host, server, logged_in


@pytest.fixture
def host() -> HypervHost:
    return HypervHost(machines={"SQL01": [Machine(ID)], "SQL02": [Machine("other")]})


@pytest.fixture
def both(
    shared: tuple[HypervHost, Wsman, HypervController], host: HypervHost
) -> Iterator[tuple[Wsman, HypervController]]:
    used, server, logged_in = shared
    used.machines, used.answers, used.nmis = host.machines, host.answers, host.nmis
    yield server, logged_in
    server.trouble.clear()


@pytest.fixture
def logged_in(both: tuple[Wsman, HypervController]) -> HypervController:
    return both[1]


def soon() -> Deadline:
    return Deadline.after(30.0)


def refused(host: HypervHost, folder: Path, **keys: object) -> AdapterError:
    """Why the controller could not be entered."""
    with (
        wsman(folder, host) as server,
        pytest.raises(AdapterError) as caught,
        controller(server, folder, **keys),
    ):
        pass
    assert host.nmis == []
    return caught.value


def test_it_is_asked_for_power_log_sensors_and_screen(logged_in: HypervController) -> None:
    for capability in (NmiInjector, Power, EventLog, GuestView, Screen):
        assert isinstance(logged_in, capability)


@pytest.mark.parametrize(
    ("state", "power"),
    [
        ("Running", PowerState.ON),
        ("Paused", PowerState.ON),
        ("PausedCritical", PowerState.ON),
        ("Off", PowerState.OFF),
        ("OffCritical", PowerState.OFF),
        ("Saved", PowerState.OFF),
        ("SomethingNew", PowerState.UNKNOWN),
    ],
)
def test_power_is_the_machine_s_state(
    logged_in: HypervController, host: HypervHost, state: str, power: PowerState
) -> None:
    host.machines["SQL01"][0].state = state
    assert logged_in.power_state(soon()) is power


def test_a_lost_heartbeat_is_told_and_is_no_proof_of_a_crash(
    logged_in: HypervController, host: HypervHost
) -> None:
    assert logged_in.guest(soon()).heartbeat == "green"
    host.machines["SQL01"][0].heartbeat = "LostCommunication"
    assert logged_in.guest(soon()).heartbeat == "red"
    assert not isinstance(logged_in, StopSensors)


def test_uptime_and_integration_services_are_told(logged_in: HypervController) -> None:
    machine = logged_in.machine(soon())
    assert machine.uptime == 86_400
    assert machine.services == (("Heartbeat", True, "Ok"),)


def test_the_console_is_a_png(logged_in: HypervController) -> None:
    image = logged_in.screenshot(soon())
    assert image.startswith(b"\x89PNG\r\n\x1a\n")


def test_no_console_is_said(logged_in: HypervController, host: HypervHost) -> None:
    host.answers["hyperv_screen"] = asked({"code": 32775, "width": 1024, "height": 768})
    with pytest.raises(PeerFailedError, match="32775"):
        logged_in.screenshot(soon())


def test_events_are_of_this_machine_and_oldest_first(logged_in: HypervController) -> None:
    first, second = logged_in.events(soon())
    assert (first.id, second.id) == ("3", "7")
    assert first.time is not None
    assert second.text == "18590: 'SQL01' hat einen schwerwiegenden Fehler. (ID)"


def test_one_nmi_hits_the_machine_that_was_meant(logged_in: HypervController, host: HypervHost) -> None:
    answer = logged_in.send_nmi(soon())
    assert (answer.outcome, host.nmis) == (NmiOutcome.SENT, [ID])


@pytest.mark.parametrize("state", ["Off", "Saved", "Paused", "PausedCritical", "Starting"])
def test_a_machine_that_does_not_run_gets_none(
    logged_in: HypervController, host: HypervHost, state: str
) -> None:
    host.machines["SQL01"][0].state = state
    answer = logged_in.send_nmi(soon())
    assert (answer.outcome, host.nmis) == (NmiOutcome.NOT_SENT, [])
    assert state in answer.detail


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"asked": True, **DENIED}, NmiOutcome.NOT_SENT),
        ({"asked": False, "category": "ObjectNotFound", "words": "Gone."}, NmiOutcome.NOT_SENT),
        ({"asked": True, "category": "InvalidOperation", "words": "Cannot."}, NmiOutcome.UNCERTAIN),
        ({"asked": True, "category": None, "words": None}, NmiOutcome.UNCERTAIN),
        ({}, NmiOutcome.UNCERTAIN),
    ],
    ids=["no right", "gone", "failed", "unclear", "empty"],
)
def test_only_a_proved_refusal_is_not_sent(
    logged_in: HypervController, host: HypervHost, said: dict[str, object], outcome: NmiOutcome
) -> None:
    host.answers["hyperv_nmi"] = answered({"outcome": "failed", **said})
    assert logged_in.send_nmi(soon()).outcome is outcome


@pytest.mark.parametrize(
    "breaks", [peer.status(500, acts=True), peer.status(503, acts=True), peer.reset_after]
)
@pytest.mark.parametrize("stage", ["Create", "Command", "Send", "Receive"])
def test_what_breaks_off_before_the_script_begins_is_proved_not_sent(
    both: tuple[Wsman, HypervController], host: HypervHost, stage: str, breaks: peer.Trouble
) -> None:
    server, logged_in = both
    server.trouble[stage] = breaks
    answer = logged_in.send_nmi(soon())
    begun = stage in ("Send", "Receive")
    assert answer.outcome is (NmiOutcome.UNCERTAIN if begun else NmiOutcome.NOT_SENT), answer.detail
    assert len(host.nmis) == begun


def test_a_login_that_is_refused_by_now_sends_nothing(host: HypervHost) -> None:
    with served(host) as (server, logged_in):
        server.trouble["Login"] = peer.status(401)
        assert logged_in.send_nmi(soon()).outcome is NmiOutcome.NOT_SENT
        logged_in.__exit__()
        answer = logged_in.send_nmi(soon())
    assert (answer.outcome, host.nmis) == (NmiOutcome.NOT_SENT, [])
    assert "no session" in answer.detail


@pytest.mark.parametrize("vm", ["*", "[S]QL0?", "SQL'01\u2019; Stop-Computer; \"", "$(1)"])
def test_a_name_is_data_and_no_pattern(host: HypervHost, tmp_path: Path, vm: str) -> None:
    error = refused(host, tmp_path, vm=vm)
    assert isinstance(error, PeerFailedError)
    assert "there is no machine" in error.message
    assert "HV02" in error.message


def test_two_machines_of_one_name_are_left_alone(host: HypervHost, tmp_path: Path) -> None:
    host.machines["SQL01"].append(Machine("another"))
    assert "2 machines are named" in refused(host, tmp_path).message


def test_a_host_without_hyper_v_is_told_apart(host: HypervHost, tmp_path: Path) -> None:
    host.answers["hyperv_find"] = answered({"failed": "module"})
    assert isinstance(refused(host, tmp_path), UnsupportedError)


def test_an_account_without_the_right_is_told_so(host: HypervHost, tmp_path: Path) -> None:
    host.answers["hyperv_find"] = asked({"failed": "error", **DENIED})
    error = refused(host, tmp_path)
    assert isinstance(error, ForbiddenError)
    assert "Hyper-V Administrators" in error.hint


def test_the_node_that_owns_the_machine_is_asked(tmp_path: Path) -> None:
    here = HypervHost(owners={"SQL01": "hv03"})
    there = HypervHost("HV03", machines={"SQL01": [Machine(ID)]})
    (tmp_path / "there").mkdir()
    with (
        wsman(tmp_path, here) as first,
        wsman(tmp_path / "there", there, address="127.0.0.2", port=first.port),
    ):
        made = controller(first, tmp_path, nodes={"HV03": "127.0.0.2"})
        with made as logged_in:
            assert logged_in.send_nmi(soon()).outcome is NmiOutcome.SENT
            assert logged_in.guest(soon()).runs_on == "127.0.0.2"
    assert (here.nmis, there.nmis) == ([], [ID])


def test_a_node_that_nobody_named_gets_no_login(tmp_path: Path) -> None:
    here = HypervHost(owners={"SQL01": "evil.example.com"})
    error = refused(here, tmp_path, nodes={"HV03": "127.0.0.2"})
    assert "evil.example.com" in error.message
    assert "nodes" in error.hint


def test_a_machine_that_moves_on_is_not_chased(tmp_path: Path) -> None:
    here = HypervHost(owners={"SQL01": "HV02"})
    assert "moves between nodes" in refused(here, tmp_path, nodes={"HV02": "127.0.0.1"}).message


def test_a_stuck_vmms_is_named(host: HypervHost, tmp_path: Path) -> None:
    host.answers["hyperv_find"] = stuck
    started = time.monotonic()
    error = refused(host, tmp_path, seconds=6.0)
    assert time.monotonic() - started < 25.0
    assert isinstance(error, DeadlineError)
    assert "(vmms) does not" in error.message
    assert "vmms.exe" in error.hint


def test_a_powershell_that_hangs_is_not_taken_for_a_stuck_vmms(host: HypervHost, tmp_path: Path) -> None:
    host.answers["hyperv_find"] = Answer(after=NEVER)
    error = refused(host, tmp_path, seconds=6.0)
    assert isinstance(error, DeadlineError)
    assert "vmms" not in error.message


def test_a_vmms_that_gets_stuck_later_is_named_and_leaves_the_log(
    logged_in: HypervController, host: HypervHost
) -> None:
    host.answers["hyperv_state"] = stuck
    with pytest.raises(DeadlineError, match="vmms"):
        logged_in.power_state(Deadline.after(4.0))
    assert len(logged_in.events(soon())) == 2


def cut(answer: Answer) -> Answer:
    return replace(answer, stdout=answer.stdout[:-6])


@pytest.mark.parametrize("how", [cut, lambda _: Answer(0), lambda _: Answer(1, stderr="Out of memory.")])
@pytest.mark.parametrize("script", ["hyperv_state", "hyperv_screen", "hyperv_events"])
def test_an_answer_that_is_none_is_an_error(
    logged_in: HypervController, host: HypervHost, script: str, how: Callable[[Answer], Answer]
) -> None:
    host.answers[script] = how
    ask = {
        "hyperv_state": logged_in.power_state,
        "hyperv_screen": logged_in.screenshot,
        "hyperv_events": logged_in.events,
    }
    with pytest.raises(PeerFailedError):
        ask[script](soon())
