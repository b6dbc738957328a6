"""How the tests log in to their sshd."""

from __future__ import annotations

from pathlib import Path

from collector.adapters.ssh import SshEndpoint
from collector.model.host import Credential, SecretRef
from tests.peers.sshd import Sshd


def credential_for(server: Sshd) -> Credential:
    """The credential that the test's sshd takes."""
    return Credential(
        "oncall", username=server.user, private_key=SecretRef("file", str(server.private_key), Path())
    )


def endpoint_for(server: Sshd) -> SshEndpoint:
    """The endpoint of the test's sshd, with its host key known."""
    return SshEndpoint(address="127.0.0.1", port=server.port, known_hosts=server.known_hosts)
