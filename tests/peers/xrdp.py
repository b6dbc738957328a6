"""xrdp on loopback: a real RDP server, with a certificate of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.certificate import make_certificate
from tests.peers.server import free_port, running, tool, wait_for_port


@dataclass(frozen=True)
class Xrdp:
    """Where the server listens."""

    port: int
    pid: int
    log: Path


_CONFIG = """\
[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:{port}
security_layer=negotiate
certificate={certificate}
key_file={certificate}
crypt_level=high
ssl_protocols=TLSv1.2, TLSv1.3
[Logging]
LogFile={log}
LogLevel=INFO
EnableSyslog=false
[Channels]
"""


@contextlib.contextmanager
def xrdp(folder: Path) -> Iterator[Xrdp]:
    """Run xrdp for the length of the block."""
    binary = tool("xrdp", package="xrdp")
    folder.mkdir(parents=True, exist_ok=True)
    port, log, config = free_port(), folder / "xrdp.log", folder / "xrdp.ini"
    config.write_text(_CONFIG.format(port=port, log=log, certificate=make_certificate(folder / "rdp.pem")))
    with running([binary, "--nodaemon", "--config", config], folder / "xrdp.out") as process:
        wait_for_port(port)
        yield Xrdp(port, process.pid, log)
