"""An account of a directory is locked by what many hosts report, so a wrong password stops after three."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.adapters import limits
from collector.adapters.base import Power
from collector.adapters.fake import MACHINES, FakeController, FakeEndpoint, FakeMachine, Script
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.errors import (
    AdapterError,
    HostKeyError,
    LoginRefusedError,
    NotTriedError,
    UnreachableError,
)
from collector.fleet.audits import audit_all
from collector.fleet.local import LocalEngine
from collector.model.host import Credential, Host, Platform, SecretRef
from collector.probe.observation import Observation

PASSWORD = SecretRef("env", "PASSWORD", Path())
DOMAIN = Credential("win", username="CORP\\svc", password=PASSWORD)


@pytest.fixture
def fleet(tmp_path: Path) -> Callable[[str], list[Host]]:
    """One host for each letter: `-` refuses the login, `+` lets it in, `.` is silent."""

    def build(says: str) -> list[Host]:
        hosts = []
        for number, letter in enumerate(says):
            key = f"{tmp_path}/sql{number}"
            MACHINES[key] = FakeMachine(
                f"sql{number}", Script(refuse_login=letter == "-", controller_reachable=letter != ".")
            )
            endpoint = FakeEndpoint(machine=key, address=f"sql{number}", credential="win")
            hosts.append(Host(f"sql{number}", Platform.WINDOWS, "192.0.2.1", (endpoint,)))
        return hosts

    return build


def logins(hosts: Sequence[Host]) -> int:
    endpoints = [endpoint for host in hosts for endpoint in host.controllers]
    return sum(
        MACHINES[endpoint.machine].logins for endpoint in endpoints if isinstance(endpoint, FakeEndpoint)
    )


def log_in(connections: Connections, host: Host, seconds: float = 60) -> AdapterError | None:
    try:
        with connections.open(host, host.controllers[0], Power, Deadline.after(seconds)):
            return None
    except AdapterError as error:
        return error


@pytest.mark.parametrize("username", ["CORP\\svc", "svc@corp.example"])
def test_after_three_refusals_no_further_host_is_offered_the_password(
    fleet: Callable[[str], list[Host]], username: str
) -> None:
    hosts = fleet("--------")
    connections = Connections({"win": Credential("win", username=username, password=PASSWORD)}, print)
    errors = [log_in(connections, host) for host in hosts]
    assert [type(error) for error in errors] == [LoginRefusedError] * 3 + [NotTriedError] * 5
    assert logins(hosts) == 3
    assert "refused by sql0, sql1, sql2" in str(errors[-1])
    assert username in str(errors[-1])


def test_many_at_once_are_not_more_than_three(
    fleet: Callable[[str], list[Host]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = fleet("-" * 16)
    enter, together = FakeController.__enter__, threading.Barrier(3)

    def slowly(self: FakeController) -> FakeController:
        together.wait(30)  # nobody is answered before three are asked
        return enter(self)

    monkeypatch.setattr(FakeController, "__enter__", slowly)
    monkeypatch.setattr(limits, "_ANSWER_S", 60.0)  # however slow the machine is
    connections = Connections({"win": DOMAIN}, print)
    with ThreadPoolExecutor(len(hosts)) as pool:
        errors = list(pool.map(lambda host: log_in(connections, host), hosts))
    assert sorted(type(error).__name__ for error in errors) == [
        *["LoginRefusedError"] * 3,
        *["NotTriedError"] * 13,
    ]
    assert logins(hosts) == 3


@pytest.mark.parametrize(
    "credential",
    [
        Credential("win", username="svc", password=PASSWORD),
        Credential("win", username=".\\svc", password=PASSWORD),
        Credential("win", username="svc@corp.example", private_key=PASSWORD),
        Credential("win"),
    ],
)
def test_a_host_s_own_account_is_tried_on_every_host(
    fleet: Callable[[str], list[Host]], credential: Credential
) -> None:
    hosts = fleet("--------")
    connections = Connections({"win": credential}, print)
    assert [type(log_in(connections, host)) for host in hosts] == [LoginRefusedError] * 8
    assert logins(hosts) == 8


def test_once_a_host_has_let_it_in_the_password_is_right(fleet: Callable[[str], list[Host]]) -> None:
    hosts = fleet("--+-----+")
    connections = Connections({"win": DOMAIN}, print)
    errors = [log_in(connections, host) for host in hosts]
    assert [error is None for error in errors] == [letter == "+" for letter in "--+-----+"]
    assert logins(hosts) == 9


def test_what_is_silent_or_was_never_shown_the_password_counts_for_nothing(
    fleet: Callable[[str], list[Host]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = fleet("....+")
    connections = Connections({"win": DOMAIN}, print)
    assert [type(log_in(connections, host)) for host in hosts[:4]] == [UnreachableError] * 4
    with monkeypatch.context() as patch:
        patch.setattr(FakeController, "__enter__", unknown_key)
        others = fleet("++++")
        assert [type(log_in(connections, host)) for host in others] == [HostKeyError] * 4
    assert log_in(connections, hosts[4]) is None


def unknown_key(_: FakeController) -> FakeController:
    raise HostKeyError("its key is unknown", hint="look")


def test_hosts_that_are_silent_do_not_hold_up_the_others(
    fleet: Callable[[str], list[Host]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = fleet("...+")
    enter, answered = FakeController.__enter__, threading.Event()
    asked = threading.Barrier(4)

    def silently(self: FakeController) -> FakeController:
        if not self.machine.script.controller_reachable:
            asked.wait(30)
            answered.wait(30)
        return enter(self)

    monkeypatch.setattr(FakeController, "__enter__", silently)
    connections = Connections({"win": DOMAIN}, print)
    with ThreadPoolExecutor(3) as pool:
        silent = [pool.submit(log_in, connections, host) for host in hosts[:3]]
        asked.wait(30)
        assert log_in(connections, hosts[3], seconds=0.5) is None
        answered.set()
        assert {type(future.result()) for future in silent} == {UnreachableError}


def test_every_host_of_the_fleet_is_a_row_that_says_why(
    fleet: Callable[[str], list[Host]], tmp_path: Path
) -> None:
    hosts = fleet("-" * 12)
    connections = Connections({"win": DOMAIN}, print)
    rows = list(audit_all(hosts, connections, tmp_path, engine=LocalEngine(20), observe=nobody))
    assert sorted(row.host for row in rows) == sorted(host.name for host in hosts)
    assert logins(hosts) == 3
    words = [" ".join(step.detail for step in row.gathered) for row in rows]
    assert sum("the directory would lock the account" in said for said in words) == 9


def nobody(_targets: object, _seconds: float) -> list[Observation]:
    return []
