"""`make demo-hyperv`: a Windows machine on Hyper-V hangs, gets one NMI, and its dump comes home over SMB.

Real are our side, the protocols, and Samba; the Hyper-V host and the Windows in the machine are doubles.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.demos.stage import Stage
from tests.peers.hyperv_host import HypervHost, Machine
from tests.peers.windows_guest import WindowsGuest, windows_guest
from tests.peers.wsman import Wsman, wsman
from tests.peers.wsman_powershell import Answer

_SETTINGS = """\
cases: ./cases
playbooks: ./playbooks
credentials:
{credentials}hosts:
  sql01:
    platform: windows
    address: 127.0.0.1
    controllers: [{{type: hyperv, address: 127.0.0.1, port: {port}, tls: false, vm: SQL01, credential: win}}]
    channels: {channels}
"""

# Hides the shipped playbook of that name: these short times are for a machine that dumps in seconds.
_PLAYBOOK = """\
name: windows-crash-dump
summary: A Windows machine on Hyper-V, with the short times of the demo's own machine.
when: {platform: windows, controllers: [hyperv], channels: [smb, winrm]}
steps:
  probe:     {rounds: 2, pause: 1s, deadline: 5s}
  preflight: {deadline: 60s}
  evidence:  {deadline: 60s, collect: [power, event-log, screen]}
  trigger:   {deadline: 30s}
  wait:      {deadline: 120s, every: 1s, grace: 10s}
  retrieve:
    deadline: 120s
    stall: 20s
    dumps: [/C:/Windows/MEMORY.DMP]
    logs:
      - {name: System.evtx, event_log: System, before: 72h}
      - {name: Whea.evtx, event_log: Microsoft-Windows-Kernel-WHEA/Operational}
      - {name: Cluster.evtx, event_log: Microsoft-Windows-FailoverClustering/Operational}
      - {name: Cluster.log, cluster_log: true, before: 2h}
      - {name: volumes.json, command: Get-CimInstance -ClassName Win32_Volume | ConvertTo-Json -Depth 2}
  validate: {}
"""


class _Host(HypervHost):
    """Passes the NMI on to the machine."""

    guest: WindowsGuest

    def _hyperv_nmi(self, id: str) -> Answer:
        answer = super()._hyperv_nmi(id)
        if self.nmis:
            self.guest.receive_nmi()
        return answer


@dataclass(frozen=True)
class HypervLab:
    """The running lab, and the settings file that describes it."""

    guest: WindowsGuest
    host: HypervHost
    server: Wsman
    settings: Path


@contextlib.contextmanager
def hyperv_lab(folder: Path, *, dumps_for: float = 2.0) -> Iterator[HypervLab]:
    """A Hyper-V host with the machine SQL01 on it, and the settings in `folder`."""
    host = _Host(machines={"SQL01": [Machine("6f1d1b0e-0000-4000-8000-000000000001")]})
    with windows_guest(folder / "guest", dumps_for=dumps_for) as guest:
        host.guest = guest
        with wsman(folder / "host", host) as server:
            (folder / "playbooks").mkdir()
            (folder / "playbooks" / "windows-crash-dump.yaml").write_text(_PLAYBOOK, encoding="utf-8")
            settings = folder / "hang-collector.yaml"
            settings.write_text(
                _SETTINGS.format(
                    credentials=guest.credentials(), port=server.port, channels=guest.settings()
                ),
                encoding="utf-8",
            )
            yield HypervLab(guest, host, server, settings)


def main() -> int:
    """Run it, and say what happens."""
    stage = Stage("demo-hyperv")
    with hyperv_lab(stage.folder) as lab:
        stage.say("sql01 is a Windows machine on the Hyper-V host; both are doubles on loopback.")
        stage.say("While it is well, `audit` says whether it would dump, and records it:")
        stage.command("audit", "sql01")
        lab.guest.hang()
        stage.say("Now its user mode hangs: connections are accepted, and nobody answers.")
        code = stage.command("collect", "sql01", "--confirm", "sql01")
        stage.say(f"NMIs that arrived at the machine: {lab.guest.nmis}")
        stage.say(f"Folders of ours that are left on it: {len(lab.guest.exports.folders)}")
    for log in sorted(stage.folder.glob("cases/*/data/logs/*")):
        stage.say(f"{log.name}, {log.stat().st_size} bytes, is in the case")
    stage.show_cases()
    return code


if __name__ == "__main__":
    sys.exit(main())
