"""How the WinRM adapters log in to the WS-Management server of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collector.adapters.winrm import WinrmEndpoint
from collector.model.host import Credential, SecretRef
from tests.peers.wsman import PASSWORD, USER, Wsman


def winrm_keys(server: Wsman) -> dict[str, Any]:
    """Where the server is, as keys of an endpoint."""
    ca_file = server.ca if server.tls else None
    return {"address": server.address, "port": server.port, "tls": server.tls, "ca_file": ca_file}


def winrm_endpoint(server: Wsman, **keys: Any) -> WinrmEndpoint:
    """The server's endpoint."""
    return WinrmEndpoint(**{**winrm_keys(server), **keys})


def winrm_login(folder: Path, password: str = PASSWORD) -> Credential:
    """The server's account, with the password in a file."""
    secret = folder / "winrm-password"
    secret.write_text(password)
    secret.chmod(0o600)
    return Credential("win", username=USER, password=SecretRef("file", str(secret), folder))
