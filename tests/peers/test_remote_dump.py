"""A look at dumps behind a real sshd: what a few MB show, and that no more is read, whatever is in them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.ssh import SshChannel
from collector.dump.report import DumpFormat, DumpReport, State
from collector.errors import DumpError
from collector.run import remote_dump
from collector.run.remote_dump import RemoteSource, look
from tests.contract.channels import Rig, ssh
from tests.contract.credentials import credential_for, endpoint_for
from tests.peers.sshd import sshd, stopped
from tests.unit.dump import dumps


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with ssh(tmp_path_factory.mktemp("host")) as rig:
        yield rig


def looked_at(rig: Rig, path: str) -> DumpReport:
    deadline = Deadline.after(30)
    return look(rig.channel, rig.channel.stat(path, deadline), deadline)


@pytest.mark.parametrize(
    ("name", "dump"),
    [
        ("kdump", dumps.kdump()),
        ("flattened", dumps.flattened(dumps.kdump(), record=5000)),
        ("elf", dumps.elf()),
    ],
)
def test_a_whole_dump_looks_complete_and_one_that_is_cut_truncated(rig: Rig, name: str, dump: bytes) -> None:
    whole = looked_at(rig, rig.put(name, dump))
    assert whole.state is State.COMPLETE
    assert whole.identity.kernel_release == "6.1.0-9-amd64"
    assert looked_at(rig, rig.put(f"{name}.cut", dump[:-1])).state is State.TRUNCATED


@pytest.mark.parametrize(
    ("cut", "state"), [(0, State.COMPLETE), (1, State.TRUNCATED), (9 << 30, State.TRUNCATED)]
)
def test_64_million_pages_are_known_by_a_few_mb(rig: Rig, cut: int, state: State) -> None:
    path = Path(rig.folder) / "vmcore"
    size = dumps.sparse_kdump(path, pages=1 << 26, bytes_per_page=3000, cut=cut)
    deadline = Deadline.after(60)
    source = RemoteSource(rig.channel, rig.channel.stat(str(path), deadline), deadline)
    report = remote_dump.glance(source)
    assert (report.state, report.expected_size, report.size) == (state, size, size - cut)
    assert report.size > 180 << 30
    assert sum(map(len, source._blocks.values())) < 4 << 20
    path.unlink()


def test_descriptors_that_were_never_written_show(rig: Rig) -> None:
    path = Path(rig.folder) / "vmcore"
    dumps.sparse_kdump(path, pages=1 << 20, bytes_per_page=3000)
    with path.open("r+b") as file:
        file.seek((2 + 2 * 32) * dumps.PAGE + 24 * ((1 << 20) - 100))
        file.write(bytes(24 * 100))
    report = looked_at(rig, str(path))
    assert report.state is State.INCOMPLETE
    assert "100 of 1048576 page descriptors were never written" in report.reason


def test_nothing_makes_a_look_read_more_than_it_may(rig: Rig) -> None:
    path = Path(rig.folder) / "huge"
    path.write_bytes(b"\x7fELF")
    with path.open("r+b") as file:
        file.truncate(1 << 34)
    deadline = Deadline.after(30)
    source = RemoteSource(rig.channel, rig.channel.stat(str(path), deadline), deadline)
    with pytest.raises(DumpError, match="more than 16 MiB"):
        source.read(5, 1 << 33)
    assert source._blocks == {}
    source.read(0, 16 << 20)
    with pytest.raises(DumpError, match="more than 16 MiB"):
        source.read(1 << 33, 1)


def test_what_is_no_dump_and_what_is_gone_is_unknown(rig: Rig) -> None:
    assert looked_at(rig, rig.put("text", b"hello")).state is State.UNKNOWN
    file = rig.channel.stat(rig.put("gone", dumps.kdump()), Deadline.after(30))
    Path(file.path).unlink()
    report = look(rig.channel, file, Deadline.after(30))
    assert (report.format, report.state) == (DumpFormat.UNKNOWN, State.UNKNOWN)
    assert "vanished" in report.reason


def test_a_host_that_falls_silent_ends_the_look_by_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_dump, "_LOOK_FOR", 1.0)
    path = tmp_path / "vmcore"
    path.write_bytes(dumps.kdump())
    with (
        sshd(tmp_path / "sshd") as server,
        SshChannel(endpoint_for(server), credential_for(server), Deadline.after(30)) as channel,
    ):
        file = channel.stat(str(path), Deadline.after(30))
        started = time.monotonic()
        with stopped(server.pid):
            report = look(channel, file, Deadline.after(60))
        assert report.state is State.UNKNOWN
        assert time.monotonic() - started < 30
