"""Host keys: nothing secret goes to a host that is not proved to be the right one."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.ssh import SshChannel, SshEndpoint
from collector.errors import HostKeyError
from tests.contract.credentials import credential_for, endpoint_for
from tests.peers.server import tool
from tests.peers.ssh_double import Login, ssh_double
from tests.peers.sshd import Sshd, make_key, sshd
from tests.peers.test_ssh_login import credential


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def knowing(server: Sshd, file: Path, *lines: str) -> SshEndpoint:
    file.write_text("".join(line + "\n" for line in lines))
    return SshEndpoint(address="127.0.0.1", port=server.port, known_hosts=file)


def entry(server: Sshd) -> tuple[str, str]:
    """The server's own line, without the name: kind and key."""
    _, kind, key = server.known_hosts.read_text().split()
    return kind, key


def log_in(endpoint: SshEndpoint, server: Sshd) -> tuple[str, ...]:
    with SshChannel(endpoint, credential_for(server), Deadline.after(20)) as channel:
        assert channel.run("echo in", Deadline.after(20)).stdout == b"in\n"
        return channel.notices


def test_no_credential_reaches_a_host_that_is_unknown_or_has_changed(tmp_path: Path) -> None:
    with ssh_double(tmp_path, Login()) as login:
        right = login.known_hosts.read_text()
        other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
        for text in (
            "",
            f"[127.0.0.1]:{login.port} {other[0]} {other[1]}\n",
            f"@revoked * {right.split(' ', 1)[1]}",
        ):
            login.known_hosts.write_text(text)
            endpoint = SshEndpoint(address="127.0.0.1", port=login.port, known_hosts=login.known_hosts)
            with pytest.raises(HostKeyError), SshChannel(endpoint, credential(), Deadline.after(20)):
                pass
        assert login.connections == 3
        assert login.tries == []


def test_the_hint_for_an_unknown_host_is_the_command_that_adds_it(server: Sshd, tmp_path: Path) -> None:
    tool("ssh-keyscan", package="openssh-client")
    endpoint = knowing(server, tmp_path / "known hosts")
    with pytest.raises(HostKeyError, match="unknown: SHA256:") as refused:
        log_in(endpoint, server)
    subprocess.run(refused.value.hint.split("then: ")[1], shell=True, check=True, stderr=subprocess.DEVNULL)
    assert log_in(endpoint, server) == ()


def test_the_hint_for_a_changed_key_is_the_command_that_replaces_it(server: Sshd, tmp_path: Path) -> None:
    tool("ssh-keyscan", package="openssh-client")
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    endpoint = knowing(server, tmp_path / "known hosts", f"[127.0.0.1]:{server.port} {other}")
    with pytest.raises(HostKeyError, match="known hosts:1") as refused:
        log_in(endpoint, server)
    subprocess.run(
        refused.value.hint.split("right: ")[1], shell=True, check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert log_in(endpoint, server) == ()


def test_the_fingerprint_shown_is_the_one_that_ssh_keygen_shows(server: Sshd, tmp_path: Path) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-lf", server.known_hosts], check=True, capture_output=True, text=True
    )
    with pytest.raises(HostKeyError) as refused:
        log_in(knowing(server, tmp_path / "empty"), server)
    assert shown.stdout.split()[1] in str(refused.value)


def test_a_hashed_entry_made_by_ssh_keygen_is_found(server: Sshd, tmp_path: Path) -> None:
    kind, key = entry(server)
    endpoint = knowing(server, tmp_path / "known_hosts", f"[127.0.0.1]:{server.port} {kind} {key}")
    subprocess.run(
        ["ssh-keygen", "-q", "-H", "-f", str(endpoint.known_hosts)], check=True, stderr=subprocess.DEVNULL
    )
    assert "127.0.0.1" not in (tmp_path / "known_hosts").read_text()
    assert log_in(endpoint, server) == ()


def test_a_certificate_authority_is_not_taken_for_the_hosts_own_key(server: Sshd, tmp_path: Path) -> None:
    kind, key = entry(server)
    with pytest.raises(HostKeyError, match="unknown"):
        log_in(knowing(server, tmp_path / "known_hosts", f"@cert-authority * {kind} {key}"), server)


def test_a_host_with_several_keys_shows_the_one_that_is_known(tmp_path: Path) -> None:
    keys = {kind: make_key(tmp_path / kind, kind) for kind in ("rsa", "ecdsa")}
    with sshd(tmp_path / "sshd", *(f"HostKey={key}" for key in keys.values())) as server:
        for key in keys.values():
            words = key.with_suffix(".pub").read_text().split()
            endpoint = knowing(server, tmp_path / "known", f"[127.0.0.1]:{server.port} {words[0]} {words[1]}")
            assert log_in(endpoint, server) == ()


def test_any_host_is_believed_only_when_asked_for_and_then_loudly(server: Sshd, tmp_path: Path) -> None:
    endpoint = endpoint_for(server).model_copy(
        update={"known_hosts": tmp_path / "absent", "insecure_accept_any_host_key": True}
    )
    (notice,) = log_in(endpoint, server)
    assert "NOT verified" in notice
    assert "SHA256:" in notice


def test_a_revoked_key_is_not_believed_even_then(server: Sshd, tmp_path: Path) -> None:
    kind, key = entry(server)
    endpoint = knowing(server, tmp_path / "known_hosts", f"@revoked * {kind} {key}")
    with pytest.raises(HostKeyError, match="revoked"):
        log_in(endpoint.model_copy(update={"insecure_accept_any_host_key": True}), server)


def test_a_refusal_leaves_no_thread_behind(server: Sshd, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(HostKeyError):
        log_in(knowing(server, tmp_path / "empty"), server)
    assert set(threading.enumerate()) <= before
