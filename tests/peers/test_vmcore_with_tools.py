"""The lab's vmcore as makedumpfile, crash and file see it; what makedumpfile and QEMU write as we see it."""

from __future__ import annotations

import json
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import pytest

from collector.dump.first_look import look
from collector.dump.identify import inspect
from collector.dump.repair import repair
from collector.dump.report import Buffer, DumpFile, DumpFormat, State
from collector.lab import vmcore
from tests.peers.server import free_port, running, tool, wait_for_port
from tests.unit.dump import qemu

CRASHED = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
DMESG = [(0.0, "Linux version 4.18.0"), (86.25, "Kernel panic - not syncing: NMI: Not continuing")]
PAGES = 276  # filler, log and page tables


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "vmcore"
    path.write_bytes(vmcore.kdump("db01", CRASHED, DMESG))
    return path


@pytest.fixture
def stream(dump: Path) -> Path:
    path = dump.with_name("vmcore.flat")
    path.write_bytes(vmcore.flattened(dump.read_bytes()))
    return path


def run(*command: object, **options: Any) -> str:
    words = [str(part) for part in command]
    done = subprocess.run(words, check=False, capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout.decode(errors="replace")


def test_file_names_the_format_the_host_and_the_release(dump: Path, stream: Path) -> None:
    file = tool("file", package="file")
    for path, kind in ((dump, "Kdump compressed dump v6"), (stream, "Flattened kdump compressed dump v6")):
        assert f"{kind}, system Linux, node db01, release {vmcore.RELEASE}" in run(file, path)


def test_crash_reads_the_release(dump: Path, stream: Path) -> None:
    crash = tool("crash", package="crash")
    for path in (dump, stream):
        assert run(crash, "--osrelease", path).strip() == vmcore.RELEASE


def test_makedumpfile_prints_the_kernel_log(dump: Path) -> None:
    makedumpfile = tool("makedumpfile", package="makedumpfile")
    run(makedumpfile, "--dump-dmesg", dump, dump.with_name("dmesg"))
    assert dump.with_name("dmesg").read_text().splitlines() == [
        "[    0.000000] Linux version 4.18.0",
        "[   86.250000] Kernel panic - not syncing: NMI: Not continuing",
    ]


@pytest.mark.parametrize("options", [("-c",), ("-l",), ("-d", "1"), ("-F", "-l")])
def test_we_read_the_kernel_log_that_makedumpfile_reads(dump: Path, options: tuple[str, ...]) -> None:
    makedumpfile, copy, text = (
        tool("makedumpfile", package="makedumpfile"), dump.with_name("copy"), dump.with_name("dmesg")
    )  # fmt: skip
    if "-F" in options:
        with copy.open("wb") as out:
            subprocess.run([makedumpfile, *options, dump], stdout=out, stderr=subprocess.DEVNULL, check=True)
    else:
        run(makedumpfile, *options, dump, copy)
    run(makedumpfile, "--dump-dmesg", dump, text)
    with DumpFile(copy) as file:
        assert [str(record) for record in look(file).log] == text.read_text().splitlines()


@pytest.mark.parametrize("broken", [qemu.as_qemu_writes_elf(), qemu.as_qemu_writes_kdump()])
def test_what_we_mend_makedumpfile_reads(tmp_path: Path, broken: bytes) -> None:
    makedumpfile = tool("makedumpfile", package="makedumpfile")
    mended, log = tmp_path / "mended", tmp_path / "log"
    (tmp_path / "broken").write_bytes(broken)
    command = [makedumpfile, "--dump-dmesg", tmp_path / "broken", log]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0
    repair(Buffer(broken), mended)
    run(makedumpfile, "--dump-dmesg", "-f", mended, log)
    assert len(log.read_text().splitlines()) == len(qemu.LOG)


def test_makedumpfile_joins_the_stream_into_the_same_dump(dump: Path, stream: Path) -> None:
    makedumpfile = tool("makedumpfile", package="makedumpfile")
    with stream.open("rb") as flat:
        run(makedumpfile, "-R", dump.with_name("joined"), stdin=flat)
    assert dump.with_name("joined").read_bytes() == dump.read_bytes()


@pytest.mark.parametrize(("option", "compression"), [("-c", "zlib"), ("-l", "lzo")])
def test_we_find_the_dump_that_makedumpfile_wrote_whole(dump: Path, option: str, compression: str) -> None:
    copy = dump.with_name("copy")
    run(tool("makedumpfile", package="makedumpfile"), option, "-d", 1, dump, copy)
    report = inspect(copy)
    assert (report.complete, report.reason) == (True, f"all {PAGES} pages are there")
    assert (report.identity.crash_time, report.identity.hostname) == (CRASHED, "db01")
    assert report.identity.details["compression"] == compression
    copy.write_bytes(copy.read_bytes()[:-1])
    assert inspect(copy).reason == "it ends 1 bytes early"


def test_we_find_the_stream_that_makedumpfile_wrote_whole(dump: Path) -> None:
    copy = dump.with_name("copy")
    with copy.open("wb") as out:
        command = [tool("makedumpfile", package="makedumpfile"), "-F", "-c", "-d", "1", dump]
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True, timeout=60)
    report = inspect(copy)
    assert (report.format, report.complete) == (DumpFormat.FLATTENED, True)
    assert report.expected_size == report.size
    assert (report.identity.crash_time, report.identity.hostname) == (CRASHED, "db01")
    copy.write_bytes(copy.read_bytes()[:-1])
    assert not inspect(copy).complete


