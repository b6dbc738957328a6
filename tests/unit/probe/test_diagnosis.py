from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.adapters.answers import Connection, PowerState
from collector.probe.diagnosis import ControllerView, Diagnosis, Finding, diagnose
from collector.probe.observation import Observation, Reach

ON = ControllerView(power=PowerState.ON)
OFF = ControllerView(power=PowerState.OFF)
NO_CONTROLLER = ControllerView(power=None)


def seen(protocol: str, reach: Reach, **evidence: str) -> Observation:
    return Observation(protocol, "192.0.2.10", None if protocol == "icmp" else 22, reach, 0.5, evidence)


PING = seen("icmp", Reach.SPOKE)
NO_PING = seen("icmp", Reach.SILENT)
PING_UNTRIED = seen("icmp", Reach.UNTRIED)
SSH, RDP, SMB, WINRM, HTTPS = "ssh", "rdp", "smb", "winrm", "https"


def diagnosis(*observations: Observation, controller: ControllerView = ON, **given: Diagnosis) -> Diagnosis:
    return diagnose(observations, controller, **given).diagnosis


# What must never happen: an NMI for a host that is not hung.


def test_a_service_that_proved_itself_is_never_diagnosed_as_hung() -> None:
    stuck = [seen(name, Reach.CONNECTED) for name in (RDP, SMB, WINRM)]
    found = diagnose([NO_PING, *stuck, seen(SSH, Reach.PROVED)], ON, before=Diagnosis.HUNG_SOFTWARE)
    assert found.diagnosis is Diagnosis.DEGRADED


@pytest.mark.parametrize("ping", [PING, NO_PING, PING_UNTRIED])
@pytest.mark.parametrize("before", [None, *Diagnosis])
def test_refused_everywhere_is_not_hung_whatever_was_before(ping: Observation, before: Diagnosis) -> None:
    found = diagnose([ping, seen(SSH, Reach.REFUSED), seen(HTTPS, Reach.REFUSED)], ON, before=before)
    assert found.diagnosis is Diagnosis.UNKNOWN
    assert "reboots" in found.reason


def test_ping_without_tcp_may_be_a_packet_filter_and_is_not_hung() -> None:
    found = diagnose([PING, seen(SSH, Reach.SILENT)], ON)
    assert found.diagnosis is Diagnosis.UNKNOWN
    assert "packet filter" in found.reason


def test_a_filter_that_answers_no_route_while_ping_answers_is_not_hung() -> None:
    no_route = seen(SSH, Reach.NO_ROUTE)
    assert diagnosis(PING, no_route) is Diagnosis.UNKNOWN
    assert diagnosis(PING, no_route, before=Diagnosis.HUNG_SOFTWARE) is Diagnosis.UNKNOWN


def test_a_service_that_closes_the_connection_is_not_hung() -> None:
    assert diagnosis(PING, seen(SSH, Reach.CONNECTED, ended="closed")) is Diagnosis.DEGRADED


def test_a_wrong_protocol_on_the_port_is_not_hung() -> None:
    assert diagnosis(PING, seen(SSH, Reach.SPOKE, received="HTTP/1.1 400")) is Diagnosis.DEGRADED


def test_a_banner_without_a_key_exchange_is_not_a_plain_hang() -> None:
    assert diagnosis(PING, seen(SSH, Reach.SPOKE, banner="SSH-2.0-x")) is Diagnosis.DEGRADED


def test_http_sys_saying_that_winrm_does_not_run_is_not_hung() -> None:
    found = diagnose([PING, seen(WINRM, Reach.SPOKE, kernel="http.sys", failure="HTTP 503")], ON)
    assert found.diagnosis is Diagnosis.UNKNOWN
    assert "HTTP 503" in found.reason


def test_the_controller_answering_its_own_protocol_is_no_sign_of_the_host_life() -> None:
    rmcp = seen("rmcp", Reach.PROVED)
    dead = [NO_PING, seen(SSH, Reach.SILENT)]
    assert diagnosis(*dead, rmcp) is Diagnosis.HUNG_KERNEL_OR_NETWORK
    assert diagnosis(*dead, rmcp, controller=OFF) is Diagnosis.POWERED_OFF
    assert "rmcp" not in diagnose([*dead, rmcp], ON).reason


def test_a_silent_ping_alone_is_not_hung() -> None:
    assert diagnosis(NO_PING) is Diagnosis.UNKNOWN


