"""The audit over OpenSSH's own server: real shells, restricted ones, noisy ones, and one that stops."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.adapters.ssh import SshEndpoint
from collector.model.audit import HostAudit, Link
from collector.model.host import Credential, Host, Platform, SecretRef
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.run.audit import audit
from tests.peers.sshd import Sshd, sshd, stopped


def audited(server: Sshd, cases: Path, seconds: float = 60.0) -> HostAudit:
    key = SecretRef("file", str(server.private_key), Path())
    endpoint = SshEndpoint(
        address="127.0.0.1", port=server.port, known_hosts=server.known_hosts, credential="key"
    )
    host = Host("db01", Platform.LINUX, "127.0.0.1", (), (endpoint,))
    connections = Connections({"key": Credential("key", server.user, private_key=key)}, print)
    return audit(host, connections, cases, Deadline.after(seconds))


def test_a_real_host_is_judged_by_what_it_is(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        found = audited(server, tmp_path / "cases")
    assert [step.outcome for step in found.gathered] == [Outcome.SUCCESS]
    verdicts = {verdict.id: verdict for verdict in found.verdicts}
    assert verdicts["CH-1"].level is Level.OK
    assert verdicts["AUTO-2"].reason.startswith(
        f"kernel.panic is {Path('/proc/sys/kernel/panic').read_text().strip()}:"
    )
    assert verdicts["CT-1"].level is Level.CRITICAL  # it has no controller
    assert found.reason.startswith(f"{Link.TRIGGER}: none of the host's controllers")


def test_a_login_that_prints_first_loses_nothing(tmp_path: Path) -> None:
    noisy = "ForceCommand=echo kexec_crash_loaded; echo Welcome=; eval $SSH_ORIGINAL_COMMAND"
    noisy = noisy.replace("$SSH_ORIGINAL_COMMAND", '"$SSH_ORIGINAL_COMMAND"')
    with sshd(tmp_path / "sshd", noisy) as server:
        found = audited(server, tmp_path / "cases")
    assert [step.outcome for step in found.gathered] == [Outcome.SUCCESS]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo This account is currently not available.", "said: This account is currently not available."),
        ("echo Your password has expired >&2; exit 1", "said: Your password has expired"),
        ("true", "exit status 0 and no facts"),
        ("head -c 20000000 /dev/zero | tr '\\000' A", "no facts, and said: AAAA"),
        ("head -c 300000 /dev/urandom", "no facts"),
    ],
)
def test_a_shell_that_gives_no_facts_is_a_clear_row(tmp_path: Path, command: str, said: str) -> None:
    with sshd(tmp_path / "sshd", f"ForceCommand={command}") as server:
        found = audited(server, tmp_path / "cases")
    assert found.gathered[-1].outcome is Outcome.FAILED
    assert said in found.gathered[-1].detail
    assert len(found.gathered[-1].detail) < 400
    levels = {link.link: link.level for link in found.links}
    assert levels[Link.CAPTURE] is Level.UNKNOWN


def test_a_server_that_stops_is_a_row_by_the_deadline(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server, stopped(server.pid):
        started = time.monotonic()
        found = audited(server, tmp_path / "cases", seconds=3)
    assert time.monotonic() - started < 30
    assert found.gathered[-1].outcome is Outcome.TIMEOUT


def test_a_refused_key_is_tried_once_and_named(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", "PubkeyAuthentication=no") as server:
        found = audited(server, tmp_path / "cases")
    assert found.gathered[-1].outcome is Outcome.DENIED
    assert "CH-1" in {verdict.id for verdict in found.verdicts if verdict.level is Level.UNKNOWN}
