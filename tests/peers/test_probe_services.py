"""The probe against real servers: alive, stopped, and mistaken for one another."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from collector.adapters.answers import PowerState
from collector.probe.diagnosis import ControllerView, Diagnosis, diagnose
from collector.probe.io import observe
from collector.probe.observation import Observation, Reach, Target
from tests.peers.frozen import frozen
from tests.peers.https_server import https_server
from tests.peers.ipmi_sim import ipmi_sim
from tests.peers.samba import smbd
from tests.peers.server import free_port
from tests.peers.sshd import sshd
from tests.peers.xrdp import xrdp

LOOPBACK = "127.0.0.1"
ON = ControllerView(power=PowerState.ON)


def ask(protocol: str, port: int, seconds: float = 20.0) -> Observation:
    [seen] = observe([Target(protocol, LOOPBACK, port)], seconds)
    return seen


def test_openssh_proves_itself_by_its_key_exchange(tmp_path: Path) -> None:
    with sshd(tmp_path) as server:
        seen = ask("ssh", server.port)
        log = server.log.read_text()
    assert seen.reach is Reach.PROVED
    assert seen.evidence["banner"].startswith("SSH-2.0-OpenSSH")
    assert "curve25519" in seen.evidence["key_exchange"]
    assert "error" not in log.lower(), "a probe must not look like an attack in the server's log"


def test_samba_proves_itself_by_its_challenge(tmp_path: Path) -> None:
    with smbd(tmp_path) as server:
        seen = ask("smb", server.port)
    assert seen.reach is Reach.PROVED
    assert seen.evidence["dialect"] == "3.1.1"
    assert seen.evidence["system_time"].startswith("20")


@pytest.mark.parametrize(
    ("oldest", "newest"), [("SMB2_02", "SMB2_10"), ("SMB3_00", "SMB3_00"), ("SMB3_11", "SMB3_11")]
)
def test_samba_of_every_age_proves_itself(tmp_path: Path, oldest: str, newest: str) -> None:
    with smbd(tmp_path, f"server min protocol = {oldest}", f"server max protocol = {newest}") as server:
        assert ask("smb", server.port).reach is Reach.PROVED


def test_samba_of_the_first_age_only_is_seen_to_live(tmp_path: Path) -> None:
    with smbd(tmp_path, "server min protocol = NT1", "server max protocol = NT1") as server:
        seen = ask("smb", server.port)
    assert seen.reach < Reach.PROVED
    assert not diagnose([seen], ON).diagnosis.hung


def test_xrdp_proves_itself_by_its_confirm(tmp_path: Path) -> None:
    with xrdp(tmp_path) as server:
        seen = ask("rdp", server.port)
    assert seen.reach is Reach.PROVED
    assert seen.evidence == {"security": "TLS"}


def test_a_web_server_proves_itself_whatever_its_certificate(tmp_path: Path) -> None:
    with https_server(tmp_path, days=-30) as port:
        seen = ask("https", port)
    assert seen.reach is Reach.PROVED
    assert seen.evidence["http_status"] == "200"


def test_a_web_server_that_fails_does_not_prove_itself(tmp_path: Path) -> None:
    with https_server(tmp_path, status=503) as port:
        seen = ask("https", port)
    assert (seen.reach, seen.evidence["failure"]) == (Reach.SPOKE, "HTTP 503")
    assert diagnose([seen], ON).diagnosis is Diagnosis.DEGRADED


def test_ipmi_sim_proves_the_controller_and_nothing_of_the_host(tmp_path: Path) -> None:
    with ipmi_sim(tmp_path) as bmc:
        seen = ask("rmcp", bmc.port)
        assert bmc.nmi_count() == 0
        assert bmc.actions() == []
    assert seen.reach is Reach.PROVED
    assert seen.evidence["ipmi"] == "2.0"
    assert diagnose([seen], ON).diagnosis is Diagnosis.UNKNOWN


def test_stopped_servers_complete_the_handshake_and_come_out_as_hung(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ssh = stack.enter_context(sshd(tmp_path / "ssh"))
        rdp = stack.enter_context(xrdp(tmp_path / "rdp"))
        smb = stack.enter_context(smbd(tmp_path / "smb"))
        targets = [
            Target("ssh", LOOPBACK, ssh.port),
            Target("rdp", LOOPBACK, rdp.port),
            Target("smb", LOOPBACK, smb.port),
        ]
        with ExitStack() as ice:
            for server in (ssh, rdp, smb):
                ice.enter_context(frozen(server.pid))
            stopped = observe(targets, 4.0)
            one_goes_on = [*stopped[1:]]
        alive = observe(targets, 30.0)
    assert [seen.reach for seen in stopped] == [Reach.CONNECTED] * 3
    found = diagnose(stopped, ON)
    assert found.diagnosis is Diagnosis.HUNG_SOFTWARE
    assert "SSH completes the handshake but sends no banner" in found.reason
    assert [seen.reach for seen in alive] == [Reach.PROVED] * 3
    assert diagnose(alive, ON, before=found.diagnosis).diagnosis is Diagnosis.RESPONSIVE
    assert diagnose([alive[0], *one_goes_on], ON).diagnosis is Diagnosis.DEGRADED


def test_the_wrong_protocol_behind_a_port_proves_nothing_and_is_no_hang(tmp_path: Path) -> None:
    with sshd(tmp_path / "ssh") as ssh, xrdp(tmp_path / "rdp") as rdp:
        wrong = [Target(name, LOOPBACK, ssh.port) for name in ("rdp", "smb", "https", "winrm")]
        wrong.append(Target("smb", LOOPBACK, rdp.port))
        seen = observe(wrong, 20.0)
    for each in seen:
        assert each.reach is Reach.SPOKE, each
        assert "problem" in each.evidence, each
        assert diagnose([each], ON).diagnosis is Diagnosis.DEGRADED


def test_a_port_where_nobody_listens_is_refused() -> None:
    assert ask("ssh", free_port()).reach is Reach.REFUSED
