"""The lab as one: a server that can hang, its BMC, and the settings that lead to both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.lab.bmc import ADMIN, Bmc
from collector.lab.crash import Script
from collector.lab.host import LabHost

_SETTINGS = """\
cases: ./cases
playbooks: ./playbooks
credentials:
  bmc:  {{username: {bmc_user}, password: file:./bmc-password}}
  root: {{username: {user}, private_key: file:{key}}}
hosts:
  db01:
    platform: linux
    address: {address}
    controllers: [{{type: ipmi, address: {bmc_address}, port: {bmc_port}, credential: bmc}}]
    channels:    [{{type: ssh, port: {port}, credential: root, known_hosts: file:{known_hosts}}}]
"""

# Hides the shipped playbook of that name: these short times are for a server that dumps in seconds.
_PLAYBOOK = """\
name: linux-kdump
summary: kdump through IPMI, with the short times of the demo's own server.
when: {platform: linux, controllers: [ipmi], channels: [ssh]}
steps:
  probe:     {rounds: 2, pause: 1s, deadline: 3s}
  preflight: {deadline: 10s}
  evidence:  {deadline: 20s, collect: [power, clock, event-log, watchdog, stop-sensors]}
  trigger:   {deadline: 10s}
  wait:      {deadline: 60s, every: 0.5s, grace: 5s}
  retrieve:
    deadline: 60s
    stall: 10s
    dumps: [/var/crash/*/vmcore]
    unfinished: [/var/crash/*/vmcore-incomplete]
    beside: [vmcore-dmesg.txt, kexec-dmesg.log]
    logs:
      - {name: previous-boot-journal.txt, command: "journalctl -b -1 -o short-precise --no-pager"}
      - {name: dmesg.txt, command: dmesg}
      - {name: proc-cmdline.txt, file: /proc/cmdline}
  validate: {}
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """The running lab, and the settings file that describes it."""

    host: LabHost
    bmc: Bmc
    settings: Path


@contextlib.contextmanager
def lab(folder: Path, script: Script | None = None) -> Iterator[Lab]:
    """Start the server `db01` and its BMC on loopback ports, and write the settings into `folder`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with LabHost(folder, script or Script()) as host, Bmc(host) as bmc:
        (folder / "playbooks").mkdir(exist_ok=True)
        (folder / "playbooks" / "linux-kdump.yaml").write_text(_PLAYBOOK, encoding="utf-8")
        password = folder / "bmc-password"
        password.touch(mode=0o600)
        password.write_text(ADMIN.password, encoding="utf-8")
        settings = folder / "hang-collector.yaml"
        settings.write_text(
            _SETTINGS.format(
                bmc_user=ADMIN.name,
                user=host.user,
                key=host.private_key,
                address=host.address,
                bmc_address=bmc.address,
                bmc_port=bmc.port,
                port=host.port,
                known_hosts=host.known_hosts,
            ),
            encoding="utf-8",
        )
        yield Lab(host, bmc, settings)
