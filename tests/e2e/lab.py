"""A server to hang: a QEMU guest with a real kernel and an armed kdump, and a BMC that can send it an NMI."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.ipmi_sim import IpmiSim, ipmi_sim
from tests.peers.server import free_port, running, tool

GUEST = Path(__file__).parent / "guest"
REACH = Path(__file__).parent / "reach.py"
HANGS = ("sshd-stopped", "user-frozen", "irq-off")
"""What `GuestLab.hang` knows, with soft-lockup; `guest/hang` says what each does."""

KERNEL_COMMAND_LINE = "console=ttyS0 panic=5 unknown_nmi_panic crashkernel=112M quiet edd=off mitigations=off"


@dataclass(frozen=True, slots=True)
class Network:
    """How the guest is reached. Only a tap device tells a deaf guest from one that answers ping."""

    address: str
    port: int
    guest_address: str
    qemu: str
    command_prefix: tuple[str, ...]
    reason: str

    @property
    def transparent(self) -> bool:
        """False with user-mode networking: it passes no ping on, and completes every handshake itself."""
        return bool(self.command_prefix)

    @property
    def host_in_known_hosts(self) -> str:
        """The name under which OpenSSH looks the host key up."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class GuestLab:
    """A running guest and its BMC. Commands that talk to either must start with `command_prefix`."""

    network: Network
    bmc: IpmiSim
    private_key: Path
    known_hosts: Path
    serial_log: Path
    monitor: Path

    @property
    def ssh_address(self) -> str:
        """Where the guest's sshd listens."""
        return self.network.address

    @property
    def ssh_port(self) -> int:
        """The TCP port of the guest's sshd."""
        return self.network.port

    @property
    def command_prefix(self) -> tuple[str, ...]:
        """What enters the network namespace of the guest; empty with user-mode networking."""
        return self.network.command_prefix

    def run(self, command: str, *, timeout: float = 30.0) -> str:
        """Standard output of a shell command in the guest; raises CalledProcessError or TimeoutExpired."""
        return self._ssh(command, timeout=timeout).decode()

    def fetch(self, path: str, target: Path) -> Path:
        """Copy a file out of the guest."""
        target.write_bytes(self._ssh(f"cat {shlex.quote(path)}", timeout=120.0))
        return target

    def boot_id(self) -> str:
        """What changes with every boot of the guest."""
        return self.run("cat /proc/sys/kernel/random/boot_id").strip()

    def wait_ready(self, *, other_than: str = "", seconds: float = 240.0) -> str:
        """Return the boot id once the guest lets a user in; with `other_than`, once it booted again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(subprocess.SubprocessError):
                boot_id = self.boot_id()
                if boot_id != other_than:
                    return boot_id
            time.sleep(1.0)
        raise TimeoutError(
            f"the guest is not back after {seconds:g} s:\n{self.serial_log.read_text()[-4000:]}"
        )

    def hang(self, mode: str, *, seconds: float = 30.0) -> None:
        """Hang the guest in one of the ways of `HANGS`; return once its sshd is silent."""
        self.run(f"sync; hang {mode}")
        end = time.monotonic() + seconds
        while self.ssh_reach() == "banner":
            if time.monotonic() > end:
                raise TimeoutError(f"the guest does not hang by {mode} within {seconds:g} s")
            time.sleep(0.5)

    def lock_up(self, *, seconds: float = 60.0) -> None:
        """Let a kernel thread keep the CPU with interrupts on; return once the kernel complains of it."""
        self.hang("soft-lockup")
        self.wait_for_words("BUG: soft lockup", seconds=seconds)

    def wait_for_words(self, words: str, *, more_than: int = 0, seconds: float = 240.0) -> None:
        """Return once the guest's serial console has shown these words `more_than` so many times."""
        end = time.monotonic() + seconds
        while self.count_words(words) <= more_than:
            if time.monotonic() > end:
                raise TimeoutError(f"the guest does not say {words!r} within {seconds:g} s")
            time.sleep(0.1)

    def count_words(self, words: str) -> int:
        """How many times the guest's serial console has shown these words, in all its boots."""
        return self.serial_log.read_text(errors="replace").count(words)

    def block(self, mode: str) -> None:
        """Let kernel threads wait for ever (mutex, rwsem, d-state); return once the kernel complains."""
        self.run(f"sync; hang {mode}", timeout=90.0)

    def arm_kdump(self, *words: str) -> None:
        """Load the crash kernel of the next crash with these words on its command line; see guest/init."""
        self.run(" ".join(("arm-kdump", *words)))

    def unload_kdump(self) -> None:
        """Disarm the crash kernel: an NMI then reboots the guest, and no dump is left."""
        self.run("kexec -p -u")

    def panic_on_nmi(self, *, on: bool) -> None:
        """Off: the kernel shrugs an NMI off, as every kernel does until it is told otherwise."""
        self.run(f"echo {on:d} > /proc/sys/kernel/unknown_nmi_panic")

    def vmcores(self) -> list[str]:
        """Paths of every vmcore in the guest, the incomplete ones too."""
        return self.run("find /var/crash -name 'vmcore' -o -name 'vmcore-incomplete' | sort").split()

    def nmi_count(self) -> int:
        """How many NMIs the BMC has sent to the guest."""
        return self.bmc.nmi_count()

    def stray_nmi(self) -> None:
        """An NMI that neither we nor the BMC know of: the hypervisor sends it."""
        self._monitor("inject-nmi")

    def dump_memory(self, target: Path, kind: str) -> Path:
        """Let the hypervisor write the guest's memory: `elf` or `kdump-zlib`."""
        self._monitor("dump-guest-memory", paging=False, protocol=f"file:{target}", format=kind)
        return target

    def _monitor(self, command: str, **arguments: object) -> None:
        """Say one command to QEMU's monitor, and wait for its answer."""
        asked = ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments})
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(30)
            monitor.connect(str(self.monitor))
            with monitor.makefile("rw") as qmp:
                for question in asked:
                    qmp.write(json.dumps(question) + "\n")
                    qmp.flush()
                    while '"return"' not in (answer := qmp.readline()):
                        assert '"error"' not in answer, answer
                        assert answer, "QEMU ended"

    def answers_ping(self) -> bool:
        """True if one of three pings comes back."""
        busybox = tool("busybox", package="busybox-static")
        command = [*self.command_prefix, busybox, "ping", "-c", "3", "-W", "2", self.ssh_address]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def ssh_reach(self) -> str:
        """How far a client of the SSH port comes: `refused`, `no answer`, `connected`, or `banner`."""
        command = [*self.command_prefix, sys.executable, str(REACH), self.ssh_address, str(self.ssh_port)]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode().strip()

    def reset(self) -> None:
        """Press the reset button: what is left when a test ends with the guest still hung."""
        self.bmc.ipmitool("chassis", "power", "reset")

    def _ssh(self, command: str, *, timeout: float) -> bytes:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "GlobalKnownHostsFile": "none",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
        }
        arguments = [*self.command_prefix, tool("ssh", package="openssh-client"), "-F", "none"]
        for name, value in options.items():
            arguments += ["-o", f"{name}={value}"]
        arguments += [
            "-i",
            str(self.private_key),
            "-p",
            str(self.ssh_port),
            f"root@{self.ssh_address}",
            command,
        ]
        return subprocess.run(arguments, capture_output=True, check=True, timeout=timeout).stdout


