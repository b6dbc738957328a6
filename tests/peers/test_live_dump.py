"""A live dump over WinRM: what the contract of memory snapshots does not cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.live_dump import LiveDump, LiveDumpEndpoint
from collector.errors import ConfigError, InventoryError, PeerFailedError, UnsupportedError
from tests.peers.windows_dumper import Windows
from tests.peers.winrm_login import winrm_keys, winrm_login
from tests.peers.wsman import Wsman, wsman

CASE = "2026-11-21T0312Z-hv02"


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