FULL_DISK = 'mount -t tmpfs -o size=600k none "$1" && ! "$2" -c -d 1 "$3" "$1/vmcore" >&2 && cat "$1/vmcore"'


def test_what_a_full_disk_leaves_of_a_dump_is_incomplete(dump: Path) -> None:
    unshare, makedumpfile = (
        tool("unshare", package="util-linux"),
        tool("makedumpfile", package="makedumpfile"),
    )
    disk, rest = dump.with_name("disk"), dump.with_name("rest")
    disk.mkdir()
    namespace = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh"]
    with rest.open("wb") as out:
        done = subprocess.run(
            [*namespace, disk, makedumpfile, dump],
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    if not rest.stat().st_size:
        pytest.skip(
            f"no user namespace with a disk of its own: {done.stderr.decode(errors='replace')[-200:]}"
        )
    report = inspect(rest)
    assert report.state is State.INCOMPLETE
    assert "no space left" in report.reason
    assert report.identity.hostname == "db01"


def test_what_a_killed_makedumpfile_leaves_is_truncated(dump: Path) -> None:
    """As Debian's kdump-config saves it: from a pipe, whose end looks the same however the writer ended."""
    rest = dump.with_name("rest")
    with subprocess.Popen(
        [tool("makedumpfile", package="makedumpfile"), "-F", "-c", "-d", "1", dump],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as writer:
        assert writer.stdout is not None
        part = writer.stdout.read(200_000)
        writer.kill()
    rest.write_bytes(part)
    report = inspect(rest)
    assert report.state is State.TRUNCATED
    assert "no end marker" in report.reason
    assert report.identity.hostname == "db01"


def test_one_part_of_what_makedumpfile_split_is_not_a_dump(dump: Path) -> None:
    parts = [dump.with_name(name) for name in ("one", "two")]
    run(tool("makedumpfile", package="makedumpfile"), "-c", "-d", 1, "--split", dump, *parts)
    for part in parts:
        assert not inspect(part).complete
        assert "split" in inspect(part).reason


def test_we_find_the_dumps_that_qemu_wrote_whole(tmp_path: Path) -> None:
    core, stream = tmp_path / "core", tmp_path / "stream"
    _dump_a_stopped_guest(tmp_path, {"elf": core, "kdump-zlib": stream})
    elf = inspect(core)
    assert (elf.format, elf.complete, elf.identity.kernel_release) == (DumpFormat.ELF, True, None)
    assert elf.expected_size is not None
    assert elf.size - 64 < elf.expected_size <= elf.size  # QEMU puts its section names after the memory
    with DumpFile(core) as file:
        repair(file, tmp_path / "mended")
    assert "PT_LOAD" in _refusal(core)
    assert "log_buf" in _refusal(tmp_path / "mended")  # found its memory, in which there is no kernel
    kdump = inspect(stream)
    assert (kdump.format, kdump.complete) == (DumpFormat.FLATTENED, True)
    assert kdump.identity.architecture == "x86_64"


def _refusal(dump: Path) -> str:
    """What makedumpfile says of a dump that has no kernel log for it."""
    command = [tool("makedumpfile", package="makedumpfile"), "--dump-dmesg", dump, dump.with_name("log")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode != 0
    return (done.stderr + done.stdout).decode(errors="replace")


def _dump_a_stopped_guest(folder: Path, dumps: dict[str, Path]) -> None:
    """Let QEMU write a guest of 16 MiB that never ran, in each of the formats."""
    port = free_port()
    command = (
        tool("qemu-system-x86_64", package="qemu-system-x86"),
        *("-S", "-m", "16", "-display", "none", "-nodefaults", "-accel", "tcg"),
        *("-qmp", f"tcp:127.0.0.1:{port},server=on,wait=off"),
    )
    with running(command, folder / "qemu.log"):
        wait_for_port(port)
        with (
            socket.create_connection(("127.0.0.1", port), 60) as connection,
            connection.makefile("rw") as qmp,
        ):
            _ask(qmp, "qmp_capabilities")
            for kind, path in dumps.items():
                _ask(qmp, "dump-guest-memory", paging=False, protocol=f"file:{path}", format=kind)


def _ask(qmp: TextIO, command: str, **arguments: object) -> None:
    qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    qmp.flush()
    while '"return"' not in (answer := qmp.readline()):
        assert answer, "QEMU ended"
        assert '"error"' not in answer