@contextlib.contextmanager
def guest_lab(folder: Path) -> Iterator[GuestLab]:
    """Build the guest if need be, run it with its BMC, and leave nothing behind.

    The disk of the guest is a throw-away view of the built image. Skips the test, saying what is missing,
    if QEMU or ipmi_sim cannot be had; raises CalledProcessError if the guest cannot be built.
    """
    tool("qemu-system-x86_64", package="qemu-system-x86")
    subprocess.run([GUEST / "build"], check=True)
    with _network() as network:
        vm_port = free_port()  # a namespace has every port free, so one that is free here is free there
        known_hosts, serial_log, monitor = (folder / name for name in ("known_hosts", "serial.log", "qmp"))
        known_hosts.write_text(f"{network.host_in_known_hosts} {(GUEST / 'out/host_key.pub').read_text()}")
        with (
            ipmi_sim(folder / "bmc", vm_port=vm_port, prefix=network.command_prefix) as bmc,
            running(_qemu(network, vm_port, serial_log, monitor), folder / "qemu.log"),
        ):
            lab = GuestLab(network, bmc, GUEST / "out/user_key", known_hosts, serial_log, monitor)
            lab.wait_ready()
            yield lab


def _qemu(network: Network, vm_port: int, serial_log: Path, monitor: Path) -> list[str]:
    out = GUEST / "out"
    # TCG, because nested KVM cannot be relied on; a small old CPU, because it boots faster than "max".
    return [
        *network.command_prefix, tool("qemu-system-x86_64", package="qemu-system-x86"),
        "-machine", "pc", "-accel", "tcg", "-cpu", "Nehalem", "-smp", "1", "-m", "384",
        "-no-user-config", "-nodefaults", "-display", "none", "-serial", f"file:{serial_log}",
        "-qmp", f"unix:{monitor},server=on,wait=off",
        "-kernel", str(out / "vmlinuz"), "-initrd", str(out / "initrd.img"),
        "-append", f"{KERNEL_COMMAND_LINE} GUEST_ADDRESS={network.guest_address}",
        "-drive", f"file={out / 'disk.img'},format=raw,if=virtio,cache=unsafe,snapshot=on",
        "-netdev", network.qemu, "-device", "virtio-net-pci,netdev=net0,romfile=",
        "-chardev", f"socket,id=bmc,host=127.0.0.1,port={vm_port},reconnect=1",
        "-device", "ipmi-bmc-extern,id=bmc0,chardev=bmc", "-device", "isa-ipmi-kcs,bmc=bmc0,irq=5",
        "-device", "vmcoreinfo",
    ]  # fmt: skip


