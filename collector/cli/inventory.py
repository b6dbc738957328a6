"""`hang-collector inventory`: which hosts there are, and how to take them over from other lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.cli.shared import ConfigOption, GroupOption, chosen_hosts, settings

app = typer.Typer(no_args_is_help=True, help="List the hosts, and take hosts over from CSV and Ansible.")


@app.command("list")
def show(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="Hosts, such as web[01-40]; otherwise all.")
    ] = None,
    group: GroupOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the hosts of the settings file, those that are reached alike together. Asks none of them."""
    if hosts and group:
        raise typer.BadParameter("name the hosts or their tag, not both", param_hint="HOSTS")

    from collector.render.inventory import inventory

    inventory(chosen_hosts(settings(config), hosts, group))


@app.command("import")
def take_over(
    source: Annotated[Path, typer.Argument(help="hosts.csv, or what `ansible-inventory --list` printed.")],
    login: Annotated[str, typer.Option(help="Name of the credential for the hosts.")] = "",
    bmc_login: Annotated[str, typer.Option(help="Name of the credential for their BMCs.")] = "",
) -> None:
    """Print the hosts of another list as the `hosts` of a settings file. Changes no file."""
    from collector.inventory import ansible, comma_separated
    from collector.inventory.entry import as_yaml

    reader = comma_separated if source.suffix.lower() == ".csv" else ansible
    for line in as_yaml(entry.with_logins(login, bmc_login) for entry in reader.entries(source)):
        print(line)
