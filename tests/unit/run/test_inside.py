"""Several channels into one host: who is asked what, and what happens when one of them is shut."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from collector.adapters.answers import CommandResult, RemoteFile
from collector.adapters.base import Files, Shell
from collector.adapters.limits import Deadline
from collector.errors import InventoryError, LoginRefusedError, UnreachableError
from collector.model.host import Endpoint, Host, Platform
from collector.run.inside import Inside, ways


class Reader:
    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        return []

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        raise FileNotFoundError(path)

    def read(self, path: str, offset: int, stall: float) -> Iterator[bytes]:
        yield b""


class SlowReader(Reader):
    def slowness(self) -> str:
        return "slow"


class Speaker:
    def run(self, command: str, deadline: Deadline, *, limit: int = 0) -> CommandResult:
        return CommandResult(0, command.encode(), b"")


class Both(Speaker, SlowReader):
    pass


class Doors:
    """Stands for `Connections`: which adapter is behind each endpoint, and which doors are shut."""

    def __init__(self, adapters: dict[str, type], shut: dict[str, Exception] | None = None) -> None:
        self.adapters = adapters
        self.shut = shut or {}
        self.opened: list[str] = []
        self.closed: list[str] = []

    def able(self, endpoints: tuple[Endpoint, ...], capability: type) -> list[Endpoint]:
        return [e for e in endpoints if issubclass(self.adapters[e.type], capability)]

    @contextlib.contextmanager
    def open(self, host: Host, endpoint: Endpoint, capability: type, deadline: Deadline) -> Iterator[Any]:
        self.opened.append(endpoint.type)
        if endpoint.type in self.shut:
            raise self.shut[endpoint.type]
        try:
            yield self.adapters[endpoint.type]()
        finally:
            self.closed.append(endpoint.type)


def host(*types: str) -> Host:
    channels = tuple(Endpoint(type=name, address="192.0.2.1") for name in types)
    return Host("db01", Platform.LINUX, "192.0.2.1", channels=channels)


def inside(machine: Host, doors: Doors) -> Inside:
    over = tuple(channel.type for channel in machine.channels if channel.type != "datastore")
    return Inside(machine, doors, over, Deadline.after(60))  # type: ignore[arg-type]


def test_one_channel_that_can_do_both_is_opened_once() -> None:
    doors = Doors({"ssh": Both})
    with inside(host("ssh"), doors) as ways_in:
        assert ways_in.command("uptime", Deadline.after(1), limit=10).stdout == b"uptime"
        ways_in.files()
        ways_in.files()
    assert doors.opened == doors.closed == ["ssh"]


def test_files_come_over_the_fast_channel_even_where_the_slow_one_is_listed_first() -> None:
    doors = Doors({"winrm": Both, "smb": Reader})
    with inside(host("winrm", "smb"), doors) as ways_in:
        ways_in.command("uptime", Deadline.after(1), limit=10)
        assert type(ways_in.files()) is Reader
    assert doors.opened == ["winrm", "smb"]
    assert sorted(doors.closed) == ["smb", "winrm"]


def test_files_of_a_channel_that_the_playbook_does_not_name_are_not_the_host_s() -> None:
    doors = Doors({"winrm": Both, "datastore": Reader})
    with inside(host("datastore", "winrm"), doors) as ways_in:
        assert type(ways_in.files()) is Both
    assert doors.opened == ["winrm"]


def test_files_come_over_the_slow_channel_when_the_fast_one_is_shut() -> None:
    doors = Doors({"winrm": Both, "smb": Reader}, shut={"smb": UnreachableError("no route", hint="")})
    with inside(host("winrm", "smb"), doors) as ways_in:
        assert type(ways_in.files()) is Both
        ways_in.files()
    assert doors.opened.count("smb") == 1


def test_a_refusal_does_not_hide_a_channel_that_may_come_back() -> None:
    shut = {
        "smb": LoginRefusedError("the password is wrong", hint=""),
        "winrm": UnreachableError("not up yet", hint=""),
    }
    with (
        pytest.raises(UnreachableError),
        inside(host("smb", "winrm"), Doors({"winrm": Both, "smb": Reader}, shut)) as ways_in,
    ):
        ways_in.files()


def test_only_refusals_are_a_refusal() -> None:
    shut: dict[str, Exception] = {"ssh": LoginRefusedError("the password is wrong", hint="")}
    with pytest.raises(LoginRefusedError), inside(host("ssh"), Doors({"ssh": Both}, shut)) as ways_in:
        ways_in.files()


def test_a_host_without_a_channel_to_files_is_said_to_have_none() -> None:
    doors = Doors({"ssh": Speaker})
    with pytest.raises(InventoryError, match="can copy files"), inside(host("ssh"), doors) as ways_in:
        ways_in.files()
    assert ways(host("ssh"), doors, Shell)  # type: ignore[arg-type]
    with pytest.raises(InventoryError):
        ways(host("ssh"), doors, Files)  # type: ignore[arg-type]
