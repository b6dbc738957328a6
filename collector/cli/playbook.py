"""`hang-collector playbook`: which playbooks there are, and which one a host gets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.cli.shared import ConfigOption, settings

app = typer.Typer(no_args_is_help=True, help="List, show and check playbooks, and see which one a host gets.")


@app.command("list")
def list_playbooks(config: ConfigOption = None) -> None:
    """List the shipped playbooks and your own."""
    from collector.playbook.loader import load_all
    from collector.render import playbook as as_table

    as_table.playbooks(load_all(_own(config)))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A playbook that `list` shows.")], config: ConfigOption = None
) -> None:
    """Print the playbook NAME as it is written."""
    from collector.playbook.loader import load_all
    from collector.playbook.select import named
    from collector.render import playbook as as_text

    files = load_all(_own(config))
    playbook = named(files, name)
    as_text.source(next(file for file in files if file.playbook is playbook))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A playbook of your own.")]) -> None:
    """Validate FILE; what is wrong is shown with its line."""
    from collector.playbook.loader import load

    print(f"{file}: {load(file).name} is a valid playbook")


@app.command()
def select(
    host: Annotated[str, typer.Argument(help="A host of the settings file.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why this one, and why not the others.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Name the playbook that `collect HOST` would follow."""
    from collector.inventory.select import select as select_hosts
    from collector.playbook import select as selection
    from collector.playbook.loader import load_all

    known = settings(config)
    (machine,) = select_hosts(known, [host])
    chosen = selection.select(machine, load_all(known.playbooks))
    print(selection.explain(chosen) if explain else chosen.playbook.name)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a playbook."""
    from collector.playbook.schema import json_schema

    print(json_schema(), end="")


def _own(config: Path | None) -> Path | None:
    """The folder of the user's own playbooks. The shipped ones can be seen without a settings file."""
    from collector.config.discovery import search

    found = search(config)
    return settings(found).playbooks if found else None
