"""The audit's script in real shells, over files made for the test."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.answers import CommandResult
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.facts import linux
from collector.facts.linux_script import COMMAND, NAMES
from collector.model.fact import Facts, value

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
RELEASE = platform.release()
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the script is for a POSIX shell")
SHELLS = [shell for shell in ("dash", "bash --posix", "busybox sh", "ksh") if shutil.which(shell.split()[0])]


class Local:
    """A shell on this machine, whose files are those under a folder."""

    def __init__(self, root: Path, shell: str = "sh", user: int | None = None) -> None:
        self._root, self._shell = root, shell
        self._login: dict[str, Any] = (
            {} if user is None else {"user": user, "group": user, "extra_groups": []}
        )

    def run(self, command: str, deadline: Deadline, *, limit: int = 0) -> CommandResult:
        moved = re.sub(
            r'(?<=[\s"])/(?=etc|lib|proc|root|sys|boot|var|usr|run|sbin)', f"{self._root}/", command
        )
        command = moved.replace("sh -c", f"{self._shell} -c", 1)
        done = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, timeout=60, check=False, **self._login
        )
        return CommandResult(done.returncode, done.stdout[:limit], done.stderr, len(done.stdout) > limit)


class Says:
    """A shell whose answer is fixed."""

    def __init__(self, answer: bytes, stderr: bytes = b"", *, truncated: bool = False) -> None:
        self._result = CommandResult(1, answer, stderr, truncated)

    def run(self, command: str, deadline: Deadline, *, limit: int = 0) -> CommandResult:
        return self._result


def put(root: Path, path: str, content: str | bytes = "", mode: int = 0o644) -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="root-") as name:
        Path(name).chmod(0o755)
        for folder in ("etc", "proc", "sys", "boot", "var/crash", "usr", "run"):
            (Path(name) / folder).mkdir(parents=True)
        yield Path(name)


def ask(root: Path, shell: str = "sh", user: int | None = None) -> Facts:
    return linux.gather_all(Local(root, shell, user), "ssh", Deadline.after(60))


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_the_same(root: Path, shell: str) -> None:
    put(root, "/proc/sys/kernel/sysrq", "438\n")
    put(
        root,
        "/etc/kdump.conf",
        "path /var/crash  \n\n# it's a comment\ncore_collector makedumpfile \\t -d 31",
    )
    put(root, "/etc/sysctl.d/10-a.conf", "vm.swappiness = 1\nkernel.unknown_nmi_panic = 1\n")
    put(root, "/etc/sysctl.conf", "kernel.panic_on_io_nmi=1")
    put(root, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", b"\x06\0\0\0\1")
    put(root, "/sys/class/watchdog/watchdog0/state", "active\n")
    put(root, "/sys/module/hpwdt/parameters/kdumptimeout", "-1\n")
    put(root, "/proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\nvendor_id\t: other\n")
    put(root, f"/lib/modules/{RELEASE}/modules.dep")
    put(root, "/root/.ssh/known_hosts")
    put(root, "/sys/class/net/eno1/device")
    put(root, "/sys/fs/cgroup/system.slice/kubelet.service/cgroup.procs")
    (root / "var/crash").chmod(0o750)
    facts = ask(root, shell)
    assert set(facts) == NAMES
    assert value(facts, "cpu_vendor") == "vendor_id\t: AuthenticAMD"
    assert value(facts, "crash_mode") == "750"
    for name, path in (
        ("modules", f"/lib/modules/{RELEASE}"),
        ("ssh_files", "/root/.ssh/known_hosts"),
        ("interfaces", "/sys/class/net/eno1/device"),
        ("agents", "/sys/fs/cgroup/system.slice/kubelet.service"),
    ):
        assert value(facts, name) == f"{root}{path}"
    assert value(facts, "sysrq") == "438"
    assert value(facts, "kdump_conf") == (
        "path /var/crash\n\n# it's a comment\ncore_collector makedumpfile \\t -d 31"
    )
    assert (value(facts, "nmi_settings") or "").replace(str(root), "") == (
        "/etc/sysctl.d/10-a.conf:kernel.unknown_nmi_panic = 1\n/etc/sysctl.conf:kernel.panic_on_io_nmi=1"
    )
    assert (value(facts, "secure_boot") or "").endswith("\x01")
    assert (value(facts, "watchdogs") or "").endswith("/sys/class/watchdog/watchdog0/state:active")
    assert value(facts, "hpwdt_kdumptimeout") == "-1"
    assert (value(facts, "drivers") or "").endswith("/sys/module/hpwdt")
    assert facts["kexec_crash_loaded"].missing == "absent"
    assert facts["cluster"].missing == "absent"
    assert value(facts, "release") == RELEASE


def test_what_changed_after_the_image_is_named(root: Path) -> None:
    image = put(root, f"/boot/initramfs-{RELEASE}kdump.img")
    conf = put(root, "/etc/kdump.conf", "path /var/crash\n")
    os.utime(conf, (image.stat().st_mtime - 60,) * 2)
    assert ask(root)["kdump_newer"].missing == "none"
    os.utime(conf, (image.stat().st_mtime + 60,) * 2)
    assert value(ask(root), "kdump_newer") == str(conf)
    image.unlink()
    assert ask(root)["kdump_newer"].missing == "no image"


def test_an_identity_that_is_newer_than_the_image_came_after_it(root: Path) -> None:
    image = put(root, f"/boot/initramfs-{RELEASE}kdump.img")
    identity = put(root, "/etc/machine-id", "0" * 32)
    os.utime(identity, (image.stat().st_mtime - 60,) * 2)
    assert ask(root)["identity_newer"].missing == "none"
    os.utime(identity, (image.stat().st_mtime + 60,) * 2)
    assert value(ask(root), "identity_newer") == str(identity)


def test_makedumpfile_is_found_where_an_ordinary_user_does_not_look(root: Path) -> None:
    if not shutil.which("makedumpfile", path="/usr/bin:/usr/sbin:/sbin"):
        pytest.skip("peer missing: makedumpfile")
    assert re.match(r"makedumpfile: version \d+\.\d+\.\d+", value(ask(root), "makedumpfile_version") or "")


def test_what_only_root_may_read_is_denied_and_never_absent(root: Path) -> None:
    put(root, "/etc/sysconfig/kdump", "KDUMP_SAVEDIR=/var/crash\n", 0o000)
    put(root, "/etc/sysctl.d/90-nmi.conf", "kernel.unknown_nmi_panic = 1\n", 0o000)
    put(root, "/var/lib/pacemaker/cib/cib.xml", "<cib/>")
    put(root, "/root/.ssh/kdump_id_rsa")
    closed = (root / "var/lib/pacemaker", root / "var/crash", root / "root")
    for folder in closed:
        folder.chmod(0o000)
    try:
        facts = ask(root, user=65534 if os.geteuid() == 0 else None)  # nothing is denied to root
    finally:
        for folder in closed:
            folder.chmod(0o755)
    for name in ("kdump_sysconfig", "nmi_settings", "fence_kdump", "dumps", "maintenance", "ssh_files"):
        assert facts[name].missing == "denied", name
    assert value(facts, "folders") == f"{root}/var/crash"
    assert facts["kdump_conf"].missing == "absent"


def test_a_file_that_is_too_long_is_missing_rather_than_half(root: Path) -> None:
    put(root, "/proc/mounts", "tmpfs /run tmpfs rw 0 0\n" * 2500)
    assert ask(root)["mounts"].missing == "too long"


def test_a_name_with_a_line_break_makes_no_fact(root: Path) -> None:
    put(root, "/var/crash/x\nkexec_crash_loaded=1\n/vmcore")
    put(root, "/var/crash/202611210312/dump.202611210312")
    facts = ask(root)
    assert facts["kexec_crash_loaded"].missing == "absent"
    assert value(facts, "dumps") == f"{root}/var/crash/202611210312/dump.202611210312"


def test_the_script_writes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    ask(root)
    assert sorted(root.rglob("*")) == before
    words = set(re.findall(r"[\w-]+", COMMAND))
    assert not words & {"rm", "mv", "tee", "touch", "systemctl", "kdumpctl", "mkdumprd", "makedumprd", "sudo"}
    assert re.findall(r">+\s*[^&\s]+", COMMAND.replace("2>/dev/null", "")) == []


def test_passwords_are_blotted_out() -> None:
    output = (
        b"kdump_tools=FTP_PASSWORD='hunter2 and more'\n"
        b'kdump_sysconfig=KDUMP_SAVEDIR="ftp://dump:hun@ter2@192.0.2.9/d"\ncmdline=ro cifs_passwd=hunter2\n'
    )
    facts = linux.parse(output, "ssh", NOW, NAMES)
    assert "hun" not in repr(facts)
    assert "ftp://dump:***@192.0.2.9/d" in (value(facts, "kdump_sysconfig") or "")


def test_an_answer_that_was_cut_off_is_no_answer() -> None:
    facts = linux.gather_all(
        Says(b"sysrq=438\nmounts=/dev/sda1 / xfs rw\nmounts=/dev/sdb1 /va"), "ssh", Deadline.after(1)
    )
    assert value(facts, "sysrq") == "438"
    assert facts["mounts"].missing == facts["space"].missing == "the answer was cut off"


def test_values_after_the_reason_that_closed_them_do_not_count() -> None:
    facts = linux.parse(b"drivers!absent\ndrivers=/a\ndrivers!denied\ndrivers=/b\n", "ssh", NOW, NAMES)
    assert facts["drivers"].missing == "denied"


def test_a_restricted_shell_is_quoted_in_the_error() -> None:
    with pytest.raises(PeerFailedError, match="no facts, and said: This account is currently not available"):
        linux.gather_all(Says(b"This account is\n currently not available.\n"), "ssh", Deadline.after(1))


@given(
    st.binary(max_size=2000)
    | st.lists(st.tuples(st.sampled_from(sorted(NAMES)), st.sampled_from("=!"), st.binary(max_size=30))).map(
        lambda rows: b"".join(name.encode() + kind.encode() + text + b"\n" for name, kind, text in rows)
    )
)
def test_no_output_of_a_host_is_more_than_facts(output: bytes) -> None:
    facts = linux.parse(output, "ssh", NOW, NAMES)
    assert set(facts) <= NAMES
    assert all((fact.value is None) == bool(fact.missing) for fact in facts.values())


def test_megabytes_without_a_line_break_are_cut() -> None:
    facts = linux.parse(b"cmdline=" + b"://u:" * 1_000_000 + b"\nsysrq=1\n", "ssh", NOW, NAMES)
    assert len(value(facts, "cmdline") or "") <= 4096
    assert value(facts, "sysrq") == "1"
