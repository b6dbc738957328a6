from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from collector.adapters.winrm import WinrmEndpoint
from collector.adapters.winrm_settings import url_of
from collector.errors import ConfigError, SecretError
from collector.model.host import Credential, SecretRef


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
    endpoint = WinrmEndpoint(address="sql01", transport="certificate", certificate=tmp_path / "c.pem")
    with pytest.raises(ConfigError, match="private_key"):
        endpoint.target(Credential("cert", private_key=SecretRef("env", "KEY", tmp_path)))
    key = tmp_path / "key.pem"
    key.write_text("key")
    key.chmod(0o644)
    credential = Credential("cert", private_key=SecretRef("file", "key.pem", tmp_path))
    with pytest.raises(SecretError):
        endpoint.target(credential)
    key.chmod(0o600)
    assert endpoint.target(credential).key == str(key)


def test_the_login_shows_no_secret(tmp_path: Path) -> None:
    target = WinrmEndpoint(address="sql01").target(login(tmp_path))
    assert target.password == "correct horse"
    assert "correct horse" not in repr(target)


def login(folder: Path) -> Credential:
    secret = folder / "password"
    secret.write_text("correct horse")
    secret.chmod(0o600)
    return Credential("win", username="EXAMPLE\\oncall", password=SecretRef("file", str(secret), folder))
