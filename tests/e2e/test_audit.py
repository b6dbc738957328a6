"""What the audit predicts, held against what a real kernel does with a real NMI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lab import GuestLab
from tests.e2e.test_collect import Collector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DECIDING = ("becomes a crash", "capture armed", "fits")

# The guest is none of the distributions that the audit knows. It dumps as RHEL does, so it says so.
AS_RHEL = "echo ID=rhel > /etc/os-release; echo path /var/crash > /etc/kdump.conf"
FILL = "dd if=/dev/zero of=/disk/fill bs=1M 2>/dev/null; sync; true"

TOO_SMALL = "kexec -p -u; echo $((48 * 1048576)) > /sys/kernel/kexec_crash_size; arm-kdump"


@pytest.fixture
def collector(lab: GuestLab, tmp_path: Path) -> Collector:
    return Collector(lab, tmp_path)


def predicted(collector: Collector) -> dict[str, str]:
    """The level of each link of the chain that the guest decides."""
    done = collector("audit", "guest", "--format", "json")
    (row,) = json.loads(done.stdout)["hosts"]
    assert all(step["outcome"] == "success" for step in row["gathered"]), row["gathered"]
    return {link["link"]: link["level"] for link in row["links"] if link["link"] in DECIDING}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("true", None),
        ("echo 0 > /proc/sys/kernel/unknown_nmi_panic", "becomes a crash"),
        ("kexec -p -u", "capture armed"),
        (f"{TOO_SMALL}; true", "capture armed"),
        (FILL, "fits"),
    ],
    ids=["all right", "the NMI is ignored", "no capture kernel", "a small capture kernel", "no room"],
)
def test_what_the_audit_predicts_is_what_an_nmi_does(
    collector: Collector, change: str, broken: str | None
) -> None:
    lab = collector.lab
    lab.run(f"{AS_RHEL}; {change}", timeout=120.0)
    try:
        links = predicted(collector)
        assert [link for link, level in links.items() if level == "critical"] == ([broken] if broken else [])

        boot_id, before = lab.boot_id(), lab.vmcores()
        lab.bmc.ipmitool("chassis", "power", "diag")
        if broken == "becomes a crash":
            assert "Dazed and confused" in lab.run("sleep 2; dmesg | tail -20")
            assert lab.boot_id() == boot_id
        else:
            lab.wait_ready(other_than=boot_id)
        whole = [path for path in set(lab.vmcores()) - set(before) if path.endswith("/vmcore")]
        assert bool(whole) == (broken is None)
    finally:
        # The next test's crash kernel sees the disk as it is, not as this kernel remembers it.
        lab.run("rm -f /disk/fill; sync; echo 1 > /proc/sys/kernel/unknown_nmi_panic", timeout=120.0)


def test_a_second_nmi_does_what_the_audit_warned_of(collector: Collector) -> None:
    """The kernel's own command line has the option; kdump of RHEL hands all of it on."""
    lab = collector.lab
    lab.run(AS_RHEL)
    lab.arm_kdump("unknown_nmi_panic")
    done = collector("audit", "guest", "--format", "json")
    (row,) = json.loads(done.stdout)["hosts"]
    levels = {verdict["id"]: verdict["level"] for verdict in row["verdicts"]}
    assert (levels["KD-1"], levels["NMI-5"]) == ("ok", "warning")

    boot_id, before = lab.boot_id(), lab.vmcores()
    seen = lab.count_words("crash kernel is up")
    lab.bmc.ipmitool("chassis", "power", "diag")
    lab.wait_for_words("crash kernel is up", more_than=seen)
    lab.bmc.ipmitool("chassis", "power", "diag")
    lab.wait_ready(other_than=boot_id)
    assert [path for path in set(lab.vmcores()) - set(before) if path.endswith("/vmcore")] == []
