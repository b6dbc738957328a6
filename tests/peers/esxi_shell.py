"""The shell of an ESXi host behind a real sshd: `esxcli` and `vmdumper` are scripts that a test writes."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.adapters.esxi_vm import EsxiVmController, EsxiVmEndpoint
from collector.adapters.limits import Deadline
from tests.contract.credentials import credential_for
from tests.peers.sshd import Sshd, sshd

APP07 = "42 30 f9 ee a2 2a 3c e0-02 33 07 ac af f8 d2 5c"
LISTING = f"""\
web (old): 1
   World ID: 2099001
   Process ID: 0
   VMX Cartel ID: 2099000
   UUID: 42 30 00 00 00 00 00 00-00 00 00 00 00 00 00 01
   Display Name: web (old): 1
   Config File: /vmfs/volumes/5f3c-1/web/web.vmx

app07
   World ID: 3199732
   Process ID: 0
   VMX Cartel ID: 3199731
   UUID: {APP07}
   Display Name: app07
   Config File: /vmfs/volumes/5f3c-1/app 07/app07.vmx
"""


@dataclass(frozen=True)
class EsxiShell:
    """The running host."""

    server: Sshd
    folder: Path

    def has(self, tool: str, script: str) -> None:
        """Give the host a tool."""
        file = self.folder / tool
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def nmis(self) -> list[str]:
        """The arguments of each NMI that was sent."""
        file = self.folder / "nmis"
        return file.read_text().splitlines() if file.exists() else []

    def controller(self, vm: str = "app07", seconds: float = 30.0, way: str = "vmdumper") -> EsxiVmController:
        """Our controller of a machine; it is not logged in yet."""
        server = self.server
        endpoint = EsxiVmEndpoint.model_validate(
            {
                "address": "127.0.0.1",
                "port": server.port,
                "known_hosts": server.known_hosts,
                "vm": vm,
                "way": way,
            }
        )
        return EsxiVmController(endpoint, credential_for(server), Deadline.after(seconds))


@contextlib.contextmanager
def esxi_shell(folder: Path, *, then: str = "echo Sending NMI to guest...") -> Iterator[EsxiShell]:
    """A host with the machine app07. Its vmdumper sends the NMI, and does `then`."""
    tools = folder / "tools"
    tools.mkdir(parents=True)
    path = shlex.quote(f"PATH={tools}:/usr/bin:/bin")
    with sshd(folder / "sshd", f'ForceCommand=env {path} sh -c "$SSH_ORIGINAL_COMMAND"') as server:
        host = EsxiShell(server, tools)
        host.has("esxcli", f"[ \"$*\" = 'vm process list' ] || exit 1\ncat <<'EOF'\n{LISTING}EOF")
        host.has("vmdumper", f'echo "$*" >> {tools}/nmis\n{then}')
        yield host
