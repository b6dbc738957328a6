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
        (FILL, "fits"),
    ],
    ids=["all right", "the NMI is ignored", "no capture kernel", "no room"],
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
        lab.run("rm -f /disk/fill; echo 1 > /proc/sys/kernel/unknown_nmi_panic", timeout=120.0)
