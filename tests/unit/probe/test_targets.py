from __future__ import annotations

import pytest

from collector.model.host import Endpoint, Host, Platform
from collector.probe.observation import Target
from collector.probe.targets import targets_for


class Way(Endpoint):
    """An endpoint as an adapter declares it."""

    port: int | None = None
    tls: bool = False
    proxy_jump: str | None = None


def host(platform: Platform, *channels: Way, controllers: tuple[Endpoint, ...] = ()) -> Host:
    return Host("db01", platform, "192.0.2.10", controllers, channels)


PING = Target("icmp", "192.0.2.10", None)


@pytest.mark.parametrize(
    ("platform", "services"),
    [
        (Platform.LINUX, [("ssh", 22)]),
        (Platform.WINDOWS, [("rdp", 3389), ("winrm", 5985), ("smb", 445)]),
        (Platform.ESXI, [("hostd", 443), ("authd", 902), ("ssh", 22)]),
    ],
)
def test_a_platform_has_its_usual_services(platform: Platform, services: list[tuple[str, int]]) -> None:
    assert targets_for(host(platform)) == [PING] + [
        Target(name, "192.0.2.10", port) for name, port in services
    ]


def test_a_channel_says_where_its_service_is() -> None:
    moved = host(Platform.ESXI, Way(type="ssh", address="192.0.2.11", port=2222))
    assert targets_for(moved)[1:] == [
        Target("hostd", "192.0.2.10", 443),
        Target("authd", "192.0.2.10", 902),
        Target("ssh", "192.0.2.11", 2222),
    ]
    assert targets_for(host(Platform.LINUX, Way(type="ssh", port=2222)))[1:] == [
        Target("ssh", "192.0.2.10", 2222)
    ]


def test_a_channel_adds_a_service_that_the_platform_has_not() -> None:
    assert Target("ssh", "192.0.2.10", 22) in targets_for(host(Platform.WINDOWS, Way(type="ssh")))


def test_winrm_through_tls_is_asked_through_tls_and_not_in_the_clear_as_well() -> None:
    moved = targets_for(host(Platform.WINDOWS, Way(type="winrm", port=5986, tls=True)))
    assert moved[1:] == [
        Target("rdp", "192.0.2.10", 3389),
        Target("winrm-tls", "192.0.2.10", 5986),
        Target("smb", "192.0.2.10", 445),
    ]
    assert Target("winrm-tls", "192.0.2.10", 5986) in targets_for(
        host(Platform.WINDOWS, Way(type="winrm", tls=True))
    )
    assert Target("winrm", "192.0.2.10", 5985) in targets_for(host(Platform.WINDOWS, Way(type="winrm")))


def test_a_service_behind_a_jump_host_is_not_asked_since_its_silence_says_nothing() -> None:
    assert targets_for(host(Platform.LINUX, Way(type="ssh", proxy_jump="jump.example.com"))) == [PING]


def test_a_channel_that_is_no_protocol_of_ours_is_not_asked() -> None:
    assert targets_for(host(Platform.LINUX, Way(type="datastore"))) == targets_for(host(Platform.LINUX))


def test_every_ipmi_controller_is_asked() -> None:
    bmcs = (Way(type="ipmi", address="192.0.2.110"), Way(type="ipmi", address="192.0.2.111", port=9623))
    other = Way(type="redfish", address="192.0.2.112")
    assert targets_for(host(Platform.LINUX, controllers=(*bmcs, other)))[2:] == [
        Target("rmcp", "192.0.2.110", 623),
        Target("rmcp", "192.0.2.111", 9623),
    ]
