"""The look at every endpoint before any login, against a real sshd, a BMC, a hung and a dead one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from collector.adapters.ipmi import IpmiEndpoint
from collector.adapters.ssh import SshEndpoint
from collector.errors import AdapterError, DeadlineError, UnreachableError
from collector.fleet import reach
from collector.lab.bmc import Bmc, Board
from collector.model.host import Endpoint, Host, Platform
from collector.probe.io import observe
from collector.probe.observation import Observation, Reach, Target
from collector.run.incident import Observe
from tests.peers.server import free_port
from tests.peers.sshd import sshd

LOOPBACK = "127.0.0.1"


def unreachable(hosts: Sequence[Host], look: Observe) -> dict[str, AdapterError]:
    waves = list(reach.waves(hosts, look))
    assert sorted(h.name for wave in waves for h in wave.hosts) == sorted(h.name for h in hosts)
    return {identity: error for wave in waves for identity, error in wave.unreachable.items()}


def host(name: str, *endpoints: Endpoint) -> Host:
    return Host(name, Platform.LINUX, LOOPBACK, (), endpoints)


def test_each_endpoint_that_gives_no_answer_is_named_with_its_reason(tmp_path: Path) -> None:
    with (
        sshd(tmp_path / "sshd") as server,
        Bmc(Board()) as controller,
        socket.create_server((LOOPBACK, 0)) as hung,
    ):
        alive = SshEndpoint(address=LOOPBACK, port=server.port)
        silent = SshEndpoint(address=LOOPBACK, port=hung.getsockname()[1])
        refused = SshEndpoint(address=LOOPBACK, port=free_port())
        behind = SshEndpoint(address=LOOPBACK, port=free_port(), proxy_jump="jump.example.com")
        answering = IpmiEndpoint(address=LOOPBACK, port=controller.port)
        mute = IpmiEndpoint(address=LOOPBACK, port=free_port(socket.SOCK_DGRAM))
        fleet = [host("db01", alive, answering), host("db02", silent, mute), host("db03", refused, behind)]
        found = unreachable(fleet, observe)
    assert {identity: type(error) for identity, error in found.items()} == {
        silent.identity: DeadlineError,
        refused.identity: UnreachableError,
        mute.identity: UnreachableError,
    }
    assert "accepts connections and says nothing" in found[silent.identity].message


def test_an_endpoint_of_many_hosts_is_asked_once() -> None:
    asked: list[Target] = []

    def look(targets: Sequence[Target], seconds: float) -> Sequence[Observation]:
        asked.extend(targets)
        return observe(targets, seconds)

    shared = IpmiEndpoint(address=LOOPBACK, port=free_port(socket.SOCK_DGRAM))
    found = unreachable([host(f"db{number}", shared) for number in range(50)], look)
    assert len(asked) == 1
    assert list(found) == [shared.identity]


def test_a_host_that_a_burst_kept_from_answering_is_asked_again_and_found_alive(tmp_path: Path) -> None:
    looks: list[int] = []

    def look(targets: Sequence[Target], seconds: float) -> Sequence[Observation]:
        looks.append(len(targets))
        if len(looks) == 1:
            return [Observation("ssh", t.address, t.port, Reach.CONNECTED, seconds, {}) for t in targets]
        return observe(targets, seconds)

    with sshd(tmp_path / "sshd", "ListenAddress=0.0.0.0") as server:
        hosts = [
            host(f"db{n}", SshEndpoint(address=f"127.0.0.{n}", port=server.port))
            for n in range(1, reach.FEW + 2)
        ]
        assert unreachable(hosts, look) == {}
    assert looks == [reach.FEW + 1, reach.FEW + 1]


def test_more_endpoints_than_are_asked_at_once_lose_none() -> None:
    port = free_port()
    hosts = [
        host(f"db{number}", SshEndpoint(address=f"127.0.{number // 200}.{number % 200 + 1}", port=port))
        for number in range(reach.AT_ONCE + 7)
    ]
    assert len(unreachable(hosts, observe)) == len(hosts)


def test_the_next_hosts_are_looked_at_while_those_that_answer_are_at_work() -> None:
    began: list[int] = []
    second = threading.Event()

    def look(targets: Sequence[Target], seconds: float) -> Sequence[Observation]:
        began.append(len(targets))
        if len(began) > 1:
            second.set()
        return [
            Observation("ssh", t.address, t.port, Reach.SILENT if t.port % 10 == 0 else Reach.PROVED, 0.0, {})
            for t in targets
        ]

    hosts = [
        host(f"db{n}", SshEndpoint(address="192.0.2.1", port=1000 + n)) for n in range(reach.AT_ONCE + 100)
    ]
    waves = reach.waves(hosts, look)
    first = next(waves)
    assert second.wait(20), "the second look waits for the first wave's work"
    assert len(first.hosts) == reach.AT_ONCE * 9 // 10
    rest = list(waves)
    assert [len(wave.hosts) for wave in rest] == [90, (reach.AT_ONCE + 100) // 10]
    assert len(rest[-1].unreachable) == len(rest[-1].hosts)
    assert not first.unreachable
