"""What several commands need: the settings, the hosts, and the adapters' connections."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collector.config.settings import Settings
    from collector.model.host import Host

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings file; otherwise HC_CONFIG, ./hang-collector.yaml, and so on."
    ),
]
EveryoneOption = Annotated[bool, typer.Option("--all", help="Every host of the settings file.")]
GroupOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group", "-g", metavar="TAG", help="The hosts with this tag; repeatable, for any of them."
    ),
]
FormatOption = Annotated[str, typer.Option("--format", "-f", help="table or json.")]


def settings(config: Path | None) -> Settings:
    """Load the settings with the endpoint models of all installed adapters."""
    from collector.adapters.registry import channel_settings, controller_settings
    from collector.config.discovery import locate
    from collector.config.loader import load

    return load(locate(config), controllers=controller_settings(), channels=channel_settings())


def chosen_hosts(known: Settings, names: Sequence[str] | None, tags: Sequence[str] | None) -> list[Host]:
    """The hosts of these names, or with one of these tags; with neither, all there are.

    Raises:
        InventoryError: a name or a tag is unknown, or there is no host at all.
    """
    from collector.errors import InventoryError
    from collector.inventory.select import select, tagged

    if not known.hosts:
        raise InventoryError(f"there is nobody to ask in {known.path}", hint="Add hosts under `hosts`.")
    if tags:
        return tagged(known, tags)
    return select(known, names or list(known.hosts))


def checked_format(name: str) -> str:
    """Refuse a format that this command does not have."""
    if name not in ("table", "json"):
        raise typer.BadParameter(f"{name!r} is not one of: table, json", param_hint="--format")
    return name


def warn(text: str) -> None:
    """Tell a person, on stderr, what must not be overlooked."""
    from collector.render.text import printable

    print(f"WARNING: {printable(text)}", file=sys.stderr)
