from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from collector.adapters.base import NmiInjector, Power, Shell
from collector.adapters.fake import MACHINES, FakeController, FakeEndpoint, FakeMachine, Script
from collector.adapters.ipmi import IpmiEndpoint
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections, channels, controllers
from collector.errors import AdapterError, LoginRefusedError, UnreachableError
from collector.model.host import Endpoint, Host, Platform


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    MACHINES[str(tmp_path)] = FakeMachine("db01")
    return MACHINES[str(tmp_path)]


@pytest.fixture
def host(tmp_path: Path, machine: FakeMachine) -> Host:
    return Host("db01", Platform.LINUX, "192.0.2.10", (FakeEndpoint(machine=str(tmp_path)),))


def test_every_adapter_names_its_endpoint_type() -> None:
    for name, adapter in {**controllers(), **channels()}.items():
        assert issubclass(adapter.settings, Endpoint)
        assert name in str(adapter.settings.model_json_schema()["properties"]["type"])


def test_a_refused_login_is_not_tried_again_in_the_run(host: Host, machine: FakeMachine) -> None:
    machine.script = Script(refuse_login=True)
    connections = Connections({}, print)
    for _ in range(3):
        with (
            pytest.raises(LoginRefusedError) as caught,
            connections.open(host, host.controllers[0], Power, Deadline.after(1)),
        ):
            pass
        assert caught.value.host == "db01"
    assert machine.logins == 1


def test_a_refused_login_is_tried_once_though_many_ask_at_once(
    host: Host, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.script = Script(refuse_login=True)
    enter = FakeController.__enter__

    def slowly(self: FakeController) -> FakeController:
        time.sleep(0.1)
        return enter(self)

    monkeypatch.setattr(FakeController, "__enter__", slowly)
    connections = Connections({}, print)

    def log_in(_: int) -> None:
        with (
            pytest.raises(LoginRefusedError),
            connections.open(host, host.controllers[0], Power, Deadline.after(30)),
        ):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(log_in, range(8)))
    assert machine.logins == 1


def test_an_endpoint_that_was_given_up_is_not_asked_and_says_why(host: Host, machine: FakeMachine) -> None:
    connections = Connections({}, print)
    connections.give_up(host.controllers[0].identity, UnreachableError("no route", hint="look"))
    for name in ("db01", "db02"):  # two hosts behind one endpoint: each is named in its own error
        with (
            pytest.raises(UnreachableError, match=f"{name}: no route"),
            connections.open(replace(host, name=name), host.controllers[0], Power, Deadline.after(1)),
        ):
            pass
    assert machine.logins == 0


def test_no_more_sessions_to_one_endpoint_than_its_limit(host: Host) -> None:
    connections, endpoint = Connections({}, print), host.controllers[0]
    opened = [
        connections.open(host, endpoint, Power, Deadline.after(1))
        for _ in range(host.controllers[0].sessions)
    ]
    for session in opened:
        session.__enter__()
    with pytest.raises(AdapterError, match="in use"):
        connections.open(host, endpoint, Power, Deadline.after(0.1)).__enter__()
    for session in opened:
        session.__exit__(None, None, None)
    with connections.open(host, endpoint, Power, Deadline.after(0.1)):
        pass


def test_able_lists_what_can_do_it_in_the_users_order() -> None:
    connections = Connections({}, print)
    one, other = IpmiEndpoint(address="192.0.2.110"), IpmiEndpoint(address="192.0.2.111")
    assert connections.able((other, one), NmiInjector) == [other, one]
    assert connections.able((other, one), Shell) == []


def test_a_silent_endpoint_leaves_time_for_the_others_and_comes_last_from_then_on(
    host: Host, machine: FakeMachine, tmp_path: Path
) -> None:
    (first,) = host.controllers
    MACHINES[f"{tmp_path} 2"] = FakeMachine("db01")
    second = FakeEndpoint(machine=f"{tmp_path} 2", address="192.0.2.111")
    connections, both, deadline = Connections({}, print), (first, second), Deadline.after(60)
    machine.script, reached = Script(controller_reachable=False), []
    for endpoint, login in connections.in_turn(both, Power, deadline):
        assert login.remaining() <= (30 if endpoint is first else 60)
        assert login.at <= deadline.at
        with contextlib.suppress(UnreachableError), connections.open(host, endpoint, Power, login):
            reached.append(endpoint)
    assert reached == [second]
    assert connections.able(both, Power) == [second, first]
    machine.script = Script()
    with connections.open(host, first, Power, deadline):
        assert connections.able(both, Power) == [first, second]
