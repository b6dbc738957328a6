"""The ladder of a Windows host: what lives below user mode is told from user mode itself.

xrdp, samba and a WS-Management server stand for the services of Windows. None of them has a part in the
kernel, so what only Windows has (http.sys, srv2.sys) is played by small peers.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import PowerState
from collector.fleet import reach
from collector.model.host import Endpoint, Host, Platform
from collector.probe.diagnosis import ControllerView, Diagnosis, diagnose
from collector.probe.io import observe
from collector.probe.observation import Observation, Reach, Target
from tests.peers import wsman as peer
from tests.peers.certificate import make_certificate
from tests.peers.frozen import frozen
from tests.peers.samba import smbd
from tests.peers.server import free_port
from tests.peers.wsman import wsman
from tests.peers.xrdp import xrdp
from tests.unit.probe.test_smb import negotiated

LOOPBACK = "127.0.0.1"
ON = ControllerView(power=PowerState.ON)
PING = Observation("icmp", LOOPBACK, None, Reach.SPOKE, 0.0, {})
NO_PING = Observation("icmp", LOOPBACK, None, Reach.SILENT, 2.0, {})


def ask(protocol: str, port: int, seconds: float = 20.0) -> Observation:
    [seen] = observe([Target(protocol, LOOPBACK, port)], seconds)
    return seen


@contextlib.contextmanager
def kernel_of_smb() -> Iterator[int]:
    """Answers NEGOTIATE as srv2.sys does, and then waits for an LSASS that never comes; yields the port."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(negotiated())
            over.wait()

    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_winrm_proves_itself_in_the_clear_and_through_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "winrm.pem")
    with wsman(tmp_path / "http") as http, wsman(tmp_path / "https", certificate=certificate) as https:
        clear, through_tls = ask("winrm", http.port), ask("winrm-tls", https.port)
    assert (clear.reach, clear.evidence["http_status"]) == (Reach.PROVED, "401")
    assert (through_tls.reach, through_tls.evidence["http_status"]) == (Reach.PROVED, "401")
    assert len(through_tls.evidence["certificate_sha256"]) == 64
    assert not http.counts, "a probe logs in to nothing"
    assert not https.counts


def test_a_healthy_host_with_winrm_through_tls_is_let_in_to_be_audited(tmp_path: Path) -> None:
    class Winrm(Endpoint):
        port: int
        tls: bool

    with wsman(tmp_path / "w", certificate=make_certificate(tmp_path / "winrm.pem")) as server:
        channel = Winrm(type="winrm", address=LOOPBACK, port=server.port, tls=True)
        host = Host("sql01", Platform.WINDOWS, LOOPBACK, (), (channel,))
        assert [dict(wave.unreachable) for wave in reach.waves([host], observe)] == [{}]


@pytest.mark.parametrize("code", [503, 404])
def test_http_sys_that_answers_for_a_dead_winrm_is_a_living_kernel_and_no_hang(
    tmp_path: Path, code: int
) -> None:
    with wsman(tmp_path / "w", trouble={"Any": peer.status(code)}) as server:
        seen = ask("winrm", server.port)
    assert (seen.reach, seen.evidence["failure"]) == (Reach.SPOKE, f"HTTP {code}")
    assert "http.sys" in seen.evidence["kernel"]
    found = diagnose([PING, seen], ON)
    assert found.diagnosis is Diagnosis.UNKNOWN
    assert "the kernel lives" in found.reason


def test_a_hung_user_mode_is_told_from_a_dead_kernel(tmp_path: Path) -> None:
    with (
        xrdp(tmp_path / "rdp") as rdp,
        smbd(tmp_path / "smb") as smb,
        wsman(tmp_path / "http", trouble={"Any": peer.silence}) as http,
        socket.create_server((LOOPBACK, 0)) as https,
    ):
        targets = [
            Target("rdp", LOOPBACK, rdp.port),
            Target("winrm", LOOPBACK, http.port),
            Target("winrm-tls", LOOPBACK, https.getsockname()[1]),
            Target("smb", LOOPBACK, smb.port),
        ]
        with frozen(rdp.pid), frozen(smb.pid):
            hung = observe(targets, 4.0)
    assert {seen.reach for seen in hung} == {Reach.CONNECTED}
    found = diagnose([PING, *hung], ON)
    assert found.diagnosis is Diagnosis.HUNG_SOFTWARE
    assert "RDP completes the handshake but sends no connection confirm" in found.reason
    assert "WinRM completes the handshake but sends no TLS answer" in found.reason
    assert found.reason.endswith("the kernel lives, user mode does not")
    dead = [Observation(t.protocol, t.address, t.port, Reach.SILENT, 4.0, {}) for t in targets]
    assert diagnose([NO_PING, *dead], ON).diagnosis is Diagnosis.HUNG_KERNEL_OR_NETWORK
    gone = [ask(t.protocol, free_port()) for t in targets]
    assert {seen.reach for seen in gone} == {Reach.REFUSED}
    assert diagnose([PING, *gone], ON).diagnosis is Diagnosis.UNKNOWN, "it reboots, or writes its dump"


def test_the_kernels_half_of_smb_alone_is_a_hung_user_mode(tmp_path: Path) -> None:
    with kernel_of_smb() as smb, xrdp(tmp_path / "rdp") as rdp, frozen(rdp.pid):
        seen = observe([Target("rdp", LOOPBACK, rdp.port), Target("smb", LOOPBACK, smb)], 4.0)
    assert [one.reach for one in seen] == [Reach.CONNECTED, Reach.SPOKE]
    found = diagnose([PING, *seen], ON)
    assert found.diagnosis is Diagnosis.HUNG_SOFTWARE
    assert "SMB answers only what its kernel can" in found.reason


def test_one_service_of_user_mode_that_answers_is_a_host_that_is_not_hung(tmp_path: Path) -> None:
    with kernel_of_smb() as smb, xrdp(tmp_path / "rdp") as rdp:
        seen = observe([Target("rdp", LOOPBACK, rdp.port), Target("smb", LOOPBACK, smb)], 6.0)
    found = diagnose([PING, *seen], ON)
    assert found.diagnosis is Diagnosis.DEGRADED
    assert "what is stuck is SMB" in found.reason


def test_a_handshake_without_an_answer_through_tls_is_half_alive_and_gets_no_nmi(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "winrm.pem")
    with wsman(tmp_path / "w", certificate=certificate, trouble={"Any": peer.silence}) as server:
        seen = ask("winrm-tls", server.port, 4.0)
    assert seen.reach is Reach.SPOKE
    assert diagnose([PING, seen], ON).diagnosis is Diagnosis.DEGRADED


def test_frozen_servers_recover_by_themselves(tmp_path: Path) -> None:
    with xrdp(tmp_path / "rdp") as rdp:
        with frozen(rdp.pid):
            before = diagnose([PING, ask("rdp", rdp.port, 3.5)], ON).diagnosis
        after = ask("rdp", rdp.port)
    assert before is Diagnosis.HUNG_SOFTWARE
    assert diagnose([PING, after], ON, before=before).diagnosis is Diagnosis.RESPONSIVE
