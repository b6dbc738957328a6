from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from collector.adapters.winrm import WinrmEndpoint
from collector.adapters.winrm_settings import url_of
from collector.errors import ConfigError, SecretError
from collector.model.host import Credential, SecretRef
from tests.peers.certificate import make_certificate


def test_tls_is_on_and_the_host_is_verified_by_default(tmp_path: Path) -> None:
    endpoint = WinrmEndpoint(address="sql01.example.com")
    assert endpoint.url == "https://sql01.example.com:5986/wsman"
    assert endpoint.warnings == ()
    assert endpoint.target(login(tmp_path)).verify


def test_without_tls_the_port_is_that_of_http() -> None:
    assert WinrmEndpoint(address="sql01", tls=False).url == "http://sql01:5985/wsman"
    assert WinrmEndpoint(address="sql01", tls=False, port=80).url == "http://sql01:80/wsman"
    assert WinrmEndpoint(address="sql01", tls=False).identity == "winrm://sql01:5985"


@pytest.mark.parametrize(
    ("address", "host"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]"), ("fe80::1%eth0", "[fe80::1%25eth0]")],
)
def test_an_address_becomes_a_url(address: str, host: str) -> None:
    assert url_of(address, 5986, tls=True) == f"https://{host}:5986/wsman"


@pytest.mark.parametrize("transport", ["basic", "certificate"])
def test_nothing_that_cannot_encrypt_goes_over_http(transport: str) -> None:
    with pytest.raises(ValidationError, match="needs `tls: true`"):
        WinrmEndpoint(address="sql01", tls=False, transport=transport, certificate=Path("c.pem"))


def test_a_login_by_certificate_needs_one() -> None:
    with pytest.raises(ValidationError, match="needs the key `certificate`"):
        WinrmEndpoint(address="sql01", transport="certificate")


def test_to_accept_any_certificate_is_said_aloud() -> None:
    endpoint = WinrmEndpoint(address="sql01", insecure_accept_any_certificate=True)
    assert "NOT verified" in endpoint.warnings[0]
    assert WinrmEndpoint(address="sql01", tls=False, insecure_accept_any_certificate=True).warnings == ()


def test_the_key_of_a_certificate_is_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    ours = make_certificate(tmp_path / "c.pem")
    endpoint = WinrmEndpoint(address="sql01", transport="certificate", certificate=ours)
    with pytest.raises(ConfigError, match="private_key"):
        endpoint.target(Credential("cert", private_key=SecretRef("env", "KEY", tmp_path)))
    credential = Credential("cert", private_key=SecretRef("file", "c.pem", tmp_path))
    ours.chmod(0o644)
    with pytest.raises(SecretError):
        endpoint.target(credential)
    ours.chmod(0o600)
    assert endpoint.target(credential).key == str(ours)


def with_passphrase(folder: Path) -> Path:
    key = load_pem_private_key(make_certificate(folder / "plain.pem").read_bytes(), None)
    path = folder / "locked.pem"
    sealed = BestAvailableEncryption(b"passphrase")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    return path


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (lambda folder: folder / "none.pem", make_certificate, "No such file"),
        (lambda folder: text(folder / "c.pem", "x"), make_certificate, "holds none in PEM"),
        (make_certificate, lambda path: text(path, "x"), "none in PEM"),
        (make_certificate, lambda path: with_passphrase(path.parent), "passphrase"),
        (make_certificate, make_certificate, "another certificate"),
    ],
    ids=["absent", "no certificate", "no key", "passphrase", "of another"],
)
def test_a_certificate_and_a_key_that_do_not_serve_are_mistakes_in_the_settings(
    tmp_path: Path, certificate: Callable[[Path], Path], key: Callable[[Path], Path], words: str
) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    ours = certificate(folder / "ours.pem" if certificate is make_certificate else folder)
    theirs = key(tmp_path / "key.pem")
    theirs.chmod(0o600)
    endpoint = WinrmEndpoint(address="sql01", transport="certificate", certificate=ours)
    with pytest.raises(ConfigError, match=words) as caught:
        endpoint.target(Credential("cert", private_key=SecretRef("file", str(theirs), tmp_path)))
    assert caught.value.hint


def text(path: Path, words: str) -> Path:
    path.write_text(words)
    return path


def test_credssp_hands_the_password_to_nobody_who_is_not_proved() -> None:
    with pytest.raises(ValidationError, match="hands over the password"):
        WinrmEndpoint(address="sql01", tls=False, transport="credssp")
    assert WinrmEndpoint(address="sql01", transport="credssp").warnings == ()
    for tls in (True, False):
        risky = WinrmEndpoint(
            address="sql01", tls=tls, transport="credssp", insecure_accept_any_certificate=True
        )
        assert "may get the PASSWORD" in risky.warnings[0]


def test_kerberos_needs_no_password_and_no_user(tmp_path: Path) -> None:
    endpoint = WinrmEndpoint(address="sql01.example.com", transport="kerberos")
    assert endpoint.target(None).user == ""
    named = endpoint.target(Credential("win", username="oncall@EXAMPLE.COM"))
    assert (named.user, named.password) == ("oncall@EXAMPLE.COM", "")
    with pytest.raises(ConfigError, match=r"knows no DOMAIN"):
        endpoint.target(login(tmp_path))


def test_the_login_shows_no_secret(tmp_path: Path) -> None:
    target = WinrmEndpoint(address="sql01").target(login(tmp_path))
    assert target.password == "correct horse"
    assert "correct horse" not in repr(target)


def login(folder: Path) -> Credential:
    secret = folder / "password"
    secret.write_text("correct horse")
    secret.chmod(0o600)
    return Credential("win", username="EXAMPLE\\oncall", password=SecretRef("file", str(secret), folder))
