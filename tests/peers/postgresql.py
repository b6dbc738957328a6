"""PostgreSQL on a loopback port of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.peers.server import free_port, running, tool, wait_for_port


def _binary(name: str) -> str:
    """Debian keeps the server's programs out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else tool(name, package="postgresql")


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a new, empty server; yield SQLAlchemy's URL of its database. It refuses to run as root."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as short:
        folder, command = Path(short), []
        if os.geteuid() == 0:
            command = [tool("setpriv", package="util-linux"), "--reuid=nobody", "--clear-groups"]
            shutil.chown(folder, "nobody")
        user = "nobody" if command else getpass.getuser()
        data, port = folder / "data", free_port()
        subprocess.run(
            [*command, initdb, "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True, capture_output=True, timeout=100, cwd="/",
        )  # fmt: skip
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"]
        with running([*command, postgres, *options], folder / "log"):
            wait_for_port(port, 60)
            yield f"postgresql+psycopg://{user}@127.0.0.1:{port}/postgres"
