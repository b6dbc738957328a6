"""A live dump over WinRM: nothing is changed before it is asked for, it is started once, nothing stays."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collector.adapters.base import MemorySnapshot
from collector.adapters.limits import Deadline
from collector.adapters.live_dump import LiveDump, LiveDumpEndpoint
from collector.adapters.winrm_script import load
from collector.errors import (
    AdapterError,
    ConfigError,
    DeadlineError,
    InventoryError,
    PeerFailedError,
    UnsupportedError,
)
from tests.peers.winrm_login import winrm_keys, winrm_login
from tests.peers.wsman import Wsman, lost_answer, wsman
from tests.peers.wsman_powershell import Answer

CASE = "2026-11-21T0312Z-hv02"
SCRIPTS = {load(f"live_dump_{name}"): name for name in ("state", "upload", "start")}
SCRIPTS |= {load("remove_folder"): "remove"}


@dataclass
class Windows:
    """What the scripts do there, told in Python: a folder with tools, dumps, and the mark of who started."""

    build: int = 20348
    processes: int = 1
    looks: int = 1  # at which the tools still run
    makes: bool = True
    tools: dict[str, bytearray] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    changes: int = 0

    def answer(self, script: str, arguments: Mapping[str, str]) -> Answer:
        done = getattr(self, SCRIPTS[script])(arguments)
        return Answer(0, json.dumps(done).encode() + b"\r\n")

    def state(self, arguments: Mapping[str, str]) -> dict[str, object]:
        started = arguments["name"] in self.started
        self.looks -= started
        running = started and self.looks >= 0
        folder = f"C:\\ProgramData\\hang-collector\\{arguments['name']}"
        dumps = [
            {"path": f"{folder}\\{name}", "size": 4096, "modified": 134_000_000_000_000_000}
            for name in ("process.dmp", "kernel.dmp")
        ]
        return {
            "folder": folder, "build": self.build, "free": 1 << 36, "kernel": 1 << 30, "process": 1 << 28,
            "found": self.processes, "started": started, "running": int(running),
            "files": dumps if started and self.makes else [], "words": "Access is denied." if started else "",
        }  # fmt: skip

    def upload(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.changes += 1
        tool = self.tools.setdefault(arguments["tool"], bytearray())
        assert len(tool) == int(arguments["offset"])
        tool += base64.b64decode(arguments["data"])
        return {"size": len(tool)}

    def start(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.changes += 1
        mine = arguments["name"] not in self.started
        self.starts += mine
        self.started[arguments["name"]] = arguments["tools"]
        return {"mine": mine}

    def remove(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.changes += 1
        self.started.pop(arguments["name"], None)
        self.tools.clear()
        return {"removed": True}


@dataclass
class Bench:
    windows: Windows
    server: Wsman
    folder: Path

    def dumper(self, **keys: object) -> LiveDump:
        endpoint = LiveDumpEndpoint.model_validate({**winrm_keys(self.server), **keys})
        return LiveDump(endpoint, winrm_login(self.folder), soon())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    windows = Windows()
    with wsman(tmp_path / "wsman", windows.answer) as server:
        yield Bench(windows, server, tmp_path)


def soon() -> Deadline:
    return Deadline.after(30.0)


def test_the_price_is_told_and_nothing_changes(bench: Bench) -> None:
    with bench.dumper() as dumper:
        assert isinstance(dumper, MemorySnapshot)
        price = dumper.snapshot_price(soon())
    assert price.needed == (3 << 29) + (1 << 28)
    assert price.free == 1 << 36
    assert "vmms stands still" in price.suffering
    assert bench.windows.changes == 0


def test_windows_dumps_itself_and_nothing_stays(bench: Bench) -> None:
    with bench.dumper() as dumper:
        files = dumper.take_snapshot(CASE, soon())
        assert bench.windows.started == {CASE: "windows"}
        dumper.remove_snapshot(CASE, soon())
    assert [file.path for file in files] == [
        f"/C:/ProgramData/hang-collector/{CASE}/process.dmp",
        f"/C:/ProgramData/hang-collector/{CASE}/kernel.dmp",
    ]
    assert bench.windows.started == {}


def test_the_operator_s_tools_are_brought_there_whole_and_removed(bench: Bench, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    sent = {"procdump64.exe": bytes(range(256)) * 1300, "livekd64.exe": b"MZ"}
    for name, data in sent.items():
        (tools / name).write_bytes(data)
    bench.windows.build = 9600
    with bench.dumper(tools=tools) as dumper:
        dumper.take_snapshot(CASE, soon())
        assert {name: bytes(data) for name, data in bench.windows.tools.items()} == sent
        assert bench.windows.started == {CASE: "ours"}
        dumper.remove_snapshot(CASE, soon())
    assert bench.windows.tools == {}


def test_a_lost_answer_starts_it_once(bench: Bench) -> None:
    with bench.dumper() as dumper:
        dumper.snapshot_price(soon())
        bench.server.trouble["Receive"] = lost_answer
        with pytest.raises(AdapterError):
            dumper.take_snapshot(CASE, Deadline.after(2.0))
    bench.server.trouble.clear()
    with bench.dumper() as dumper:
        dumper.take_snapshot(CASE, soon())
        dumper.take_snapshot(CASE, soon())
    assert bench.windows.starts == 1


def test_a_dump_that_takes_too_long_is_waited_for_by_whoever_comes_next(bench: Bench) -> None:
    bench.windows.looks = 1000
    started = time.monotonic()
    with bench.dumper() as dumper:
        with pytest.raises(DeadlineError, match="still being written"):
            dumper.take_snapshot(CASE, Deadline.after(5.0))
        bench.windows.looks = 0
        assert dumper.take_snapshot(CASE, soon())
    assert bench.windows.starts == 1
    assert time.monotonic() - started < 30


def test_tools_that_left_no_dump_are_quoted(bench: Bench) -> None:
    bench.windows.makes = False
    with bench.dumper() as dumper, pytest.raises(PeerFailedError, match="Access is denied"):
        dumper.take_snapshot(CASE, soon())


@pytest.mark.parametrize("call", ["price", "take"])
def test_what_cannot_be_done_is_said_before_anything_changes(bench: Bench, tmp_path: Path, call: str) -> None:
    def ask(dumper: LiveDump) -> None:
        with dumper:
            dumper.snapshot_price(soon()) if call == "price" else dumper.take_snapshot(CASE, soon())

    with pytest.raises(ConfigError, match=r"procdump64\.exe cannot be read"):
        ask(bench.dumper(tools=tmp_path / "nowhere"))
    bench.windows.build = 9600
    with pytest.raises(UnsupportedError, match="before Server 2016"):
        ask(bench.dumper())
    bench.windows.processes = 0
    with pytest.raises(PeerFailedError, match="no process 'vmms' runs"):
        ask(bench.dumper())
    assert bench.windows.changes == 0


@pytest.mark.parametrize("name", ["", "a b", "..\\x", "x;y", "$(x)", "a'b", "x\n"])
def test_a_name_that_could_mean_something_else_is_refused(bench: Bench, name: str) -> None:
    with bench.dumper() as dumper, pytest.raises(InventoryError):
        dumper.take_snapshot(name, soon())
    assert bench.windows.changes == 0
