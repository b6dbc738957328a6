"""The whole product on a real kernel: it hangs, gets one NMI over IPMI, dumps, and the dump comes home."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from collector.case.folder import CaseFolder
from collector.cli.exit_codes import ExitCode
from tests.e2e.lab import HANGS, GuestLab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SETTINGS = """\
cases: ./cases
playbooks: ./playbooks
credentials:
  bmc:  {{username: {bmc.username}, password: file:./bmc-password}}
  root: {{username: root, private_key: file:{lab.private_key}}}
hosts:
  guest:
    platform: linux
    address: {lab.ssh_address}
    controllers: [{{type: ipmi, address: {bmc.address}, port: {bmc.port}, credential: bmc}}]
    channels: [{{type: ssh, port: {lab.ssh_port}, credential: root, known_hosts: file:{lab.known_hosts}}}]
"""

PLAYBOOK = """\
name: linux-kdump
summary: The shipped playbook's places with the times of a small guest.
when: {platform: linux, controllers: [ipmi], channels: [ssh]}
steps:
  probe:     {rounds: 2, pause: 1s, deadline: 5s}
  preflight: {deadline: 30s}
  evidence:  {deadline: 60s, collect: [power, event-log, watchdog, stop-sensors]}
  trigger:   {deadline: 15s}
  wait:      {deadline: 5m, every: 1s, grace: 10s}
  retrieve:
    deadline: 5m
    stall: 30s
    dumps: [/var/crash/*/vmcore, /var/crash/*/dump.*]
    unfinished: [/var/crash/*/vmcore-incomplete, /var/crash/*/dump-incomplete]
    beside: [vmcore-dmesg.txt, kexec-dmesg.log]
    logs:
      - {name: dmesg.txt, command: dmesg}
      - {name: proc-cmdline.txt, file: /proc/cmdline}
      - {name: journal.txt, command: journalctl -b -1}
  validate: {}
"""


class Collector:
    """The command line, run where the guest and its BMC can be reached."""

    def __init__(self, lab: GuestLab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "linux-kdump.yaml").write_text(PLAYBOOK)
        (folder / "bmc-password").touch(mode=0o600)
        (folder / "bmc-password").write_text(lab.bmc.password)
        (folder / "hang-collector.yaml").write_text(SETTINGS.format(lab=lab, bmc=lab.bmc))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("hang-collector")
        return subprocess.run(
            [*self.lab.command_prefix, script, *arguments, "--config", self.folder / "hang-collector.yaml"],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def probe(self) -> dict[str, str]:
        done = self("probe", "guest", "--format", "json")
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)["hosts"]
        return dict(row)

    def case(self) -> CaseFolder:
        (path,) = (self.folder / "cases").glob("*-guest")
        return CaseFolder.open(path)


@pytest.fixture
def collector(lab: GuestLab, tmp_path: Path) -> Collector:
    return Collector(lab, tmp_path)


@pytest.mark.parametrize("mode", HANGS)
def test_the_dump_of_a_hung_guest_comes_home_after_one_nmi(collector: Collector, mode: str) -> None:
    lab = collector.lab
    if not lab.network.transparent:
        pytest.skip(f"user-mode networking answers for the guest: {lab.network.reason}")
    assert collector.probe()["diagnosis"] == "responsive"
    nmis = lab.nmi_count()
    lab.hang(mode)

    seen = collector.probe()["diagnosis"]
    assert seen == ("hung-kernel-or-network" if mode == "irq-off" else "hung-software")
    done = collector("collect", "guest", "--confirm", "guest", "--no-input")

    assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
    assert lab.nmi_count() == nmis + 1
    case = collector.case()
    (dump,) = case.path.glob("data/dump/*/vmcore")
    (path,) = [e.data["path"] for e in case.journal.entries() if e.event == "dump.found"]
    assert lab.run(f"sha256sum {path}").split()[0] in (case.path / "manifest-sha256.txt").read_text()
    (words,) = case.path.glob("data/logs/*/vmcore-dmesg.txt")
    assert "NMI: Not continuing" in words.read_text(errors="replace")
    (log,) = case.path.glob("data/logs/*/dmesg-from-the-dump.txt")
    assert log.read_text(errors="replace") == words.read_text(errors="replace")
    subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=case.path, check=True)
    assert dump.stat().st_size > 1_000_000


def test_a_guest_that_works_gets_no_nmi(collector: Collector) -> None:
    nmis, actions = collector.lab.nmi_count(), collector.lab.bmc.actions()
    done = collector("collect", "guest", "--confirm", "guest")
    assert done.returncode == ExitCode.NOT_HUNG, done.stdout + done.stderr
    assert collector.lab.nmi_count() == nmis
    assert collector.lab.bmc.actions() == actions


def test_recorded_facts_keep_an_nmi_from_a_guest_that_would_not_dump(collector: Collector) -> None:
    lab = collector.lab
    boot_id, nmis = lab.boot_id(), lab.nmi_count()
    lab.unload_kdump()
    assert collector.probe()["diagnosis"] == "responsive"
    lab.hang("sshd-stopped")
    refused = collector("collect", "guest", "--confirm", "guest")
    assert refused.returncode == ExitCode.REFUSED, refused.stdout + refused.stderr
    assert "no capture kernel" in refused.stdout
    assert lab.nmi_count() == nmis

    accepted = collector("collect", "guest", "--confirm", "guest", "--accept", "kdump-armed")
    assert accepted.returncode == ExitCode.NO_DUMP, accepted.stdout + accepted.stderr
    assert lab.nmi_count() == nmis + 1
    lab.wait_ready(other_than=boot_id)
