"""Jump hosts, and connections that change their keys on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.ssh import SshChannel, SshEndpoint
from collector.errors import AdapterError, DeadlineError, ForbiddenError, HostKeyError, UnreachableError
from tests.contract.credentials import credential_for, endpoint_for
from tests.peers.server import free_port
from tests.peers.sshd import Sshd, sshd, stopped

BIG = 40_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="module")
def jump(tmp_path_factory: pytest.TempPathFactory, server: Sshd) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("jump")
    with sshd(folder, "AllowTcpForwarding=yes") as running:
        (folder / "authorized_keys").write_text((server.private_key.parent / "user_key.pub").read_text())
        both = server.known_hosts.read_text() + running.known_hosts.read_text()
        (folder / "both").write_text(both)
        yield running


def connected(server: Sshd) -> SshChannel:
    return SshChannel(endpoint_for(server), credential_for(server), Deadline.after(20))


def through(jump: Sshd, server: Sshd, **changes: object) -> SshEndpoint:
    endpoint = SshEndpoint(
        address="127.0.0.1",
        port=server.port,
        known_hosts=jump.known_hosts.parent / "both",
        proxy_jump=f"{jump.user}@127.0.0.1:{jump.port}",
    )
    return endpoint.model_copy(update=changes)


def failure(endpoint: SshEndpoint, server: Sshd, seconds: float = 20.0) -> AdapterError:
    with pytest.raises(AdapterError) as raised, SshChannel(
        endpoint, credential_for(server), Deadline.after(seconds)
    ):  # fmt: skip
        pass
    return raised.value


def test_a_host_is_reached_through_a_jump_host(jump: Sshd, server: Sshd, tmp_path: Path) -> None:
    data = os.urandom(5_000_000)
    (tmp_path / "vmcore").write_bytes(data)
    with SshChannel(through(jump, server), credential_for(server), Deadline.after(20)) as channel:
        assert channel.run("echo in", Deadline.after(20)).stdout == b"in\n"
        assert b"".join(channel.read(str(tmp_path / "vmcore"), 0, 20.0)) == data
    assert "Accepted publickey" in jump.log.read_text()


def test_a_host_is_reached_through_two_jump_hosts(jump: Sshd, server: Sshd) -> None:
    hop = f"{jump.user}@127.0.0.1:{jump.port}"
    endpoint = through(jump, server, proxy_jump=f"{hop}, {hop}")
    with SshChannel(endpoint, credential_for(server), Deadline.after(20)) as channel:
        assert channel.run("echo in", Deadline.after(20)).stdout == b"in\n"


def test_the_host_behind_the_jump_host_is_verified_too(jump: Sshd, server: Sshd) -> None:
    error = failure(through(jump, server, known_hosts=jump.known_hosts), server)
    assert type(error) is HostKeyError
    assert f"127.0.0.1:{server.port}" in str(error)
    assert f"ssh -p {jump.port} {jump.user}@127.0.0.1 ssh-keyscan" in error.hint


def test_the_jump_host_is_verified_before_it_is_told_where_to_go(jump: Sshd, server: Sshd) -> None:
    error = failure(through(jump, server, known_hosts=server.known_hosts), server)
    assert type(error) is HostKeyError
    assert f"127.0.0.1:{jump.port}" in str(error)


def test_a_host_that_is_down_behind_the_jump_host_is_unreachable(jump: Sshd, server: Sshd) -> None:
    assert type(failure(through(jump, server, port=free_port()), server)) is UnreachableError


def test_a_jump_host_that_may_not_forward_says_so(server: Sshd) -> None:
    with sshd(server.log.parent / "strict", "AllowTcpForwarding=no") as strict:
        (strict.log.parent / "authorized_keys").write_text(
            (server.private_key.parent / "user_key.pub").read_text()
        )
        endpoint = through(strict, server, known_hosts=strict.known_hosts)
        assert type(failure(endpoint, server)) is ForbiddenError


def test_a_stopped_host_behind_the_jump_host_ends_by_the_deadline(jump: Sshd, server: Sshd) -> None:
    with stopped(server.pid):
        assert type(failure(through(jump, server), server, 2.0)) is DeadlineError


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-ctr"])
def test_a_copy_survives_many_changes_of_the_keys(tmp_path: Path, cipher: str) -> None:
    data = os.urandom(1_000_000) * (BIG // 1_000_000)
    (tmp_path / "vmcore").write_bytes(data)
    with sshd(tmp_path / "sshd", "RekeyLimit=4M", f"Ciphers={cipher}", "LogLevel=DEBUG") as server:
        with connected(server) as channel:
            copied = hashlib.sha256()
            for chunk in channel.read(str(tmp_path / "vmcore"), 0, 20.0):
                copied.update(chunk)
        assert server.log.read_text().count("SSH2_MSG_NEWKEYS received") >= 8
    assert copied.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_command_survives_changes_of_the_keys_to_its_last_byte(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", "RekeyLimit=4M") as server, connected(server) as channel:
        for size in (4_100_000, 8_200_000, 12_345_678):
            result = channel.run(f"head -c {size} /dev/zero", Deadline.after(60), limit=BIG)
            assert (result.exit_status, len(result.stdout)) == (0, size)


def test_a_command_that_ends_while_we_ask_for_new_keys_is_heard_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collector.adapters import ssh_transport

    monkeypatch.setattr(ssh_transport.Packetizer, "REKEY_BYTES", 300_000)  # paramiko's own limit is 512 MiB
    with sshd(tmp_path / "sshd") as server, connected(server) as channel:
        for size in range(250_000, 330_000, 4_000):
            result = channel.run(f"head -c {size} /dev/zero", Deadline.after(20))
            assert (result.exit_status, len(result.stdout)) == (0, size)
