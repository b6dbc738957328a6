"""known_hosts: what OpenSSH would believe, and nothing more."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.known_hosts import KnownHosts, Trust, fingerprint, parse, written
from collector.errors import ConfigError

KEY, OTHER = b"\0\0\0\x0bssh-ed25519 one", b"\0\0\0\x0bssh-ed25519 two"


def known(*lines: str) -> KnownHosts:
    return KnownHosts(tuple(parse("\n".join(lines), "known_hosts")))


def line(hosts: str, key: bytes = KEY, marker: str = "") -> str:
    return f"{marker} {hosts} ssh-ed25519 {base64.b64encode(key).decode()} a comment".strip()


def hashed(name: str) -> str:
    salt = b"s" * 20
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def test_a_host_that_no_line_names_is_unknown() -> None:
    assert known(line("db02")).judge("db01", 22, KEY) is Trust.UNKNOWN


def test_another_key_than_the_known_one_is_a_change() -> None:
    assert known(line("db01", OTHER)).judge("db01", 22, KEY) is Trust.CHANGED


def test_a_revoked_key_is_revoked_even_when_another_line_trusts_it() -> None:
    assert known(line("db01"), line("*", marker="@revoked")).judge("db01", 22, KEY) is Trust.REVOKED


def test_a_certificate_authority_vouches_for_no_plain_key() -> None:
    assert known(line("db01", marker="@cert-authority")).judge("db01", 22, KEY) is Trust.UNKNOWN


@pytest.mark.parametrize(
    "bad", ["@revoked db01 ssh-ed25519", "@revoked db01 ssh-ed25519 !!!", "@trusted a b c"]
)
def test_a_marker_that_is_not_understood_stops_us(bad: str) -> None:
    with pytest.raises(ConfigError, match="known_hosts:2"):
        known("# comment", bad)


def test_a_key_is_known_for_its_port_only() -> None:
    hosts = known(line("[db01]:2222"))
    assert hosts.judge("db01", 2222, KEY) is Trust.KNOWN
    assert hosts.judge("db01", 22, KEY) is Trust.UNKNOWN
    assert known(line("db01")).judge("db01", 2222, KEY) is Trust.UNKNOWN


def test_two_keys_of_one_host_are_both_known() -> None:
    hosts = known(line("db01"), line("db01", OTHER))
    assert hosts.judge("db01", 22, KEY) is hosts.judge("db01", 22, OTHER) is Trust.KNOWN


@pytest.mark.parametrize(
    ("hosts", "name", "names_it"),
    [
        ("db01,192.0.2.7", "192.0.2.7", True),
        ("DB01", "db01", True),
        ("db01", "DB01", True),
        ("db*", "db01", True),
        ("db?1", "db01", True),
        ("db?1", "db011", False),
        ("*,!db01", "db01", False),
        ("!db01,*", "db01", False),
        ("*,!db02", "db01", True),
        ("d[bc]01", "db01", False),
        ("db01.", "db01", False),
        ("d.01", "db01", False),
        (hashed("db01"), "db01", True),
        (hashed("db01"), "DB01", True),
        (hashed("db02"), "db01", False),
        ("|1|broken", "db01", False),
        ("|1|!|!", "db01", False),
    ],
)
def test_names_match_as_sshd_describes(hosts: str, name: str, names_it: bool) -> None:
    assert (known(line(hosts)).judge(name, 22, KEY) is Trust.KNOWN) is names_it


def test_hashed_names_hold_the_port() -> None:
    assert known(line(hashed("[db01]:2222"))).judge("db01", 2222, KEY) is Trust.KNOWN


def test_lines_that_are_no_entries_are_passed_over() -> None:
    hosts = known("", "   ", "# db01 ssh-ed25519 AAAA", "db01", "db01 ssh-ed25519 %%%", line("db01"))
    assert [key.place for key in hosts.keys] == ["known_hosts:6"]


def test_a_file_that_does_not_exist_knows_nobody(tmp_path: Path) -> None:
    assert KnownHosts.load([tmp_path / "absent"]).keys == ()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        KnownHosts.load([tmp_path])


def test_a_comment_need_not_be_text(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(line("db01").encode() + b" \xff\xfe\n")
    assert KnownHosts.load([file]).judge("db01", 22, KEY) is Trust.KNOWN


def test_names_are_written_as_ssh_keygen_wants_them() -> None:
    assert (written("DB01", 22), written("db01", 2222), written("2001:db8::1", 2222)) == (
        "db01",
        "[db01]:2222",
        "[2001:db8::1]:2222",
    )


def test_the_fingerprint_has_the_form_of_ssh_keygen() -> None:
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


@given(st.text())
def test_no_text_of_a_file_breaks_the_reader(text: str) -> None:
    try:
        hosts = KnownHosts(tuple(parse(text, "known_hosts")))
    except ConfigError:
        return
    hosts.judge("db01", 22, KEY)
