"""`make demo-vsphere`: a Windows machine on vSphere hangs, gets one NMI, and its dump comes home over SMB.

Real are our side, the protocols, TLS, and Samba; the ESXi host and the Windows in the machine are doubles.
The host answers SendNMI as real ones were seen to, "not implemented", so the NMI goes by a support bundle.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyVmomi import vmodl

from collector.adapters.hyperv_screen import png_of_rgb565
from tests.demos.stage import Stage
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere_double import PASSWORD, USER, VsphereDouble
from tests.peers.vsphere_world import Vm
from tests.peers.windows_guest import WindowsGuest, windows_guest

_SETTINGS = """\
cases: ./cases
playbooks: ./playbooks
credentials:
  esx:   {{username: {user}, password: file:{password}}}
{credentials}hosts:
  app07:
    platform: windows
    address: 127.0.0.1
    controllers:
      - {{type: vsphere, address: {address}, port: {port}, ca_file: {ca}, vm: APP07, credential: esx}}
    channels: {channels}
"""

# Hides the shipped playbook of that name: these short times are for a machine that dumps in seconds.
_PLAYBOOK = """\
name: windows-crash-dump
summary: A Windows machine on vSphere, with the short times of the demo's own machine.
when: {platform: windows, controllers: [vsphere], channels: [smb, winrm]}
steps:
  probe:     {rounds: 2, pause: 1s, deadline: 5s}
  preflight: {deadline: 60s}
  evidence:  {deadline: 60s, collect: [power, guest, event-log, watchdog, screen]}
  trigger:   {deadline: 60s}
  wait:      {deadline: 120s, every: 1s, grace: 10s}
  retrieve:
    deadline: 120s
    stall: 20s
    dumps: [/C:/Windows/MEMORY.DMP]
    logs:
      - {name: System.evtx, file: /C:/Windows/System32/winevt/Logs/System.evtx}
      - {name: volumes.json, command: Get-CimInstance -ClassName Win32_Volume | ConvertTo-Json -Depth 2}
  validate: {}
"""

_WIDTH, _HEIGHT = 64, 48
_GRAY, _BLUE = b"\x86\x31", b"\xda\x03"  # RGB565, little endian


@dataclass(frozen=True)
class VsphereLab:
    """The running lab, and the settings file that describes it."""

    guest: WindowsGuest
    host: VsphereDouble
    machine: Vm
    settings: Path

    def hang(self) -> None:
        """User mode stops: VMware Tools, too, so the heartbeat is lost."""
        self.guest.hang()
        self.machine.heartbeat = "red"
        self.host.log_event(self.machine, datetime.now(UTC), "Alarm 'Heartbeat': changed from Green to Red")


@contextlib.contextmanager
def vsphere_lab(folder: Path, *, dumps_for: float = 2.0) -> Iterator[VsphereLab]:
    """An ESXi host with the machine APP07 on it, and the settings in `folder`."""
    with (
        windows_guest(folder / "guest", dumps_for=dumps_for) as guest,
        VsphereDouble(folder / "host", vcenter=False) as host,
    ):
        host.rules["SendNMI"] = Rule(Trouble.FAULT, fault=vmodl.fault.NotImplemented())
        machine = host.world.add_vm("APP07", screen=_screen(_GRAY), crashes=dumps_for)

        def crash() -> None:
            guest.receive_nmi()
            machine.heartbeat, machine.screen = "green", _screen(_BLUE)

        machine.on_nmi = crash
        yield VsphereLab(guest, host, machine, _write_settings(folder, guest, host))


def _write_settings(folder: Path, guest: WindowsGuest, host: VsphereDouble) -> Path:
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "windows-crash-dump.yaml").write_text(_PLAYBOOK, encoding="utf-8")
    password = folder / "esx-password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD, encoding="utf-8")
    settings = folder / "hang-collector.yaml"
    settings.write_text(
        _SETTINGS.format(
            user=USER,
            password=password,
            address=ADDRESS,
            port=host.port,
            ca=host.certificate,
            credentials=guest.credentials(),
            channels=guest.settings(),
        ),
        encoding="utf-8",
    )
    return settings


def _screen(color: bytes) -> bytes:
    return png_of_rgb565(color * _WIDTH * _HEIGHT, _WIDTH, _HEIGHT)


def main() -> int:
    """Run it, and say what happens."""
    stage = Stage("demo-vsphere")
    with vsphere_lab(stage.folder) as lab:
        stage.say("app07 is a Windows machine on an ESXi host; both are doubles on loopback.")
        stage.say("While it is well, `audit` says whether it would dump, and records it:")
        stage.command("audit", "app07")
        lab.hang()
        stage.say("Now its user mode hangs: connections are accepted, nobody answers, the heartbeat is lost.")
        code = stage.command("collect", "app07", "--confirm", "app07")
        stage.say(f"NMIs that arrived at the machine: {lab.guest.nmis}")
    stage.show_cases()
    return code


if __name__ == "__main__":
    sys.exit(main())
