"""What several commands need: the settings, the hosts, and the adapters' connections."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collector.config.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings file; otherwise HC_CONFIG, ./hang-collector.yaml, and so on."
    ),
]
FormatOption = Annotated[str, typer.Option("--format", "-f", help="table or json.")]


def settings(config: Path | None) -> Settings:
    """Load the settings with the endpoint models of all installed adapters."""
    from collector.adapters.registry import channel_settings, controller_settings
    from collector.config.discovery import locate
    from collector.config.loader import load

    return load(locate(config), controllers=controller_settings(), channels=channel_settings())


def checked_format(name: str) -> str:
    """Refuse a format that this command does not have."""
    if name not in ("table", "json"):
        raise typer.BadParameter(f"{name!r} is not one of: table, json", param_hint="--format")
    return name


def warn(text: str) -> None:
    """Tell a person, on stderr, what must not be overlooked."""
    from collector.render.text import printable

    print(f"WARNING: {printable(text)}", file=sys.stderr)
