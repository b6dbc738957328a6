"""The audit of a Debian host with kdump-tools, over real SSH: one thing at a time is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.ipmi import IpmiEndpoint
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.adapters.ssh import SshEndpoint
from collector.lab.bmc import ADMIN, Bmc, Board
from collector.model.audit import HostAudit, Link
from collector.model.host import Credential, Host, Platform, SecretRef
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.run.audit import audit
from tests.peers import chroot
from tests.peers.chroot import MIB, Chroot

# The first of these tests makes the tree, from Debian's archive.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("chroot"), pytest.mark.peer("debootstrap")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroot]:
    with chroot.chroot(tmp_path_factory.mktemp("db01")) as host:
        yield host


@pytest.fixture
def host(running: Chroot) -> Iterator[Chroot]:
    """A host that would dump; what a test changes is as before afterwards."""
    files = [
        path
        for folder in ("proc", "sys", *chroot.FOLDERS)
        for path in (running.folder / folder).rglob("*")
        if path.is_file()
    ]
    before = [(path, path.read_bytes(), path.stat().st_mode) for path in files]
    yield running
    for path, content, mode in before:
        path.write_bytes(content)
        path.chmod(mode)


def audited(host: Chroot, folder: Path, user: str = "root") -> HostAudit:
    key = SecretRef("file", str(host.server.private_key), Path())
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(ADMIN.password)
    credentials = {
        "key": Credential("key", user, private_key=key),
        "bmc": Credential("bmc", ADMIN.name, password=SecretRef("file", str(password), Path())),
    }
    with Bmc(Board()) as bmc:
        ipmi = IpmiEndpoint(address=bmc.address, port=bmc.port, credential="bmc")
        ssh = SshEndpoint(
            address="127.0.0.1", port=host.server.port, known_hosts=host.server.known_hosts, credential="key"
        )
        db01 = Host("db01", Platform.LINUX, "127.0.0.1", (ipmi,), (ssh,))
        found = audit(db01, Connections(credentials, print), folder / "cases", Deadline.after(60))
    assert {step.outcome for step in found.gathered} == {Outcome.SUCCESS}
    return found


def faults(found: HostAudit, *levels: Level) -> set[str]:
    return {verdict.id for verdict in found.verdicts if verdict.level in levels}


def test_a_host_that_would_dump_breaks_no_link(host: Chroot, tmp_path: Path) -> None:
    found = audited(host, tmp_path)
    assert faults(found, Level.CRITICAL) == set()
    # Nobody has tried it yet, Debian's capture kernel reads the host's sysctl.d, and the kernel that runs is
    # the machine's, which may be too new for Debian's makedumpfile.
    assert faults(found, Level.WARNING) - {"TG-13", "TG-14"} == {"KD-12", "NMI-6"}
    assert "/dev/loop" in next(v.reason for v in found.verdicts if v.id == "TG-3")


def test_an_nmi_that_the_kernel_ignores_is_the_weakest_link(host: Chroot, tmp_path: Path) -> None:
    host.say("proc/sys/kernel/unknown_nmi_panic", "0\n")
    host.say("proc/sys/kernel/panic_on_unrecovered_nmi", "0\n")
    found = audited(host, tmp_path)
    assert found.level is Level.CRITICAL
    assert found.reason.startswith(f"{Link.CRASH}: ")
    assert "NMI-1" in faults(found, Level.CRITICAL)


def test_no_crash_kernel_is_the_weakest_link(host: Chroot, tmp_path: Path) -> None:
    host.say("sys/kernel/kexec_crash_loaded", "0\n")
    host.say("sys/kernel/kexec_crash_size", "0\n")
    host.say("proc/cmdline", "root=/dev/sda1 ro quiet\n")
    found = audited(host, tmp_path)
    assert found.reason.startswith(f"{Link.CAPTURE}: ")
    assert {"KD-1", "KD-3"} <= faults(found, Level.CRITICAL)


def test_a_capture_kernel_in_too_little_memory_is_a_warning(host: Chroot, tmp_path: Path) -> None:
    host.say("sys/kernel/kexec_crash_size", f"{64 * MIB}\n")
    found = audited(host, tmp_path)
    assert "KD-2" in faults(found, Level.WARNING, Level.CRITICAL)


def test_the_option_on_the_command_line_endangers_the_dump(host: Chroot, tmp_path: Path) -> None:
    host.say("proc/cmdline", chroot.PROC["cmdline"].replace("quiet", "quiet unknown_nmi_panic"))
    found = audited(host, tmp_path)
    assert "NMI-5" in faults(found, Level.WARNING)


def test_an_option_of_kdump_tools_that_switches_it_off_is_found(host: Chroot, tmp_path: Path) -> None:
    host.say("etc/default/kdump-tools", "USE_KDUMP=0\n")
    found = audited(host, tmp_path)
    assert "TG-1" in faults(found, Level.CRITICAL)


def test_a_file_system_that_is_too_small_is_the_weakest_link(tmp_path: Path) -> None:
    with chroot.chroot(tmp_path / "db01", crash_bytes=32 * MIB) as host:
        found = audited(host, tmp_path)
    assert found.reason.startswith(f"{Link.FITS}: ")
    assert "TG-2" in faults(found, Level.CRITICAL)


def test_what_an_ordinary_user_may_not_read_is_unknown_and_never_ok(host: Chroot, tmp_path: Path) -> None:
    (host.folder / "etc/default/kdump-tools").chmod(0o600)
    found = audited(host, tmp_path, user=chroot.USER)
    assert faults(found, Level.CRITICAL) == set()
    assert {"TG-1", "TG-2", "TG-9"} <= faults(found, Level.UNKNOWN)
    assert "denied" in next(v.reason for v in found.verdicts if v.id == "TG-1")
    # What anybody may read is judged all the same.
    assert {"NMI-1", "KD-1", "KD-3"} <= faults(found, Level.OK)
