"""The probe against an ESXi host's services: alive, hung behind the reverse proxy, and silent."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from collector.adapters.answers import PowerState
from collector.probe.diagnosis import ControllerView, Diagnosis, diagnose
from collector.probe.io import observe
from collector.probe.observation import Observation, Reach, Target
from tests.peers.authd import authd
from tests.peers.https_server import https_server
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere_double import VsphereDouble

ON = ControllerView(power=PowerState.ON)


def ask(protocol: str, address: str, port: int, seconds: float = 20.0) -> Observation:
    [seen] = observe([Target(protocol, address, port)], seconds)
    return seen


@pytest.mark.parametrize("version", ["8.0.3.0", "6.5"])
def test_hostd_proves_itself_without_a_login(tmp_path: Path, version: str) -> None:
    with VsphereDouble(tmp_path, vcenter=False, api_version=version) as double:
        seen = ask("hostd", ADDRESS, double.port)
        assert double.logins == []
        assert dict(double.calls) == {"RetrieveServiceContent": 1}
    assert seen.reach is Reach.PROVED


@pytest.mark.parametrize("trouble", [Trouble.HANG_BEFORE, Trouble.STATUS, Trouble.DROP_BEFORE])
def test_a_hostd_that_hangs_behind_its_proxy_is_told_from_a_hung_host(
    tmp_path: Path, trouble: Trouble
) -> None:
    with (
        VsphereDouble(tmp_path, vcenter=False) as double,
        authd() as port,
    ):
        double.rules["RetrieveServiceContent"] = Rule(trouble)
        hostd = ask("hostd", ADDRESS, double.port, 2.0)
        seen = [hostd, ask("authd", "127.0.0.1", port)]
    assert [each.reach for each in seen] == [Reach.SPOKE, Reach.PROVED]
    found = diagnose(seen, ON)
    assert found.diagnosis is Diagnosis.DEGRADED
    assert "hostd hangs and the kernel is alive" in found.reason


def test_a_web_server_in_its_place_is_not_taken_for_hostd(tmp_path: Path) -> None:
    with https_server(tmp_path) as port:
        assert ask("hostd", "127.0.0.1", port, 5.0).reach is Reach.SPOKE


def test_authd_proves_itself_and_is_told_nothing() -> None:
    received: list[bytes] = []
    with authd(received=received) as port:
        seen = ask("authd", "127.0.0.1", port)
    assert (seen.reach, received) == (Reach.PROVED, [])


def test_sockets_that_nobody_serves_are_a_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, authd(says=b"") as port:
        seen = observe(
            [
                Target("hostd", "127.0.0.1", one.getsockname()[1]),
                Target("authd", "127.0.0.1", port),
            ],
            2.0,
        )
    assert [each.reach for each in seen] == [Reach.CONNECTED, Reach.CONNECTED]
    assert diagnose(seen, ON).diagnosis is Diagnosis.HUNG_SOFTWARE