def test_a_machine_that_may_ask_nothing_knows_nothing() -> None:
    assert diagnosis(PING_UNTRIED, seen(SSH, Reach.UNTRIED)) is Diagnosis.UNKNOWN
    assert diagnosis() is Diagnosis.UNKNOWN


def test_something_that_answers_while_the_controller_says_off_points_to_the_wrong_machine() -> None:
    for other in (PING, seen(SSH, Reach.CONNECTED), seen(SSH, Reach.REFUSED), seen(SSH, Reach.SPOKE)):
        found = diagnose([NO_PING, other], OFF)
        assert found.diagnosis is Diagnosis.UNKNOWN
        assert "another host" in found.reason
    alive = diagnose([PING, seen(SSH, Reach.PROVED)], OFF)
    assert alive.diagnosis is Diagnosis.RESPONSIVE
    assert "another host" in alive.reason


HEARD = ControllerView(PowerState.ON, connection=Connection.CONNECTED)
LOST = ControllerView(PowerState.ON, connection=Connection.NOT_RESPONDING)
PARTED = ControllerView(PowerState.ON, connection=Connection.DISCONNECTED)


@pytest.mark.parametrize("before", [None, *Diagnosis])
@pytest.mark.parametrize("ping", [PING, NO_PING, PING_UNTRIED])
@pytest.mark.parametrize("reach", [Reach.NO_ROUTE, Reach.SILENT, Reach.REFUSED, Reach.CONNECTED, Reach.SPOKE])
def test_a_host_that_its_vcenter_hears_is_never_called_hung(
    before: Diagnosis | None, ping: Observation, reach: Reach
) -> None:
    found = diagnose([ping, seen(SSH, reach)], HEARD, before=before)
    assert not found.diagnosis.hung
    assert "the vCenter says connected" in found.reason
    assert "ask again" in found.reason


def test_a_host_that_answers_us_and_not_its_vcenter_is_not_hung() -> None:
    found = diagnose([PING, seen(SSH, Reach.PROVED)], LOST)
    assert found.diagnosis is Diagnosis.DEGRADED
    assert "vpxa" in found.reason


def test_what_the_vcenter_says_is_named_in_the_reason() -> None:
    dead = [NO_PING, seen(SSH, Reach.SILENT)]
    found = diagnose(dead, LOST)
    assert found.diagnosis is Diagnosis.HUNG_KERNEL_OR_NETWORK
    assert "the vCenter says notResponding: seen from here and from there nothing answers" in found.reason
    assert "notResponding" in diagnose([PING, seen(SSH, Reach.CONNECTED)], LOST).reason


def test_that_the_vcenter_lost_a_host_is_no_proof_without_power() -> None:
    dead = [NO_PING, seen(SSH, Reach.SILENT)]
    lost = ControllerView(PowerState.UNKNOWN, connection=Connection.NOT_RESPONDING)
    assert diagnosis(*dead, controller=lost) is Diagnosis.UNKNOWN


@pytest.mark.parametrize("reach", Reach)
@pytest.mark.parametrize("ping", [PING, NO_PING])
def test_a_vcenter_that_was_told_to_disconnect_changes_nothing(reach: Reach, ping: Observation) -> None:
    round_ = [ping, seen(SSH, reach)]
    assert diagnosis(*round_, controller=PARTED) is diagnosis(*round_, controller=ON)


def test_a_hung_hostd_is_named_and_its_living_kernel_is_not_crashed() -> None:
    hung = seen("hostd", Reach.SPOKE, tls="TLSv1.3")
    found = diagnose([PING, hung, seen("authd", Reach.PROVED), seen(SSH, Reach.PROVED)], ON)
    assert found.diagnosis is Diagnosis.DEGRADED
    assert "hostd (443) gives no answer behind its reverse proxy, which lives" in found.reason
    assert "hostd hangs and the kernel is alive: restart hostd" in found.reason
    alone = diagnose([PING, hung, seen("authd", Reach.CONNECTED), seen(SSH, Reach.CONNECTED)], ON)
    assert alone.diagnosis is Diagnosis.DEGRADED
    assert "restart hostd" in alone.reason


def test_what_the_reverse_proxy_says_for_hostd_is_told() -> None:
    refused = seen("hostd", Reach.SPOKE, tls="TLSv1.3", failure="HTTP 503")
    assert "which lives (it says HTTP 503)" in diagnose([PING, refused], ON).reason


