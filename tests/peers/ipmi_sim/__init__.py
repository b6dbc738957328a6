"""OpenIPMI's ipmi_sim: a real BMC over RMCP and RMCP+ on a loopback port, whose NMIs can be counted."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest

from tests.peers.server import free_port, running, tool

HERE = Path(__file__).parent
ADDRESS = "127.0.0.1"
PASSWORD = "bmc-password"
"""The default password of every user; IPMI 1.5 allows 16 bytes, IPMI 2.0 allows 20."""


@dataclass(frozen=True, slots=True)
class IpmiSim:
    """A running BMC. Users `admin`, `operator` and `viewer` share one password."""

    address: str
    port: int
    console_port: int
    username: str
    password: str
    pid: int
    folder: Path
    log: Path
    prefix: tuple[str, ...]

    @property
    def power_file(self) -> Path:
        """Holds `1` or `0`; write it to change what the BMC says. Unused with a virtual machine."""
        return self.folder / "power"

    def nmi_count(self) -> int:
        """How many diagnostic interrupts the BMC has pulsed."""
        counted = self.folder / "nmi.count"
        return len(counted.read_text().splitlines()) if counted.exists() else 0

    def actions(self) -> list[str]:
        """Every change of the chassis that was asked for, such as `power 0` or `reset 1`; no NMI."""
        asked = self.folder / "actions"
        return asked.read_text().splitlines() if asked.exists() else []

    def emulate(self, command: str) -> None:
        """Have the simulator run one command of ipmi_sim_cmd(5), such as `sel_add`."""
        with socket.create_connection((self.address, self.console_port), 5) as console:
            console.sendall(command.encode() + b"\n")
            shown = b""
            while shown.count(b"> ") < 2:  # one prompt greets, the next says that the command is done
                if not (more := console.recv(4096)):
                    raise ConnectionError(f"ipmi_sim closed its console after {command!r}")
                shown += more

    def ipmitool(self, *arguments: str, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
        """Run ipmitool against this BMC, sending every request once; raises nothing on failure."""
        # -C 3: ipmi_sim does not say which cipher suites it has, and asking costs ten seconds.
        # -R 1: one transmission; ipmitool's default is four, and each is a new NMI.
        command = [
            *self.prefix, tool("ipmitool", package="ipmitool"),
            "-I", "lanplus", "-C", "3", "-R", "1", "-N", "5",
            "-H", self.address, "-p", str(self.port), "-U", self.username, "-E", *arguments,
        ]  # fmt: skip
        return subprocess.run(
            command,
            env={**os.environ, "IPMI_PASSWORD": self.password},
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
            timeout=timeout,
        )


@contextlib.contextmanager
def ipmi_sim(
    folder: Path,
    *,
    vm_port: int | None = None,
    pulse_diag: bool = True,
    delay: float = 0.0,
    password: str = PASSWORD,
    prefix: Sequence[str] = (),
) -> Iterator[IpmiSim]:
    """Run a BMC for the length of the block; skip the test, saying what is missing, if that cannot be.

    `vm_port` is the TCP port where QEMU's `ipmi-bmc-extern` connects: an NMI is then raised in that machine,
    and power is on while it is connected. Without it, power is what `IpmiSim.power_file` says.
    `pulse_diag=False` is a BMC that refuses the NMI (completion code CCh). `delay` is the time in seconds
    between the NMI and its answer; the simulator does nothing else meanwhile. `prefix` is a command that
    enters a network namespace, such as `ip netns exec NAME`; only from there the BMC can be reached.
    """
    binary = tool("ipmi_sim", package="openipmi")
    sdrcomp = tool("sdrcomp", package="openipmi")
    state = folder / "state" / "ipmi_sim" / "board"
    state.mkdir(parents=True)
    subprocess.run([sdrcomp, "-o", state / "sdr.20.main", HERE / "board.sdrs"], check=True)
    (folder / "power").write_text("1\n")

    port, console_port = free_port(socket.SOCK_DGRAM), free_port()
    power = f'chassis_control "{HERE / "chassis.sh"} {folder} 0x20"'
    if vm_port:
        power = f"serial 15 {ADDRESS} {vm_port} codec VM"
    config = string.Template((HERE / "lan.conf").read_text()).substitute(
        address=ADDRESS,
        port=port,
        console_port=console_port,
        password=password,
        power=power,
        diag=_load_diag(folder, vm=vm_port is not None, delay=delay) if pulse_diag else "",
    )
    (folder / "lan.conf").write_text(config)

    log = folder / "ipmi_sim.log"
    command: list[str | Path] = [
        *prefix, binary, "-n", "-c", folder / "lan.conf", "-f", HERE / "board.emu", "-s", folder / "state",
    ]  # fmt: skip
    with running(command, log) as process:
        _wait_for_answer(port, prefix, log)
        yield IpmiSim(ADDRESS, port, console_port, "admin", password, process.pid, folder, log, tuple(prefix))


def diag_module() -> Path:
    """The compiled `diag.c`, from the cache if its source is unchanged; skips the test without a compiler."""
    source = HERE / "diag.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    cache = platformdirs.user_cache_path("hang-collector-tests", ensure_exists=True)
    module = cache / f"diag-{digest}.so"
    if module.exists():
        return module
    compiler = tool("gcc", "cc", package="gcc")
    if not Path("/usr/include/OpenIPMI/mcserv.h").exists():
        pytest.skip("peer missing: OpenIPMI/mcserv.h (Debian package libopenipmi-dev)")
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        built = Path(scratch) / "diag.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", built, source],
            check=True,
        )
        built.replace(module)  # atomic: parallel test workers share the cache
    return module


def _load_diag(folder: Path, *, vm: bool, delay: float) -> str:
    options = [f"count={folder / 'nmi.count'}", "sel"]
    if vm:
        options.append("vm")
    if delay:
        options.append(f"delay={delay:g}")
    return f'loadlib "{diag_module()}" "{",".join(options)}"'


def _wait_for_answer(port: int, prefix: Sequence[str], log: Path, seconds: float = 15.0) -> None:
    """Ask from where the clients will be: in the network namespace that `prefix` enters."""
    ask: list[str | Path] = [
        *prefix,
        sys.executable,
        HERE / "presence.py",
        ADDRESS,
        str(port),
        f"{seconds:g}",
    ]
    if subprocess.run(ask, check=False).returncode:
        raise TimeoutError(
            f"ipmi_sim does not answer on {ADDRESS}:{port} after {seconds:g} s: {log.read_text()}"
        )
