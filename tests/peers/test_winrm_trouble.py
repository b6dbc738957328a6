"""The WinRM session against servers that are silent, slow, wrong, or somebody else.

Three things hold against each of them: the deadline, at most one run of a script, and no word in the clear.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.adapters.base import Files, MemorySnapshot, NmiInjector, PowerShell
from collector.adapters.hyperv import HypervEndpoint
from collector.adapters.limits import Deadline
from collector.adapters.live_dump import LiveDumpEndpoint
from collector.adapters.registry import Connections
from collector.adapters.smb import SmbEndpoint
from collector.adapters.winrm import WinrmEndpoint
from collector.adapters.winrm_session import Call, WinrmSession
from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    HostKeyError,
    LoginRefusedError,
    MissingExtraError,
    PeerFailedError,
    UnreachableError,
)
from collector.model.host import Endpoint, Host, Platform
from tests.peers import wsman as peer
from tests.peers import wsman_soap as soap
from tests.peers.certificate import make_certificate
from tests.peers.server import free_port
from tests.peers.winrm_login import winrm_endpoint, winrm_keys, winrm_login
from tests.peers.wsman import Exchange, Wsman, wsman
from tests.peers.wsman_powershell import Answer

IN_TIME = 15.0
"""Seconds; a deadline of 2 to 3 s, the two that a farewell may take, and a loaded machine."""


def scripted(script: str, arguments: Mapping[str, str]) -> Answer:
    return Answer(0, b"done")


def session(
    server: Wsman, folder: Path, *, password: str = peer.PASSWORD, seconds: float = 30.0
) -> WinrmSession:
    target = winrm_endpoint(server).target(winrm_login(folder, password))
    return WinrmSession(target, Deadline.after(seconds))


def fails(server: Wsman, folder: Path, seconds: float = 30.0) -> tuple[AdapterError, Call]:
    """The error of one call by a session that could log in, and the call."""
    made, call = session(server, folder), Call("Debug-VM")
    try:
        with pytest.raises(AdapterError) as caught:
            made.run(call, Deadline.after(seconds))
    finally:
        made.close()
    return caught.value, call


@pytest.mark.parametrize(
    ("stage", "how"),
    [("Any", peer.silence), ("Any", peer.dripping), ("Login", peer.dripping), ("Identify", peer.silence)],
)
def test_a_login_ends_by_its_deadline(tmp_path: Path, stage: str, how: peer.Trouble) -> None:
    with wsman(tmp_path, scripted, trouble={stage: how}) as server:
        started = time.monotonic()
        with pytest.raises(DeadlineError, match="within 3 s"):
            session(server, tmp_path, seconds=3.0)
        assert time.monotonic() - started < IN_TIME
        assert server.in_the_clear == []


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        ("Login", peer.silence),
        ("Create", peer.dripping),
        ("Command", peer.silence),
        ("Send", peer.dripping),
        ("Receive", peer.silence),
        ("Receive", peer.dripping),
    ],
)
def test_a_script_ends_by_its_deadline(tmp_path: Path, stage: str, how: peer.Trouble) -> None:
    with wsman(tmp_path, scripted) as server:
        made, call = session(server, tmp_path), Call("Debug-VM")
        server.trouble[stage] = how
        started = time.monotonic()
        with pytest.raises(DeadlineError, match="within 2 s"):
            made.run(call, Deadline.after(2.0))
        assert time.monotonic() - started < IN_TIME
        assert call.begun == (stage in ("Send", "Receive"))
        assert len(server.ran) == (stage == "Receive")
        assert server.in_the_clear == []


AFTER = ["Send", "Receive"]
BREAKS = {
    "reset": peer.reset_after,
    "500": peer.status(500, acts=True),
    "503": peer.status(503, acts=True),
    "page": peer.status(200, acts=True, body=b"<html>Sign in</html>"),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("stage", ["Login", "Command", *AFTER])
def test_what_breaks_off_is_not_tried_again(tmp_path: Path, stage: str, how: str) -> None:
    with wsman(tmp_path, scripted) as server:
        made, call = session(server, tmp_path), Call("Debug-VM")
        server.trouble[stage] = BREAKS[how]
        seen = server.counts[stage]
        with pytest.raises((UnreachableError, PeerFailedError)):
            made.run(call, Deadline.after(30.0))
        made.close()
        assert server.counts[stage] == seen + 1
        assert call.begun == (stage in AFTER)
        assert len(server.ran) == (stage in AFTER), "a script that did not begin has run, or one ran twice"
        assert server.in_the_clear == []


def test_a_lost_answer_is_a_deadline_and_one_run(tmp_path: Path) -> None:
    with wsman(tmp_path, scripted, trouble={"Send": peer.lost_answer}) as server:
        error, call = fails(server, tmp_path, 2.0)
        assert isinstance(error, DeadlineError)
        assert call.begun
        assert len(server.ran) == 1


def test_a_wrong_password_is_tried_once(tmp_path: Path) -> None:
    with wsman(tmp_path, scripted) as server:
        with pytest.raises(LoginRefusedError) as caught:
            session(server, tmp_path, password="wrong")
        assert server.accounts.logins == [("NTLM", False)]
        assert "locked, disabled or expired" in caught.value.hint
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("transport", ["ntlm", "basic", "credssp"])
def test_a_wrong_password_is_tried_once_over_tls(tmp_path: Path, transport: str) -> None:
    certificate = make_certificate(tmp_path / "c.pem")
    schemes = ("NTLM", "Basic", "CredSSP")
    with wsman(tmp_path, scripted, schemes=schemes, certificate=certificate) as server:
        target = winrm_endpoint(server, transport=transport).target(winrm_login(tmp_path, "wrong"))
        with pytest.raises(LoginRefusedError) as caught:
            WinrmSession(target, Deadline.after(30.0))
        assert [right for _, right in server.accounts.logins] == [False]
        assert server.accounts.logins[0][0].lower() == transport
        assert type(caught.value) is LoginRefusedError


def test_kerberos_without_its_packages_says_which_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gssapi.py").write_text("raise ImportError('there is no gssapi')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with wsman(tmp_path, scripted, schemes=("Kerberos",)) as server:
        target = winrm_endpoint(server, transport="kerberos").target(None)
        with pytest.raises(MissingExtraError) as caught:
            WinrmSession(target, Deadline.after(30.0))
        assert "hang-collector[windows-kerberos]" in caught.value.hint
        assert server.authorizations == []


def test_a_wrong_password_is_tried_once_by_all_ways_into_a_host(tmp_path: Path) -> None:
    """Windows keeps one count of wrong passwords for WinRM, Hyper-V and SMB."""
    with wsman(tmp_path, scripted) as server:
        win = {**winrm_keys(server), "credential": "win"}
        ways: list[tuple[Endpoint, type[object]]] = [
            (WinrmEndpoint(**win), PowerShell),
            (HypervEndpoint(**win, vm="SQL01"), NmiInjector),
            (LiveDumpEndpoint(**win), MemorySnapshot),
            (SmbEndpoint(address=server.address, port=free_port(), credential="win"), Files),
        ]
        host = Host("sql01", Platform.WINDOWS, server.address)
        for first in range(len(ways) - 1):
            server.accounts.logins.clear()
            connections = Connections({"win": winrm_login(tmp_path, "wrong")}, print)
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(refusal_of, connections, host, *way) for way in ways[first:]]
            failures = [future.result() for future in asked]
            refusals = [f for f in failures if isinstance(f, LoginRefusedError)]
            assert len(refusals) >= len(failures) - 1, failures  # SMB, where nobody listens, may come first
            assert server.accounts.logins == [("NTLM", False)]


def refusal_of(
    connections: Connections, host: Host, endpoint: Endpoint, capability: type[object]
) -> AdapterError:
    with (
        pytest.raises(AdapterError) as caught,
        connections.open(host, endpoint, capability, Deadline.after(60.0)),
    ):
        pass
    return caught.value


def test_a_host_that_is_not_proved_says_nothing_of_its_accounts(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "c.pem")
    with wsman(tmp_path, scripted, certificate=certificate) as server, wsman(tmp_path, scripted) as other:
        connections = Connections({"win": winrm_login(tmp_path)}, print)
        host = Host("sql01", Platform.WINDOWS, server.address)
        unproved = winrm_endpoint(server, ca_file=None, credential="win")
        assert isinstance(refusal_of(connections, host, unproved, PowerShell), HostKeyError)
        good = winrm_endpoint(other, credential="win")
        with connections.open(host, good, PowerShell, Deadline.after(30.0)) as channel:  # type: ignore[type-abstract]
            assert channel.powershell("x", Deadline.after(30.0)).stdout == b"done"
        assert refusal_of(connections, host, unproved, PowerShell)
        assert server.accounts.logins == []


def test_a_password_that_expires_meanwhile_is_tried_once_more_and_never_again(tmp_path: Path) -> None:
    with wsman(tmp_path, scripted) as server:
        made = session(server, tmp_path)
        (tmp_path / "ntlm-accounts").write_text(f":{peer.USER}:another\n")
        for _ in range(3):
            with pytest.raises(LoginRefusedError):
                made.run(Call("Debug-VM"), Deadline.after(30.0))
        made.close()
        assert server.accounts.logins == [("NTLM", True), ("NTLM", False)]


def test_a_session_that_is_not_known_any_more_gets_no_second_login(tmp_path: Path) -> None:
    def forget(exchange: Exchange) -> None:
        exchange.send(401, {"WWW-Authenticate": "NTLM"}, b"")

    with wsman(tmp_path, scripted, trouble={"Create": forget}) as server:
        error, call = fails(server, tmp_path)
        assert isinstance(error, UnreachableError)
        assert not call.begun
        assert server.accounts.logins == [("NTLM", True)] * 2  # to see that it works, and for the call


def test_after_a_login_that_timed_out_nothing_is_sent_in_the_clear(tmp_path: Path) -> None:
    """pywinrm 0.5.0 sends the next request unencrypted, whatever it was told."""
    with wsman(tmp_path, scripted) as server:
        made = session(server, tmp_path)
        server.trouble["Login"] = peer.silence
        with pytest.raises(DeadlineError):
            made.run(Call("Debug-VM"), Deadline.after(2.0))
        del server.trouble["Login"]
        call = Call("Debug-VM")
        made.run(call, Deadline.after(30.0))
        made.close()
        assert bytes(call.stdout) == b"done"
        assert server.in_the_clear == []


def test_an_answer_in_the_clear_is_not_believed(tmp_path: Path) -> None:
    def forge(exchange: Exchange) -> None:
        status, envelope = exchange.act()
        exchange.send(status, {"Content-Type": "application/soap+xml;charset=UTF-8"}, envelope)

    with wsman(tmp_path, scripted, trouble={"Receive": forge}) as server:
        error, _ = fails(server, tmp_path)
        assert isinstance(error, PeerFailedError)
        assert "in the clear" in error.message


SEALED = "application/HTTP-SPNEGO-session-encrypted"


@pytest.mark.parametrize("protocol", ["", f'protocol="{SEALED}";'], ids=["no protocol", "the protocol"])
@pytest.mark.parametrize("code", [200, 500])
def test_an_answer_that_only_says_it_is_sealed_is_not_believed(
    tmp_path: Path, protocol: str, code: int
) -> None:
    """pywinrm 0.5.0 takes the first for one in the clear, and believes it."""

    def forge(exchange: Exchange) -> None:
        _, envelope = exchange.act()
        if code != 200:
            envelope = soap.fault(soap.WsmanFault(soap.OPERATION_TIMEOUT, "w:TimedOut", "Wait."))
        fields = {"Content-Type": f'multipart/encrypted;{protocol}boundary="Encrypted Boundary"'}
        exchange.send(code, fields, envelope)

    with wsman(tmp_path, scripted, trouble={"Receive": forge}) as server:
        error, _ = fails(server, tmp_path)
        assert isinstance(error, PeerFailedError), error


@pytest.mark.parametrize("stage", ["Any", "Login", "Identify"])
@pytest.mark.parametrize(
    "how",
    [
        peer.proxy_login,
        peer.status(502, body=b"<html>Bad gateway</html>"),
        peer.status(504, body=b"<html>Gateway timeout</html>"),
        peer.status(200, body=b"<html>Sign in</html>"),
    ],
    ids=["407", "502", "504", "page"],
)
def test_a_proxy_in_between_is_told_from_the_host(tmp_path: Path, stage: str, how: peer.Trouble) -> None:
    with wsman(tmp_path, scripted, trouble={stage: how}) as server:
        with pytest.raises(PeerFailedError) as caught:
            session(server, tmp_path)
        assert "proxy" in caught.value.hint
        assert server.in_the_clear == []
        assert len(server.accounts.logins) <= 1
        assert server.proxy_logins == 0


@pytest.mark.parametrize("stage", ["Any", "Login", "Identify"])
def test_a_redirect_is_not_followed(tmp_path: Path, stage: str) -> None:
    with wsman(tmp_path / "elsewhere", scripted) as elsewhere, wsman(tmp_path, scripted) as server:
        server.trouble[stage] = peer.redirect(elsewhere.url)
        with pytest.raises(PeerFailedError, match="elsewhere"):
            session(server, tmp_path)
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "words", ["Zugriff verweigert", "액세스가 거부되었습니다.", "アクセスが拒否されました。"]
)
def test_an_account_without_the_right_is_told_so_in_any_language(tmp_path: Path, words: str) -> None:
    denied = peer.refusal(5, "w:AccessDenied", words)
    with wsman(tmp_path, scripted, trouble={"Create": denied}) as server:
        error, call = fails(server, tmp_path)
        assert isinstance(error, ForbiddenError)
        assert words in error.message
        assert not call.begun


def test_the_fault_of_a_full_server_is_shown(tmp_path: Path) -> None:
    full = peer.refusal(2150859174, "w:QuotaLimit", "The maximum number of shells\u202e was exceeded.")
    with wsman(tmp_path, scripted, trouble={"Create": full}) as server:
        error, _ = fails(server, tmp_path)
        assert "maximum number of shells" in error.message
        assert error.message.isprintable()


def test_an_endless_answer_is_cut_off(tmp_path: Path) -> None:
    flood = peer.status(200, body=b"x" * (8 * 1024 * 1024))
    with wsman(tmp_path, scripted, trouble={"Receive": flood}) as server:
        error, _ = fails(server, tmp_path)
        assert isinstance(error, PeerFailedError)
        assert "more than" in error.message


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    server = Wsman(port=free_port())
    with pytest.raises(UnreachableError, match="refused"):
        session(server, tmp_path)


def test_a_peer_that_speaks_no_tls_is_not_waited_for(tmp_path: Path) -> None:
    with wsman(tmp_path, scripted) as server:
        server.tls, server.ca = True, make_certificate(tmp_path / "c.pem")
        with pytest.raises(PeerFailedError, match="not the host's WinRM"):
            session(server, tmp_path)
        server.tls = False
        assert server.accounts.logins == []