@pytest.mark.parametrize("reach", [Reach.SILENT, Reach.NO_ROUTE, Reach.REFUSED])
def test_a_filter_in_front_of_authd_does_not_degrade_a_healthy_host(reach: Reach) -> None:
    fine = [PING, seen("hostd", Reach.PROVED), seen(SSH, Reach.PROVED), seen("authd", reach)]
    assert diagnosis(*fine) is Diagnosis.RESPONSIVE


def test_an_authd_that_is_stuck_degrades() -> None:
    found = diagnose([PING, seen("hostd", Reach.PROVED), seen("authd", Reach.CONNECTED)], ON)
    assert found.diagnosis is Diagnosis.DEGRADED
    assert "authd (902) completes the handshake but sends no banner" in found.reason


# The table.


def test_all_services_proved_is_responsive_with_or_without_ping() -> None:
    for ping in (PING, NO_PING, PING_UNTRIED):
        assert diagnosis(ping, seen(SSH, Reach.PROVED), seen(HTTPS, Reach.PROVED)) is Diagnosis.RESPONSIVE


def test_a_service_that_nobody_started_does_not_degrade_a_host() -> None:
    assert diagnosis(PING, seen(HTTPS, Reach.PROVED), seen(SSH, Reach.REFUSED)) is Diagnosis.RESPONSIVE


def test_degraded_names_the_stuck_services() -> None:
    found = diagnose([PING, seen(RDP, Reach.CONNECTED), seen(SMB, Reach.PROVED)], ON)
    assert found == Finding(
        Diagnosis.DEGRADED,
        "ping answers, RDP completes the handshake but sends no connection confirm, SMB answers: "
        "user mode lives, and what is stuck is RDP",
    )


@pytest.mark.parametrize("controller", [ON, NO_CONTROLLER, ControllerView(power=PowerState.UNKNOWN)])
@pytest.mark.parametrize("ping", [PING, NO_PING, PING_UNTRIED])
def test_a_handshake_without_a_word_is_hung_software(ping: Observation, controller: ControllerView) -> None:
    found = diagnose([ping, seen(SSH, Reach.CONNECTED)], controller)
    assert found.diagnosis is Diagnosis.HUNG_SOFTWARE


def test_the_reason_of_the_classic_hang_is_one_clear_sentence() -> None:
    assert diagnose([PING, seen(SSH, Reach.CONNECTED), seen(HTTPS, Reach.REFUSED)], ON).reason == (
        "ping answers, SSH completes the handshake but sends no banner, HTTPS is refused: "
        "the kernel lives, user mode does not"
    )


def test_the_kernel_half_of_smb_does_not_hide_a_hang() -> None:
    negotiated = seen(SMB, Reach.SPOKE, dialect="3.1.1", kernel="srv2.sys")
    assert diagnosis(PING, negotiated) is Diagnosis.HUNG_SOFTWARE
    assert diagnosis(PING, negotiated, seen(RDP, Reach.CONNECTED)) is Diagnosis.HUNG_SOFTWARE


def test_a_refusal_from_the_kernel_half_of_smb_is_no_hang() -> None:
    refused = seen(SMB, Reach.SPOKE, kernel="srv2.sys", failure="SESSION_SETUP status 0xc00000bb")
    assert diagnosis(PING, refused) is Diagnosis.UNKNOWN


def test_our_own_unaccepted_connections_do_not_hide_a_hang() -> None:
    full = [PING, seen(SSH, Reach.SILENT), seen(HTTPS, Reach.REFUSED)]
    assert diagnosis(*full, before=Diagnosis.HUNG_SOFTWARE) is Diagnosis.HUNG_SOFTWARE
    assert diagnosis(*full, before=Diagnosis.RESPONSIVE) is Diagnosis.UNKNOWN


def test_a_full_queue_is_still_hung_where_ping_cannot_be_asked() -> None:
    full = [PING_UNTRIED, seen(SSH, Reach.SILENT)]
    assert diagnosis(*full, before=Diagnosis.HUNG_SOFTWARE) is Diagnosis.HUNG_SOFTWARE
    assert diagnosis(*full) is Diagnosis.HUNG_KERNEL_OR_NETWORK
    assert diagnosis(*full, controller=NO_CONTROLLER, before=Diagnosis.HUNG_SOFTWARE) is Diagnosis.UNKNOWN


