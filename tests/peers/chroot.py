"""A Debian host of real packages in namespaces of its own, logged in to over its own OpenSSH server.

The tree is made by debootstrap, once for each change of its recipe, and kept. A host is the tree seen from
its own mount, PID and UTS namespaces. What the kernel says there is ours: single files are mounted over those
of /proc, a folder over /sys, a file system of a size that the test chooses on /var/crash. What cannot be had
this way (another `uname -r`, systemd, the control groups) is the machine's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.server import free_port, tool, wait_for_port
from tests.peers.sshd import Sshd, make_key

CACHE = Path(__file__).parent / "out"
USER = "oncall"
SUITE, PACKAGES = "bookworm", "openssh-server,kdump-tools,makedumpfile"
INSIDE = (
    f"useradd --password '*' --create-home --shell /bin/bash {USER} && mkdir -p /var/crash /usr/lib/modules"
)
"""What is done in the tree when it is made."""

GIB, MIB = 1024**3, 1024**2

PROC: Mapping[str, str] = {
    "cmdline": "BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 ro quiet crashkernel=256M\n",
    "meminfo": "MemTotal: 2097152 kB\nMemFree: 1572864 kB\nCached: 262144 kB\nSlab: 65536 kB\n",
    "sys/kernel/unknown_nmi_panic": "1\n",
    "sys/kernel/panic_on_unrecovered_nmi": "1\n",
    "sys/kernel/panic_on_io_nmi": "1\n",
    "sys/kernel/panic": "10\n",
}
"""What a host says that would dump, by the path under /proc."""

SYS: Mapping[str, str] = {
    "kernel/kexec_crash_loaded": "1\n",
    "kernel/kexec_crash_size": f"{256 * MIB}\n",
    "module/kernel/parameters/crash_kexec_post_notifiers": "N\n",
}

OWN: Mapping[str, str] = {
    "etc/sysctl.d/90-nmi.conf": "".join(
        f"kernel.{name} = 1\n"
        for name in ("unknown_nmi_panic", "panic_on_unrecovered_nmi", "panic_on_io_nmi")
    ),
    f"var/lib/kdump/initrd.img-{os.uname().release}": "the capture kernel's initramfs\n",
    f"usr/lib/modules/{os.uname().release}/modules.dep": "",
}
"""Files that the host has besides those of the tree."""

FOLDERS = ("etc/default", "etc/sysctl.d", "usr/lib/modules", "var/lib/kdump")
"""What a test may change: the host has a copy of its own of these folders."""


@dataclass(frozen=True)
class Chroot:
    """The server, with a key that lets root and `USER` in, and the files that stand for its kernel."""

    server: Sshd
    folder: Path

    def say(self, path: str, text: str) -> None:
        """Change a file of /proc, of /sys or of the host's own folders, such as `proc/cmdline`."""
        # In place: the host has this very file mounted.
        (self.folder / path).write_text(text)


@contextlib.contextmanager
def chroot(folder: Path, crash_bytes: int = 3 * GIB) -> Iterator[Chroot]:
    """Run the host for the length of the block; /var/crash has a file system of `crash_bytes`."""
    if os.geteuid() != 0:
        pytest.skip("a host in namespaces of its own takes root")
    root, unshare = tree(), tool("unshare", package="util-linux")
    for name in FOLDERS:
        shutil.copytree(root / name, folder / name)
    for base, files in (("proc", PROC), ("sys", SYS), ("", OWN)):
        for name, text in files.items():
            path = folder / base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(crash_bytes)
    subprocess.run([tool("mke2fs", package="e2fsprogs"), "-q", "-t", "ext4", disk], check=True)
    server = _configured(folder)
    script, log = folder / "enter", folder / "log"
    script.write_text("\n".join(_script(root, folder)))
    command = [unshare, "--mount", "--pid", "--uts", "--fork", "--kill-child", "sh", "-e", str(script)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        try:
            wait_for_port(server.port)
        except TimeoutError:
            pytest.skip(f"no namespaces or mounts here: {log.read_text().strip()[-200:]}")
        yield Chroot(server, folder)
    finally:
        process.kill()  # and with it, by --kill-child, all that runs in the namespaces
        process.wait(10)


def tree() -> Path:
    """The folder of the tree; made now if it is not there. Parallel tests wait for the one that makes it."""
    recipe = hashlib.sha256(f"{SUITE} {PACKAGES} {INSIDE}".encode()).hexdigest()[:12]
    made = CACHE / f"{SUITE}-{recipe}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(made)
    return made


def _make(made: Path) -> None:
    debootstrap = tool("debootstrap", package="debootstrap")
    for old in (*CACHE.glob(f"{SUITE}-*"), CACHE / "part"):
        shutil.rmtree(old, ignore_errors=True)
    part = CACHE / "part"
    done = subprocess.run(
        [debootstrap, "--variant=minbase", f"--include={PACKAGES}", SUITE, part],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"debootstrap cannot make a tree here: {done.stdout[-200:]}")
    subprocess.run(["chroot", part, "sh", "-c", INSIDE], check=True)
    part.rename(made)


def _configured(folder: Path) -> Sshd:
    """What sshd needs, in a folder that is /run/sshd inside."""
    inside = folder / "sshd"
    inside.mkdir(mode=0o755)
    host_key, user_key = make_key(inside / "host_key"), make_key(folder / "user_key")
    (inside / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    port = free_port()
    kind, key = host_key.with_suffix(".pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    settings = (
        f"Port {port}", "ListenAddress 127.0.0.1", "HostKey /run/sshd/host_key", "PidFile none", "UsePAM no",
        "AuthorizedKeysFile /run/sshd/authorized_keys", "PasswordAuthentication no",
        "Subsystem sftp internal-sftp", "UseDNS no",
    )  # fmt: skip
    (inside / "config").write_text("\n".join(settings) + "\n")
    return Sshd(port, 0, "root", user_key, folder / "known_hosts", folder / "log")


def _script(root: Path, folder: Path) -> Iterator[str]:
    """Builds the host's view of the file system inside its namespaces, and becomes its sshd."""
    inside, ours = shlex.quote(str(root)), shlex.quote(str(folder))
    yield "mount --make-rprivate /"
    yield f"mount --bind {inside} {inside}"
    yield f"mount -t proc proc {inside}/proc"
    for name in PROC:
        yield f"mount --bind {ours}/proc/{name} {inside}/proc/{name}"
    yield f"mount --bind {ours}/sys {inside}/sys"
    for name in FOLDERS:
        yield f"mount --bind {ours}/{name} {inside}/{name}"
    yield f"mount --bind /dev {inside}/dev"
    yield f"mount -t tmpfs -o mode=755 tmpfs {inside}/run"
    yield f"mkdir {inside}/run/sshd && mount --bind {ours}/sshd {inside}/run/sshd"
    yield f"mount -o loop {ours}/disk {inside}/var/crash"
    yield f"chmod 0700 {inside}/var/crash"
    yield "hostname db01"
    yield f"exec chroot {inside} /usr/sbin/sshd -D -e -f /run/sshd/config"
