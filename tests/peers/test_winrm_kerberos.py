"""WinRM by Kerberos, with a real KDC: a ticket or a password, and whatever may be wrong with them.

A login is tried once, by Kerberos and by nothing else, and a host that does not prove itself is not believed.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from minikerberos.protocol.asn1_structs import KRB_ERROR

from collector.adapters.limits import Deadline
from collector.adapters.winrm import WinrmChannel, WinrmEndpoint
from collector.errors import (
    AdapterError,
    DeadlineError,
    HostKeyError,
    LoginRefusedError,
    NotTriedError,
    UnreachableError,
)
from collector.model.host import Credential, SecretRef
from tests.peers import wsman as peer
from tests.peers.certificate import make_certificate
from tests.peers.kdc import HOST, PASSWORD, REALM, USER, Kdc, kdc, krb5_conf, silent_kdc
from tests.peers.server import free_port, tool
from tests.peers.winrm_login import winrm_endpoint
from tests.peers.wsman import Wsman, wsman
from tests.peers.wsman_powershell import Answer

SCRIPT = "Get-Date # the very words of a script"


def scripted(script: str, arguments: Mapping[str, str]) -> Answer:
    return Answer(0, b"the very words of an answer")


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    with kdc(tmp_path_factory.mktemp("kdc")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(realm: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    realm.environment["KRB5CCNAME"] = f"FILE:{tmp_path}/cache"
    for name, value in realm.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=[True, False], ids=["https", "http"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wsman]:
    certificate = make_certificate(tmp_path / "c.pem", name=HOST, days=9) if request.param else None
    with wsman(tmp_path, scripted, schemes=("Kerberos",), certificate=certificate) as running:
        yield running


def endpoint(server: Wsman, **keys: object) -> WinrmEndpoint:
    return winrm_endpoint(server, **{"address": HOST, "transport": "kerberos", **keys})


def by_password(folder: Path, user: str = f"{USER}@{REALM}", password: str = PASSWORD) -> Credential:
    secret = folder / "kerberos-password"
    secret.write_text(password)
    secret.chmod(0o600)
    return Credential("win", username=user, password=SecretRef("file", str(secret), folder))


def run(server: Wsman, credential: Credential | None = None, **keys: object) -> bytes:
    with WinrmChannel(endpoint(server, **keys), credential, Deadline.after(30.0)) as channel:
        return channel.powershell(SCRIPT, Deadline.after(30.0)).stdout


def fails(server: Wsman, credential: Credential | None = None, **keys: object) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        run(server, credential, **keys)
    assert server.ran == []
    assert server.in_the_clear == []
    assert caught.value.message.isprintable()
    return caught.value


@pytest.mark.parametrize("user", [None, USER, f"{USER}@{REALM}"])
def test_a_ticket_logs_in(server: Wsman, realm: Kdc, user: str | None) -> None:
    realm.kinit()
    credential = Credential("win", username=user) if user else None
    assert run(server, credential) == b"the very words of an answer"
    assert server.accounts.logins == [("Kerberos", True)] * 2  # to see that it works, and for the call
    assert set(server.accounts.seen) == {"Negotiate"}


def test_a_password_logs_in(server: Wsman, tmp_path: Path) -> None:
    assert run(server, by_password(tmp_path)) == b"the very words of an answer"
    assert not (tmp_path / "cache").exists()


def test_over_http_each_message_is_sealed(tmp_path: Path, realm: Kdc) -> None:
    realm.kinit()
    with wsman(tmp_path, scripted, schemes=("Kerberos",)) as server:
        run(server)
        assert server.ran
        wire = b"".join(server.bodies)
    assert b"HTTP-SPNEGO-session-encrypted" in wire
    assert b"Envelope" not in wire, "a message went in the clear"
    assert server.in_the_clear == []


def test_no_ticket_is_handed_on(server: Wsman, realm: Kdc) -> None:
    realm.kinit("-f")  # it could be forwarded
    run(server)
    assert server.accounts.delegates == [False, False]


def no_ticket(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    pass


def another_s_ticket(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    realm.kinit(user="another")


def later(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    realm.kinit()
    set_clock(patch, "+2d")


def skewed(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    realm.kinit()
    set_clock(patch, "+1h")


def early(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    realm.kinit()
    set_clock(patch, "-1h")


def set_clock(patch: pytest.MonkeyPatch, offset: str) -> None:
    """Make the clock wrong for processes that start from now on."""
    faketime = tool("faketime", package="faketime")
    shown = subprocess.run(
        [faketime, "-f", offset, "printenv", "LD_PRELOAD"], capture_output=True, check=True
    )
    patch.setenv("LD_PRELOAD", shown.stdout.decode().strip())
    patch.setenv("FAKETIME", offset)
    patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")


def no_such_realm(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    realm.kinit()
    other = realm.folder / "other.conf"
    other.write_text(krb5_conf(realm.port, realm="ELSEWHERE.EXAMPLE.COM"))
    patch.setenv("KRB5_CONFIG", str(other))


def no_kdc(realm: Kdc, patch: pytest.MonkeyPatch) -> None:
    realm.kinit()
    other = realm.folder / "gone.conf"
    other.write_text(krb5_conf(free_port()))
    patch.setenv("KRB5_CONFIG", str(other))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (no_ticket, (NotTriedError, "kinit")),
        (another_s_ticket, (NotTriedError, "kinit")),
        (later, (NotTriedError, "kinit")),
        (skewed, (NotTriedError, "clock")),
        (early, (NotTriedError, "clock")),
        (no_such_realm, (NotTriedError, "krb5.conf maps its realm")),
        (no_kdc, (UnreachableError, "krb5.conf")),
    ],
)
def test_what_is_wrong_with_a_ticket_is_said_and_nothing_is_sent(
    server: Wsman,
    realm: Kdc,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[Kdc, pytest.MonkeyPatch], None],
    said: tuple[type[AdapterError], str],
) -> None:
    wrong(realm, monkeypatch)
    error = fails(server, Credential("win", username=USER))
    kind, hint = said
    assert type(error) is kind
    assert hint in error.hint
    assert server.accounts.seen == []


def test_a_user_of_an_unknown_realm_is_asked_of_nobody(server: Wsman, tmp_path: Path) -> None:
    error = fails(server, by_password(tmp_path, f"{USER}@elsewhere.example.com"))
    assert type(error) is NotTriedError
    assert "in capitals" in error.hint
    assert server.accounts.seen == []


def test_an_ip_address_is_no_name_that_the_directory_knows(tmp_path: Path, realm: Kdc) -> None:
    realm.kinit()
    certificate = make_certificate(tmp_path / "c.pem")
    with wsman(tmp_path, scripted, schemes=("Kerberos",), certificate=certificate) as server:
        error = fails(server, address="127.0.0.1")
    assert type(error) is NotTriedError
    assert "no IP address" in error.hint
    assert server.accounts.seen == []


def test_a_silent_kdc_is_not_waited_for(tmp_path: Path, realm: Kdc, monkeypatch: pytest.MonkeyPatch) -> None:
    realm.kinit()
    with silent_kdc() as port, wsman(tmp_path, scripted, schemes=("Kerberos",)) as server:
        (tmp_path / "krb5.conf").write_text(krb5_conf(port))
        monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
        with (
            pytest.raises(DeadlineError, match="within 3 s"),
            WinrmChannel(endpoint(server), None, Deadline.after(3.0)),
        ):
            pass
    assert server.accounts.seen == []


def locked(realm: Kdc) -> None:
    realm.admin("addpol", "-maxfailure", "1", "-lockoutduration", "1h", "once")
    realm.admin("modprinc", "-policy", "once", "victim")
    with pytest.raises(AssertionError):
        realm.kinit(user="victim", password="wrong")


ACCOUNTS: dict[str, tuple[Callable[[Kdc], None], str, str]] = {
    "wrong password": (lambda realm: None, "wrong", "PREAUTH_FAILED"),
    "unknown": (lambda realm: realm.admin("delprinc", "-force", "victim"), PASSWORD, "CLIENT_NOT_FOUND"),
    "expired": (
        lambda realm: realm.admin("modprinc", "-expire", "2020-01-01", "victim"),
        PASSWORD,
        "CLIENT EXPIRED",
    ),
    "password expired": (
        lambda realm: realm.admin("modprinc", "-pwexpire", "2020-01-01", "victim"),
        PASSWORD,
        "CLIENT KEY EXPIRED",
    ),
    "password must change": (
        lambda realm: realm.admin("modprinc", "+needchange", "victim"),
        PASSWORD,
        "REQUIRED PWCHANGE",
    ),
    "disabled": (
        lambda realm: realm.admin("modprinc", "-allow_tix", "victim"),
        PASSWORD,
        "CLIENT LOCKED OUT",
    ),
    "locked": (locked, PASSWORD, "LOCKED_OUT"),
}


@pytest.mark.parametrize("state", ACCOUNTS)
def test_an_account_that_may_not_log_in_is_tried_once(tmp_path: Path, state: str) -> None:
    break_it, password, logged = ACCOUNTS[state]
    with kdc(tmp_path) as realm, pytest.MonkeyPatch.context() as patch:
        for name, value in realm.environment.items():
            patch.setenv(name, value)
        realm.admin("addprinc", "-pw", PASSWORD, "+requires_preauth", "victim")
        break_it(realm)
        before = realm.log.count(logged)
        with wsman(tmp_path / "server", scripted, schemes=("Kerberos",)) as server:
            error = fails(server, by_password(tmp_path, f"victim@{REALM}", password))
        assert type(error) is LoginRefusedError
        assert "KDC refused the login" in error.message
        assert "expired, locked or disabled" in error.hint
        assert password not in error.message
        assert realm.log.count(logged) == before + 1, realm.log
        assert server.accounts.seen == []


@pytest.mark.parametrize("offered", ["NTLM", "Basic", "CredSSP", "Digest realm=x"])
def test_there_is_no_weaker_login_to_fall_back_to(tmp_path: Path, realm: Kdc, offered: str) -> None:
    realm.kinit()
    certificate = make_certificate(tmp_path / "c.pem", name=HOST)
    offer = peer.impostor(offered)
    with wsman(tmp_path, scripted, certificate=certificate, trouble={"Any": offer}) as server:
        error = fails(server, by_password(tmp_path))
    assert type(error) is NotTriedError
    assert f"takes no login by kerberos; it offers: {offered.partition(' ')[0]}" in error.message
    assert server.authorizations == []


def test_a_host_that_takes_ntlm_only_gets_a_ticket_at_most(tmp_path: Path, realm: Kdc) -> None:
    realm.kinit()
    certificate = make_certificate(tmp_path / "c.pem", name=HOST)
    with wsman(tmp_path, scripted, schemes=("NTLM", "Basic"), certificate=certificate) as server:
        error = fails(server, by_password(tmp_path))
    assert isinstance(error, LoginRefusedError)
    assert server.accounts.seen == ["Negotiate"]
    assert ("NTLM", True) not in server.accounts.logins


PROOFS = {"none": "", "not base64": "?", "rubbish": "AAAA", "of another": "YIIB"}


@pytest.mark.parametrize("status", [200, 204, 500])
@pytest.mark.parametrize("proof", PROOFS)
def test_who_does_not_prove_himself_is_not_believed(
    tmp_path: Path, realm: Kdc, proof: str, status: int
) -> None:
    realm.kinit()
    for tls in (True, False):
        certificate = make_certificate(tmp_path / "c.pem", name=HOST) if tls else None
        lies = peer.impostor("Negotiate", PROOFS[proof], status)
        with wsman(tmp_path, scripted, certificate=certificate, trouble={"Any": lies}) as server:
            error = fails(server, insecure_accept_any_certificate=True)
        if status == 200 and proof != "not base64":
            assert isinstance(error, HostKeyError), error
            assert "did not prove" in error.message
        assert len(server.authorizations) == 1


def test_a_ticket_that_the_host_refuses_is_sent_once(server: Wsman, realm: Kdc) -> None:
    realm.kinit()
    (realm.folder / "keytab").rename(realm.folder / "away")
    try:
        realm.admin("ktadd", "-k", str(realm.folder / "keytab"), "HTTP/another")
        error = fails(server)
    finally:
        (realm.folder / "away").replace(realm.folder / "keytab")
    assert type(error) is LoginRefusedError
    assert server.accounts.seen == ["Negotiate"]
    assert server.accounts.logins == [("Kerberos", False)]


@pytest.mark.parametrize(("code", "hint"), [(37, "clock"), (31, "tried once"), (18, "tried once")])
def test_what_the_host_says_in_kerberos_own_words_is_told(
    tmp_path: Path, realm: Kdc, code: int, hint: str
) -> None:
    realm.kinit()
    says_no = peer.impostor("Negotiate", krb_error(code), 401)
    with wsman(tmp_path, scripted, trouble={"Any": says_no}) as server:
        error = fails(server)
    assert type(error) is (NotTriedError if code == 37 else LoginRefusedError)
    assert hint in error.hint
    assert len(server.authorizations) == 1


def krb_error(code: int) -> str:
    """A KRB-ERROR (RFC 4120 section 5.9.1) in the frame of GSS-API (RFC 4121 section 4.1), in Base64."""
    fields = {
        "pvno": 5,
        "msg-type": 30,
        "stime": datetime.now(UTC).replace(microsecond=0),
        "susec": 0,
        "error-code": code,
        "realm": REALM,
        "sname": {"name-type": 2, "name-string": ["HTTP", HOST]},
    }
    inner = bytes.fromhex("06092a864886f7120102020300") + KRB_ERROR(fields).dump()
    assert len(inner) < 128, "DER writes such a length in one byte"
    return base64.b64encode(b"\x60" + bytes([len(inner)]) + inner).decode()


def test_a_login_that_somebody_passes_on_is_refused(tmp_path: Path, realm: Kdc) -> None:
    """The host sees that the client met another certificate than its own."""
    realm.kinit()
    certificate = make_certificate(tmp_path / "c.pem", name=HOST)
    with wsman(tmp_path, scripted, schemes=("Kerberos",), certificate=certificate) as server:
        server.accounts.bound_to = peer.der_of(make_certificate(tmp_path / "real.pem", name=HOST))
        error = fails(server)
    assert isinstance(error, LoginRefusedError)
    assert server.accounts.logins == [("Kerberos", False)]
