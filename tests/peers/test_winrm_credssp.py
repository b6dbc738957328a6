"""WinRM by CredSSP, which hands the password to the host: to whom, and when?"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from spnego import _credssp
from spnego._credssp_structures import TSRequest

from collector.adapters.limits import Deadline
from collector.adapters.winrm import WinrmChannel
from collector.errors import AdapterError, HostKeyError, LoginRefusedError, NotTriedError
from tests.peers import wsman as peer
from tests.peers.certificate import make_certificate
from tests.peers.credssp_relay import Relay
from tests.peers.winrm_login import winrm_endpoint, winrm_login
from tests.peers.wsman import PASSWORD, USER, Wsman, wsman
from tests.peers.wsman_powershell import Answer

LARGE = 300_000
"""Bytes; more than TLS' records and WinRM's envelopes hold, in both directions."""


def scripted(script: str, arguments: Mapping[str, str]) -> Answer:
    return Answer(0, b"the very words of an answer" + b"x" * LARGE)


@pytest.fixture(params=[True, False], ids=["https", "http"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wsman]:
    certificate = make_certificate(tmp_path / "c.pem") if request.param else None
    with wsman(tmp_path, scripted, schemes=("CredSSP",), certificate=certificate) as running:
        yield running


def opened(server: Wsman, folder: Path, password: str = PASSWORD) -> WinrmChannel:
    endpoint = winrm_endpoint(server, transport="credssp", insecure_accept_any_certificate=not server.tls)
    return WinrmChannel(endpoint, winrm_login(folder, password), Deadline.after(30.0))


def fails(server: Wsman, folder: Path, password: str = PASSWORD) -> AdapterError:
    with pytest.raises(AdapterError) as caught, opened(server, folder, password):
        pass
    assert server.accounts.delegated == []
    assert server.in_the_clear == []
    assert password not in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def test_it_logs_in_and_hands_the_password_over(server: Wsman, tmp_path: Path) -> None:
    script = "# " + "y" * LARGE
    with opened(server, tmp_path) as channel:
        result = channel.powershell(script, Deadline.after(60.0))
        assert bool(channel.notices) is not server.tls
    assert result.stdout == b"the very words of an answer" + b"x" * LARGE
    assert server.ran == [(script, {})]
    assert server.accounts.logins == [("CredSSP", True)] * 2  # to see that it works, and for the call
    assert server.accounts.delegated == [(USER, PASSWORD)] * 2


def test_over_http_each_message_is_sealed(tmp_path: Path) -> None:
    with wsman(tmp_path, scripted, schemes=("CredSSP",)) as server, opened(server, tmp_path) as channel:
        channel.powershell("# " + "y" * LARGE, Deadline.after(60.0))
        wire = b"".join(server.bodies) + " ".join(server.authorizations).encode()
    assert b"HTTP-CredSSP-session-encrypted" in wire
    assert b"Envelope" not in wire, "a message went in the clear"
    assert PASSWORD.encode() not in wire
    assert server.in_the_clear == []


def test_a_wrong_password_is_tried_once(server: Wsman, tmp_path: Path) -> None:
    error = fails(server, tmp_path, "not the horse")
    assert type(error) is LoginRefusedError
    assert "wrong user name or password" in error.message
    assert server.accounts.logins == [("CredSSP", False)]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xC0000071, "the password has expired"),
        (0xC0000224, "the password must be changed"),
        (0xC0000234, "the account is locked out"),
        (0xC0000072, "the account is disabled"),
        (0xC0000193, "the account has expired"),
        (0xC0000413, "0xC0000413"),
    ],
)
def test_why_an_account_may_not_log_in_is_said_and_it_is_tried_once(
    server: Wsman, tmp_path: Path, status: int, words: str
) -> None:
    server.accounts.status = status
    error = fails(server, tmp_path)
    assert type(error) is LoginRefusedError
    assert words in error.message
    assert server.accounts.logins == [("CredSSP", False)]


def test_a_host_that_finds_no_domain_controller_has_refused_nothing(server: Wsman, tmp_path: Path) -> None:
    server.accounts.status = 0xC000005E
    error = fails(server, tmp_path)
    assert type(error) is NotTriedError
    assert "no domain controller answers the host" in error.message
    assert server.accounts.logins == [("CredSSP", False)]


def test_a_man_in_the_middle_gets_no_password(tmp_path: Path) -> None:
    """He passes on all of the login, and the host sees that the client met another key than its own."""
    with (
        wsman(tmp_path / "real", scripted, schemes=("CredSSP",)) as real,
        wsman(tmp_path, scripted) as between,
    ):
        relay = Relay(real)
        between.trouble["Any"] = relay
        error = fails(between, tmp_path)
        relay.close()
    requests = [TSRequest.unpack(said) for said in relay.passed]
    assert isinstance(error, LoginRefusedError)
    assert [bool(request.pub_key_auth) for request in requests] == [False, True], "the keys were not compared"
    assert not any(request.auth_info for request in requests)
    assert real.accounts.delegated == []
    assert PASSWORD.encode() not in b"".join(relay.passed)


@pytest.mark.parametrize("told", ["echo", "of another key"])
def test_who_knows_the_login_and_not_the_key_gets_no_password(
    server: Wsman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """Such as a server of the same domain, which can check a login, in place of the one that was meant."""
    real = _credssp._get_pub_key_auth

    def lie(key: bytes, usage: str, nonce: bytes | None = None) -> bytes:
        if usage == "initiate":
            return real(key, usage, nonce)
        return real(key, "initiate", nonce) if told == "echo" else real(key[::-1], usage, nonce)

    monkeypatch.setattr(_credssp, "_get_pub_key_auth", lie)
    error = fails(server, tmp_path)
    assert type(error) is HostKeyError
    assert "did not prove" in error.message


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_host_without_the_cure_for_cve_2018_0886_gets_no_password(
    server: Wsman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(_credssp, "_CREDSSP_VERSION", version)
    error = fails(server, tmp_path)
    assert type(error) is HostKeyError
    assert "CVE-2018-0886" in error.hint


@pytest.mark.parametrize("token", ["", "AAAA", base64.b64encode(b"\x15\x03\x03\x00\x02\x02\x28").decode()])
@pytest.mark.parametrize("status", [200, 401])
def test_who_lets_anybody_in_is_not_believed(tmp_path: Path, token: str, status: int) -> None:
    for made in (make_certificate(tmp_path / "c.pem"), None):
        lets_in = peer.impostor("CredSSP", token, status)
        with wsman(tmp_path, scripted, certificate=made, trouble={"Any": lets_in}) as server:
            error = fails(server, tmp_path)
        assert isinstance(error, LoginRefusedError)
        assert isinstance(error, HostKeyError) or not token
        assert len(server.authorizations) == 1


def test_nothing_else_is_tried_where_it_is_not_offered(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "c.pem")
    with wsman(tmp_path, scripted, schemes=("NTLM", "Basic"), certificate=certificate) as server:
        error = fails(server, tmp_path)
    assert "takes no login by credssp; it offers: Negotiate, NTLM, Basic" in error.message
    assert server.authorizations == []
