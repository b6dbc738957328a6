"""`hang-collector demo`: the main job against a lab of its own on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the demo's case goes; otherwise a new folder.")
    ] = None,
) -> None:
    """Watch a server hang and the dump come home: real protocols on loopback, nothing else is touched."""
    import io
    import sys
    import tempfile

    from collector.case.folder import find
    from collector.cli.app import run
    from collector.lab.demo import lab

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # stay in step with the progress on stderr
    place = folder or Path(tempfile.mkdtemp(prefix="hang-collector-demo-"))

    def command(*arguments: str) -> int:
        print(f"\n$ hang-collector {' '.join(arguments)}", flush=True)
        code = run(arguments)
        if code not in (0, None):
            print(f"(exit code {code})")
        return code

    with lab(place) as running:
        config = ("--config", str(running.settings))
        print(f"db01 is a server on 127.0.0.1:{running.host.port}, and its BMC is on {running.bmc.port}/udp.")
        print("While it is well, `probe` records whether it would dump:")
        command("probe", "db01", *config)
        running.host.hang()
        print("\nNow its user mode hangs. Ping and the TCP handshake still work:")
        code = command("collect", "db01", "--confirm", "db01", *config)
        nmis = running.host.nmis
    print(f"\nNMIs that arrived at the server: {nmis}")
    for case in find(place / "cases"):
        command("case", "verify", str(case))
        print(f"\nThe report: {case / 'report.html'}")
    raise typer.Exit(code)
