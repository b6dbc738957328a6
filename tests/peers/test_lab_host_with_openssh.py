"""The lab's server as OpenSSH's own clients see it, through its whole life."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.dump.identify import inspect
from collector.lab.crash import HOSTILE_NAMES, Reaction, Script
from collector.lab.host import LabHost, State
from tests.peers.server import tool

QUICK = {"dump_seconds": 0.2, "boot_seconds": 0.1, "dump_pages": 50}
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def options(host: LabHost, *, key: Path | None = None) -> list[str]:
    settings = (
        f"IdentityFile={key or host.private_key}", "IdentitiesOnly=yes", "IdentityAgent=none",
        "BatchMode=yes", f"UserKnownHostsFile={host.known_hosts}", "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes", "ConnectTimeout=10", f"User={host.user}", f"Port={host.port}",
    )  # fmt: skip
    return ["-F", "none", *(word for setting in settings for word in ("-o", setting))]


def ssh(host: LabHost, command: str, *, key: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    client = tool("ssh", package="openssh-client")
    words = [client, "-n", *options(host, key=key), host.address, command]
    return subprocess.run(words, check=False, capture_output=True, timeout=60)


def sftp(host: LabHost, folder: Path, batch: str) -> subprocess.CompletedProcess[bytes]:
    client = tool("sftp", package="openssh-client")
    words = [client, *options(host), "-b", "-", host.address]
    return subprocess.run(
        words, input=batch.encode(), check=False, capture_output=True, timeout=60, cwd=folder
    )


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def crash_files(host: LabHost) -> dict[str, str]:
    """The files under /var/crash by name, with their paths."""
    folders = [entry.name for entry in host.tree.list("/var/crash") if entry.is_folder]
    paths = [f"/var/crash/{folder}" for folder in folders if "/" not in folder]
    return {entry.name: f"{path}/{entry.name}" for path in paths for entry in host.tree.list(path)}


@contextmanager
def lab(folder: Path, reaction: Reaction = Reaction.DUMP, **script: object) -> Iterator[LabHost]:
    before = set(threading.enumerate())
    with LabHost(folder, Script(on_nmi=reaction, **{**QUICK, **script})) as host:  # type: ignore[arg-type]
        yield host
    assert set(threading.enumerate()) <= before, "a thread is left"


def test_a_running_host_answers_commands_and_serves_files(tmp_path: Path) -> None:
    with lab(tmp_path) as host:
        assert ssh(host, f"cat {BOOT_ID}").stdout.decode().strip() == host.boot_id
        assert float(ssh(host, "cat /proc/uptime").stdout.split()[0]) > 86400
        absent = ssh(host, "cat /etc/shadow")
        assert (absent.returncode, absent.stderr) == (1, b"cat: /etc/shadow: No such file or directory\n")
        assert ssh(host, "reboot").returncode == 127
        assert sftp(host, tmp_path, "get /etc/kdump.conf").returncode == 0
        assert (tmp_path / "kdump.conf").read_bytes() == host.tree.read("/etc/kdump.conf")


def test_only_its_own_key_logs_in_and_it_proves_itself_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with lab(tmp_path) as host, lab(tmp_path / "other") as other:
        assert b"Permission denied" in ssh(host, "true", key=other.private_key).stderr
        host.known_hosts.write_text(other.known_hosts.read_text().replace(str(other.port), str(host.port)))
        assert b"Host key verification failed" in ssh(host, "true").stderr


def test_nothing_can_be_written_and_no_path_leads_out(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("x")
    with lab(tmp_path) as host:
        for batch in ("put here /etc/here", "rm /etc/hosts", "mkdir /new", "get ../../../../../etc/passwd"):
            assert sftp(host, tmp_path, batch).returncode == 1, batch


def test_a_hung_host_completes_handshakes_and_says_nothing(tmp_path: Path) -> None:
    with lab(tmp_path) as host:
        with socket.create_connection((host.address, host.port), 10) as old:
            old.settimeout(10)
            assert old.recv(8) == b"SSH-2.0-"
            host.hang()
            old.settimeout(0.5)
            old.sendall(b"SSH-2.0-probe\r\n")
            with pytest.raises(TimeoutError):
                while old.recv(4096):  # what was under way before it hung
                    pass
        with socket.create_connection((host.address, host.port), 10) as new:
            new.settimeout(0.5)
            with pytest.raises(TimeoutError):
                new.recv(1)
        assert host.state is State.HUNG


def test_a_command_that_runs_while_the_host_hangs_never_ends(tmp_path: Path) -> None:
    client = tool("ssh", package="openssh-client")
    with lab(tmp_path) as host:
        asked = threading.Event()

        def hang() -> bytes:
            asked.set()
            host.hang()
            return b"never seen"

        host.tree.put("/proc/hang", hang, 0.0)
        words = [client, "-n", *options(host), host.address, "cat /proc/hang"]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert asked.wait(30)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.kill()
            assert process.communicate()[0] == b""


def test_the_nmi_brings_a_dump_and_a_new_boot(tmp_path: Path) -> None:
    with lab(tmp_path, dump_seconds=0.5) as host:
        before = host.boot_id
        host.hang()
        host.nmi()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host.address, host.port), 10)
        assert host.state is State.CRASHING
        assert not crash_files(host)
        wait_for(lambda: bool(crash_files(host)))
        after = ssh(host, f"cat {BOOT_ID}").stdout.decode().strip()
        assert after == host.boot_id != before
        assert float(ssh(host, "cat /proc/uptime").stdout.split()[0]) < 60
        assert sftp(host, tmp_path, "get -r /var/crash").returncode == 0
        assert b"Kernel panic - not syncing" in ssh(host, "journalctl -b -1 -k --no-pager").stdout
    (dump,) = tmp_path.glob("crash/127.0.0.1-20*/vmcore")
    report = inspect(dump)
    assert (report.complete, report.identity.hostname) == (True, "db01")
    assert b"Kernel panic" in (dump.parent / "vmcore-dmesg.txt").read_bytes()
    assert b"saving vmcore complete" in (dump.parent / "kexec-dmesg.log").read_bytes()


def test_a_connection_from_before_the_crash_ends_at_the_boot(tmp_path: Path) -> None:
    with lab(tmp_path) as host, socket.create_connection((host.address, host.port), 10) as old:
        old.settimeout(30)
        assert old.recv(8) == b"SSH-2.0-"
        host.nmi()
        try:
            while old.recv(4096):
                pass
        except ConnectionResetError:
            pass
        assert host.state in (State.BOOTING, State.RUNNING)


def test_a_second_nmi_while_it_dumps_destroys_the_dump(tmp_path: Path) -> None:
    with lab(tmp_path) as host:
        host.nmi()
        host.nmi()
        wait_for(lambda: bool(crash_files(host)))
        assert host.nmis == 2
        assert "vmcore" not in crash_files(host)
        (tmp_path / "part").write_bytes(host.tree.read(crash_files(host)["vmcore-incomplete"]))
        assert not inspect(tmp_path / "part").complete


def test_an_nmi_may_change_nothing(tmp_path: Path) -> None:
    with lab(tmp_path, Reaction.NOTHING) as host:
        before = host.boot_id
        host.nmi()
        assert ssh(host, f"cat {BOOT_ID}").stdout.decode().strip() == before


def test_a_panic_may_leave_no_dump(tmp_path: Path) -> None:
    with lab(tmp_path, Reaction.NO_DUMP) as host:
        before = host.boot_id
        host.nmi()
        wait_for(lambda: host.state is State.RUNNING)
        assert ssh(host, f"cat {BOOT_ID}").stdout.decode().strip() != before
        assert not crash_files(host)


def test_a_host_may_never_come_back(tmp_path: Path) -> None:
    with lab(tmp_path, Reaction.NEVER_BACK) as host:
        host.nmi()
        time.sleep(QUICK["dump_seconds"] + QUICK["boot_seconds"] + 0.3)
        assert host.state is State.CRASHING
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host.address, host.port), 10)


def test_the_dump_may_appear_after_the_host_is_back(tmp_path: Path) -> None:
    with lab(tmp_path, dump_delay=1.0) as host:
        host.nmi()
        wait_for(lambda: host.state is State.RUNNING)
        assert not crash_files(host)
        wait_for(lambda: "vmcore" in crash_files(host))


def test_the_bmc_powers_it_off_and_on_and_resets_it(tmp_path: Path) -> None:
    with lab(tmp_path) as host:
        first = host.boot_id
        host.set_power(False)
        assert not host.powered_on()
        host.nmi()
        host.reset()
        assert host.state is State.OFF
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host.address, host.port), 10)
        host.set_power(True)
        wait_for(lambda: host.state is State.RUNNING)
        second = ssh(host, f"cat {BOOT_ID}").stdout.decode().strip()
        host.reset()
        wait_for(lambda: host.state is State.RUNNING)
        assert len({first, second, host.boot_id}) == 3
        assert not crash_files(host)


def test_a_transfer_is_cut_once_and_can_go_on(tmp_path: Path) -> None:
    with lab(tmp_path, sftp_cut_at=100_000) as host:
        host.nmi()
        wait_for(lambda: "vmcore" in crash_files(host))
        path = crash_files(host)["vmcore"]
        assert sftp(host, tmp_path, f"get {path} copy").returncode != 0
        assert (tmp_path / "copy").stat().st_size <= 100_000
        assert sftp(host, tmp_path, f"reget {path} copy").returncode == 0
        assert (tmp_path / "copy").read_bytes() == host.tree.read(path)


def test_a_slow_transfer_takes_its_time_and_stops_with_the_host(tmp_path: Path) -> None:
    client = tool("sftp", package="openssh-client")
    with lab(tmp_path, sftp_bytes_per_s=100_000) as host:
        started = time.monotonic()
        host.tree.put("/slow", bytes(100_000), 0.0)
        assert sftp(host, tmp_path, "get /slow").returncode == 0
        assert time.monotonic() - started >= 0.9
        host.tree.put("/endless", bytes(100_000_000), 0.0)
        words = [client, *options(host), f"{host.address}:/endless", str(tmp_path)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for((tmp_path / "endless").exists)
    assert process.wait(30) != 0


def test_hostile_names_are_listed_as_they_are(tmp_path: Path) -> None:
    with lab(tmp_path, hostile_names=True) as host:
        host.nmi()
        wait_for(lambda: "vmcore" in crash_files(host))
        listing = sftp(host, tmp_path, "ls -a1 /var/crash/127*").stdout.decode()
        assert "/vmcore\n" in listing
        names = {e.name for folder in ("/var/crash", *_folders(host)) for e in host.tree.list(folder)}
        assert {*HOSTILE_NAMES, "../../etc"} <= names


def _folders(host: LabHost) -> list[str]:
    return [f"/var/crash/{e.name}" for e in host.tree.list("/var/crash") if e.name.startswith("127")]


def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    with lab(tmp_path) as host:
        for _ in range(5):
            with socket.create_connection((host.address, host.port), 10) as probe:
                probe.settimeout(10)
                probe.recv(64)
                probe.sendall(b"SSH-2.0-probe\r\n")
                probe.recv(64)
        for _ in range(3):
            assert ssh(host, "true").returncode == 0
        wait_for(lambda: ssh(host, "true").returncode == 0 and len(host._connections) <= 2)
