"""A command's output that is too large for memory, from OpenSSH into a case."""

from __future__ import annotations

import hashlib
import os
import signal
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.base import CommandStream
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.adapters.ssh import SshEndpoint
from collector.case.folder import CaseFolder
from collector.errors import AdapterError, DeadlineError, PeerFailedError
from collector.model.host import Host, Platform
from collector.playbook.schema import LogSource, Playbook
from collector.run.incident import Incident, Silent
from collector.run.stream import stream
from tests.contract.credentials import credential_for
from tests.peers.sshd import Sshd, descendants, sshd
from tests.peers.test_ssh_deadlines import connected
from tests.scenarios.harness import PLAYBOOK


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def test_every_byte_comes_in_order_and_few_are_held(server: Sshd) -> None:
    whole = hashlib.sha256()
    with connected(server) as channel:
        assert isinstance(channel, CommandStream)
        tracemalloc.start()
        for chunk in channel.stream("seq 1 5000000", 20.0):
            whole.update(chunk)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    expected = hashlib.sha256("".join(f"{n}\n" for n in range(1, 5_000_001)).encode())
    assert whole.hexdigest() == expected.hexdigest()
    assert peak < 32 * 1024 * 1024


def test_a_command_that_fails_says_why_after_its_output(server: Sshd) -> None:
    came = b""
    with connected(server) as channel, pytest.raises(PeerFailedError, match="status 3: 'no such thing'"):
        for chunk in channel.stream("echo first; echo no such thing >&2; exit 3", 10.0):
            came += chunk
    assert came == b"first\n"


def test_a_command_that_falls_silent_is_left(server: Sshd) -> None:
    started, came = time.monotonic(), b""
    with connected(server) as channel, pytest.raises(DeadlineError):
        for chunk in channel.stream("echo first; sleep 60", 8.0):
            came += chunk
    assert came == b"first\n"
    assert time.monotonic() - started < 40


def test_a_host_that_stops_in_the_middle_is_left(server: Sshd) -> None:
    with connected(server) as channel, pytest.raises(AdapterError):
        for _ in channel.stream("yes", 1.0):
            for pid in descendants(server.pid):
                os.kill(pid, signal.SIGSTOP)
    for pid in descendants(server.pid):
        os.kill(pid, signal.SIGKILL)


def incident(server: Sshd, folder: Path) -> Incident:
    endpoint = SshEndpoint(
        address="127.0.0.1", port=server.port, credential="root", known_hosts=server.known_hosts
    )
    host = Host("esx03", Platform.ESXI, "127.0.0.1", channels=(endpoint,))
    case = CaseFolder.create(folder, "esx03", datetime.now(UTC))
    connections = Connections({"root": credential_for(server)}, print)
    return Incident(
        host, Playbook.model_validate(PLAYBOOK), case, connections, Silent(), lambda targets, seconds: []
    )


def run(server: Sshd, folder: Path, command: str) -> tuple[list[str], Incident, list[dict[str, Any]]]:
    made = incident(server, folder)
    log = LogSource(name="bundle.tgz", command=command, stream=True, deadline="6s")
    failures = stream(made, log, Deadline.after(30.0))
    missing = [dict(e.data) for e in made.case.journal.entries() if e.event == "artifact.missing"]
    return failures, made, missing


def test_the_output_is_a_file_of_the_case(server: Sshd, tmp_path: Path) -> None:
    failures, made, missing = run(server, tmp_path, "seq 1 100000")
    assert (failures, missing) == ([], [])
    artifact = made.case.journal.last("artifact")
    assert artifact is not None
    data = (made.case.path / "data" / "logs" / "bundle.tgz").read_bytes()
    assert artifact.data["sha256"] == hashlib.sha256(data).hexdigest()
    assert data.endswith(b"\n100000\n")


def test_what_came_before_it_broke_off_is_kept_and_said_to_be_a_part(server: Sshd, tmp_path: Path) -> None:
    failures, made, missing = run(server, tmp_path, "echo first; sleep 60")
    assert failures == []
    assert (made.case.path / "data" / "logs" / "bundle.tgz").read_bytes() == b"first\n"
    assert [row["name"] for row in missing] == ["bundle.tgz (whole)"]


def test_a_command_that_is_not_there_leaves_no_file(server: Sshd, tmp_path: Path) -> None:
    failures, made, missing = run(server, tmp_path, "vm-support-that-is-not-here -s")
    assert len(failures) == 1
    assert [row["name"] for row in missing] == ["bundle.tgz"]
    assert not (made.case.path / "data" / "logs" / "bundle.tgz").exists()
