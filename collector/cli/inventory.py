"""`hang-collector inventory`: which hosts there are, and how to take them over from other lists."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.shared import ConfigOption, GroupOption, chosen_hosts, settings, warn

if TYPE_CHECKING:
    from collector.adapters.limits import Deadline
    from collector.adapters.vsphere import VsphereEndpoint
    from collector.adapters.vsphere_machines import Machine
    from collector.adapters.vsphere_session import VsphereSession
    from collector.model.host import Credential

app = typer.Typer(no_args_is_help=True, help="List the hosts, and take hosts over from other lists.")

_LONGEST = 300.0
"""Seconds for a vCenter of tens of thousands of machines."""


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


taking_over = typer.Typer(
    no_args_is_help=True, help="Print the hosts of another list as the `hosts` of a settings file."
)
app.add_typer(taking_over, name="import")


@taking_over.command("list")
def take_over(
    source: Annotated[Path, typer.Argument(help="hosts.csv, or what `ansible-inventory --list` printed.")],
    login: Annotated[str, typer.Option(help="Name of the credential for the hosts.")] = "",
    bmc_login: Annotated[str, typer.Option(help="Name of the credential for their BMCs.")] = "",
) -> None:
    """Print the hosts of a CSV file or of Ansible. Changes no file."""
    from collector.inventory import ansible, comma_separated
    from collector.inventory.entry import as_yaml

    reader = comma_separated if source.suffix.lower() == ".csv" else ansible
    for line in as_yaml(entry.with_logins(login, bmc_login) for entry in reader.entries(source)):
        print(line)


@taking_over.command()
def vcenter(
    address: Annotated[str, typer.Argument(help="The vCenter, or an ESXi host.")],
    credential: Annotated[str, typer.Option(help="Name of the credential for it, in the settings file.")],
    below: Annotated[
        str | None, typer.Option(help="Only below this inventory path: DC/vm/folder, DC/host/cluster.")
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            help="Only machines with this tag: NAME, or CATEGORY/NAME. It must be on the machine itself: "
            "tags of a folder, a cluster or a host are not inherited."
        ),
    ] = None,
    with_tags: Annotated[
        bool, typer.Option("--with-tags", help="Take the machines' tags over; --tag does so, too.")
    ] = False,
    login: Annotated[str, typer.Option(help="Name of the credential for the machines.")] = "",
    port: Annotated[int, typer.Option(help="TCP port.")] = 443,
    ca_file: Annotated[Path | None, typer.Option(help="PEM file of its CA, or its own certificate.")] = None,
    certificate_sha256: Annotated[str | None, typer.Option(help="Fingerprint of its certificate.")] = None,
    config: ConfigOption = None,
) -> None:
    """Print the virtual machines of a vCenter. Only reads."""
    from collector.adapters.limits import Deadline
    from collector.adapters.vsphere import VsphereEndpoint, log_in
    from collector.inventory.entry import as_yaml
    from collector.inventory.machines import entries

    endpoint = VsphereEndpoint(
        address=address,
        port=port,
        credential=credential,
        ca_file=ca_file,
        certificate_sha256=certificate_sha256,
    )
    deadline = Deadline.after(_LONGEST)
    account = settings(config).credentials.get(credential)
    with contextlib.closing(log_in(endpoint, account, deadline)) as session:
        from collector.adapters.vsphere_machines import machines  # needs what log_in has proved to be there

        found = machines(session, below, deadline)
        if tag is not None or with_tags:
            found = _tagged(session, endpoint, account, found, tag, deadline)
    for line in as_yaml(entry.with_logins(login, "") for entry in entries(found, address, credential)):
        print(line)


def _tagged(
    session: VsphereSession,
    endpoint: VsphereEndpoint,
    account: Credential | None,
    found: list[Machine],
    wanted: str | None,
    deadline: Deadline,
) -> list[Machine]:
    """Those that have the tag, or with None all of them; each with the tags that it has."""
    from collector.adapters.vsphere import log_in_to_rest
    from collector.adapters.vsphere_machines import choose, with_tags
    from collector.adapters.vsphere_tags import Tags
    from collector.errors import UnsupportedError

    if not session.vcenter:
        raise UnsupportedError(f"{session.where} is an ESXi host, which has no tags", hint="Ask its vCenter.")
    version = str(session.content.about.apiVersion)
    with contextlib.closing(log_in_to_rest(endpoint, account, version, deadline)) as rest:
        tags = Tags(rest)
        if wanted is not None:
            found, elsewhere = choose(found, tags, wanted, deadline)
            if elsewhere:
                warn(elsewhere)
        return with_tags(found, tags, deadline)
