"""The lab is what it claims to be: its hangs look like hangs, and one NMI brings one whole vmcore."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.e2e.lab import HANGS, GuestLab
from tests.peers.server import tool

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

OUTSIDE = {
    "sshd-stopped": (True, "connected"),
    "user-frozen": (True, "connected"),
    "irq-off": (False, "no answer"),
}
"""What each hang shows of itself over the network: whether it answers ping, and how far SSH comes."""


def send_nmi(lab: GuestLab) -> None:
    before = lab.nmi_count()
    answer = lab.bmc.ipmitool("chassis", "power", "diag")
    assert answer.returncode == 0, answer.stderr
    assert lab.nmi_count() == before + 1


def dmesg_of(vmcore: Path) -> str:
    text = vmcore.with_suffix(".dmesg")
    makedumpfile = tool("makedumpfile", package="makedumpfile")
    subprocess.run([makedumpfile, "--dump-dmesg", vmcore, text], check=True, capture_output=True)
    return text.read_text(errors="replace")


def test_the_guest_is_armed(lab: GuestLab) -> None:
    assert lab.run("cat /sys/kernel/kexec_crash_loaded /proc/sys/kernel/unknown_nmi_panic").split() == [
        "1",
        "1",
    ]
    assert lab.ssh_reach() == "banner"
    if lab.network.transparent:
        assert lab.answers_ping()
    assert "is on" in lab.bmc.ipmitool("chassis", "power", "status").stdout


def test_the_guest_has_the_commands_that_a_collector_uses(lab: GuestLab) -> None:
    lab.run(
        "cat /proc/uptime && ls /var/crash && dmesg | tail -1 && date && stat / && uname -a && df /var/crash"
    )
    assert lab.run("printf dump | sha256sum").startswith("b6ca0868bca6a292")


@pytest.mark.parametrize("mode", HANGS)
def test_a_hung_guest_leaves_one_whole_vmcore_after_one_nmi(lab: GuestLab, mode: str, tmp_path: Path) -> None:
    boot_id, before = lab.boot_id(), set(lab.vmcores())
    lab.hang(mode)

    answers_ping, reach = OUTSIDE[mode]
    if lab.network.transparent:
        assert lab.ssh_reach() == reach
        assert lab.answers_ping() == answers_ping

    send_nmi(lab)
    lab.wait_ready(other_than=boot_id)

    (dump,) = set(lab.vmcores()) - before
    assert Path(dump).name == "vmcore"
    vmcore = lab.fetch(dump, tmp_path / "vmcore")
    assert lab.run(f"sha256sum {dump}").split()[0] == hashlib.sha256(vmcore.read_bytes()).hexdigest()
    with vmcore.open("rb") as file:
        assert file.read(8) == b"KDUMP   "  # makedumpfile's diskdump_mod.h: KDUMP_SIGNATURE
    dmesg = dmesg_of(vmcore)
    assert "NMI: Not continuing" in dmesg
    assert ("hang_init" in dmesg) == (mode == "irq-off")
    assert "NMI: Not continuing" in lab.run(f"cat {Path(dump).parent}/vmcore-dmesg.txt")
    # A crash kernel that panics on an NMI would lose the dump to a second one.
    crash_kernel = lab.run(f"grep -m1 'Kernel command line' {Path(dump).parent}/kexec-dmesg.log")
    assert "unknown_nmi_panic" not in crash_kernel


def test_without_a_crash_kernel_the_guest_reboots_and_leaves_nothing(lab: GuestLab) -> None:
    boot_id, before = lab.boot_id(), lab.vmcores()
    lab.unload_kdump()
    send_nmi(lab)
    lab.wait_ready(other_than=boot_id)
    assert lab.vmcores() == before


def test_a_reset_frees_a_hung_guest_and_leaves_nothing(lab: GuestLab) -> None:
    boot_id, before = lab.boot_id(), lab.vmcores()
    lab.hang("irq-off")
    lab.reset()
    lab.wait_ready(other_than=boot_id)
    assert lab.vmcores() == before


def test_a_kernel_that_ignores_the_nmi_goes_on(lab: GuestLab) -> None:
    boot_id = lab.boot_id()
    lab.panic_on_nmi(on=False)
    try:
        send_nmi(lab)
        assert "Dazed and confused" in lab.run("sleep 2; dmesg | tail -20")
        assert lab.boot_id() == boot_id
    finally:
        lab.panic_on_nmi(on=True)
