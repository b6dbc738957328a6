"""A Windows machine on vSphere from the hang to the case: SOAP, the support bundle, WinRM and SMB as one."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pytest import CaptureFixture

from collector.case.folder import CaseFolder, find
from collector.cli.app import run
from tests.demos.vsphere import VsphereLab, vsphere_lab
from tests.peers import vsphere_double, wsman
from tests.peers.server import free_port
from tests.peers.soap_server import ADDRESS


def collect(lab: VsphereLab, *options: str) -> tuple[int, CaseFolder]:
    code = run(("collect", "app07", "--config", str(lab.settings), *options))
    (case,) = find(lab.settings.parent / "cases")
    return code, CaseFolder.open(case)


def test_one_nmi_brings_memory_dmp_home(tmp_path: Path, capfd: CaptureFixture[str]) -> None:
    with vsphere_lab(tmp_path, dumps_for=1.0) as lab:
        assert run(("audit", "app07", "--config", str(lab.settings))) in (0, 1)
        lab.hang()
        code, case = collect(lab, "--confirm", "app07")
        assert (lab.host.nmis(), lab.guest.nmis) == (1, 1)
        dump = (lab.guest.drive / "Windows" / "MEMORY.DMP").read_bytes()
        secrets = (
            vsphere_double.PASSWORD,
            wsman.PASSWORD,
            lab.guest.smb.password if lab.guest.smb else "",
        )
    assert code == 0, capfd.readouterr().out
    assert (case.path / "data" / "dump" / "Windows" / "MEMORY.DMP").read_bytes() == dump
    assert (case.path / "data" / "evidence" / "before-screen.png").read_bytes().startswith(b"\x89PNG")
    (checked,) = [entry.data for entry in case.journal.entries() if entry.event == "dump.checked"]
    assert checked["state"] == "complete"
    (trigger,) = [entry.data for entry in case.journal.entries() if entry.event == "trigger"]
    assert "SendNMI: NotImplemented; vm-support.cgi: " in str(trigger["detail"])
    said = capfd.readouterr()
    texts = [file.read_bytes() for file in case.path.rglob("*") if file.is_file()]
    texts += [said.out.encode(), said.err.encode()]
    assert not any(secret.encode() in text for secret in secrets for text in texts)


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    with vsphere_lab(tmp_path) as lab:
        run(("audit", "app07", "--config", str(lab.settings)))
        lab.hang()
        code, case = collect(lab, "--dry-run")
        assert lab.host.nmis() == 0
        assert lab.host.calls["SendNMI"] == lab.host.calls["AcquireGenericServiceTicket"] == 0
    assert code == 0
    assert not [entry for entry in case.journal.entries() if entry.event == "claim"]


@pytest.mark.parametrize("silent", [False, True], ids=["closed", "silent"])
def test_a_vcenter_that_is_down_is_gone_around_where_the_esxi_host_is_listed(
    tmp_path: Path, *, silent: bool
) -> None:
    with vsphere_lab(tmp_path, dumps_for=1.0) as lab, socket.create_server((ADDRESS, 0)) as nobody:
        port = nobody.getsockname()[1] if silent else free_port()
        written = lab.settings.read_text(encoding="utf-8")
        host = next(line for line in written.splitlines() if "type: vsphere" in line)
        vcenter = host.replace(f"port: {lab.host.port}", f"port: {port}")
        lab.settings.write_text(written.replace(host, f"{vcenter}\n{host}"), encoding="utf-8")
        playbook = tmp_path / "playbooks" / "windows-crash-dump.yaml"
        playbook.write_text(playbook.read_text(encoding="utf-8").replace("60s", "15s"), encoding="utf-8")
        lab.hang()
        code, case = collect(lab, "--confirm", "app07")
        assert (lab.host.nmis(), lab.guest.nmis) == (1, 1)
    assert code == 0
    assert (case.path / "data" / "evidence" / "before-guest.json").exists()