@contextlib.contextmanager
def _network() -> Iterator[Network]:
    """A tap device in a network namespace; user-mode networking where that is not allowed."""
    with contextlib.ExitStack() as stack:
        try:
            network = stack.enter_context(_tap())
        except (OSError, subprocess.CalledProcessError) as error:
            stderr = getattr(error, "stderr", None) or b""
            network = _user_mode(f"no tap device: {stderr.decode().strip() or error}")
        yield network


@contextlib.contextmanager
def _tap() -> Iterator[Network]:
    """Addresses of TEST-NET-1 (RFC 5737), which only this namespace can see."""
    namespace = f"hang-collector-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    ip = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if ip is None:
        raise FileNotFoundError("ip is not installed (Debian package iproute2)")

    def configure(*arguments: str) -> None:
        subprocess.run([ip, *arguments], check=True, capture_output=True)

    configure("netns", "add", namespace)
    try:
        configure("-n", namespace, "link", "set", "lo", "up")
        configure("-n", namespace, "tuntap", "add", "dev", "tap0", "mode", "tap")
        configure("-n", namespace, "address", "add", "192.0.2.1/24", "dev", "tap0")
        configure("-n", namespace, "link", "set", "tap0", "up")
        yield Network(
            address="192.0.2.2",
            port=22,
            guest_address="192.0.2.2/24",
            qemu="tap,id=net0,ifname=tap0,script=no,downscript=no",
            command_prefix=(ip, "netns", "exec", namespace),
            reason="tap device in a network namespace",
        )
    finally:
        configure("netns", "delete", namespace)


def _user_mode(reason: str) -> Network:
    port = free_port()
    return Network(
        address="127.0.0.1",
        port=port,
        guest_address="10.0.2.15/24",
        qemu=f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        command_prefix=(),
        reason=reason,
    )
