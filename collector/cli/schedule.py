"""`hang-collector schedule`: let the system's own scheduler run the audit."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from collector.cli.shared import ConfigOption

app = typer.Typer(help="Run the audit every night, by the system's own scheduler.", no_args_is_help=True)


@app.command("print")
def print_units(
    kind: Annotated[str, typer.Argument(help="systemd, cron or kubernetes.")],
    options: Annotated[
        list[str] | None, typer.Argument(help="After --: hosts and options of `audit`; otherwise --all.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print the units to install, each under the name of its file. Installs nothing."""
    from pathlib import Path

    from collector.config.discovery import locate
    from collector.fleet.schedule import KINDS

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not one of: {', '.join(KINDS)}", param_hint="KIND")
    if kind == "kubernetes":
        program, settings = "hang-collector", Path("/etc/hang-collector/config.yaml")
    else:
        program, settings = str(Path(sys.argv[0]).absolute()), locate(config).absolute()
    command = [program, "audit", *(options or ["--all"]), "--config", str(settings)]
    for name, text in KINDS[kind](command).items():
        print(f"# {name}\n{text}")