@pytest.mark.parametrize("lost", [Reach.SILENT, Reach.NO_ROUTE])
def test_nothing_answers_follows_the_power_state(lost: Reach) -> None:
    dead = [seen("icmp", lost), seen(SSH, lost)]
    assert diagnosis(*dead, controller=ON) is Diagnosis.HUNG_KERNEL_OR_NETWORK
    assert diagnosis(*dead, controller=OFF) is Diagnosis.POWERED_OFF
    assert diagnosis(*dead, controller=NO_CONTROLLER) is Diagnosis.UNKNOWN
    assert diagnosis(*dead, controller=ControllerView(power=PowerState.UNKNOWN)) is Diagnosis.UNKNOWN


CRASHED = ControllerView(power=PowerState.ON, crash_seen="SEL: OS stop, run-time critical stop")


@pytest.mark.parametrize("reach", [Reach.REFUSED, Reach.SILENT, Reach.NO_ROUTE])
def test_a_crash_that_was_seen_keeps_us_away_while_the_host_may_dump(reach: Reach) -> None:
    for ping in (PING, NO_PING):
        found = diagnose([ping, seen(SSH, reach)], CRASHED)
        assert found.diagnosis is Diagnosis.ALREADY_CRASHED
        assert "run-time critical stop" in found.reason


@pytest.mark.parametrize("reach", [Reach.CONNECTED, Reach.PROVED])
def test_a_sensor_that_was_never_cleared_is_not_believed_while_a_service_has_its_socket(reach: Reach) -> None:
    answer = seen(SSH, reach)
    assert diagnose([PING, answer], CRASHED) == diagnose([PING, answer], ControllerView(power=PowerState.ON))


def test_only_the_two_hung_diagnoses_call_for_an_nmi() -> None:
    assert [each for each in Diagnosis if each.hung] == [
        Diagnosis.HUNG_SOFTWARE,
        Diagnosis.HUNG_KERNEL_OR_NETWORK,
    ]


observations = st.builds(
    Observation,
    protocol=st.sampled_from(["icmp", "rmcp", SSH, RDP, SMB, WINRM, HTTPS, "hostd", "authd", "of-tomorrow"]),
    address=st.just("192.0.2.10"),
    port=st.none() | st.integers(1, 65535),
    reach=st.sampled_from(Reach),
    seconds=st.floats(0, 60),
    evidence=st.dictionaries(
        st.sampled_from(["ended", "failure", "kernel", "banner", "tls"]), st.text(max_size=20), max_size=3
    ),
)
views = st.builds(
    ControllerView,
    power=st.none() | st.sampled_from(PowerState),
    crash_seen=st.none() | st.text(max_size=20),
    connection=st.none() | st.sampled_from(Connection),
)


@given(st.lists(observations, max_size=8), views, st.none() | st.sampled_from(Diagnosis))
@example([], ControllerView(), None)
def test_every_combination_gives_one_finding_and_none_calls_a_living_host_hung(
    round_: list[Observation], controller: ControllerView, before: Diagnosis | None
) -> None:
    found = diagnose(round_, controller, before=before)
    assert isinstance(found, Finding)
    assert found.reason
    host_services = [each for each in round_ if each.protocol not in ("icmp", "rmcp")]
    if any(each.reach is Reach.PROVED for each in host_services):
        assert not found.diagnosis.hung
    if found.diagnosis.hung:
        assert controller.power is not PowerState.OFF
        assert controller.connection is not Connection.CONNECTED
        assert any(
            each.reach in (Reach.CONNECTED, Reach.SPOKE, Reach.SILENT, Reach.NO_ROUTE)
            for each in host_services
        )


@pytest.mark.parametrize("before", [None, *Diagnosis])
def test_two_services_in_every_pair_of_reaches(before: Diagnosis | None) -> None:
    for ping, one, other in itertools.product(Reach, repeat=3):
        round_ = [seen("icmp", ping), seen(SSH, one), seen(HTTPS, other)]
        found = diagnose(round_, ON, before=before).diagnosis
        if Reach.PROVED in (one, other) or Reach.SPOKE in (one, other):
            assert found in (Diagnosis.RESPONSIVE, Diagnosis.DEGRADED)
        elif Reach.CONNECTED in (one, other):
            assert found is Diagnosis.HUNG_SOFTWARE
