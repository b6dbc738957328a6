"""`hang-collector config`: which settings file is read, whether it is right, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.shared import ConfigOption, settings

if TYPE_CHECKING:
    from collector.model.host import Credential

app = typer.Typer(no_args_is_help=True, help="Find and check the settings file, and print its JSON Schema.")


@app.command()
def check(
    config: ConfigOption = None,
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Also fetch every secret, to see that its reference leads to one."),
    ] = False,
) -> None:
    """Validate the settings file; everything that is wrong is shown with its line. No secret is printed."""
    known = settings(config)
    print(f"ok: {len(known.hosts)} hosts, {len(known.credentials)} credentials in {known.path}")
    if secrets:
        _fetch_all(known.credentials.values())


@app.command()
def path(config: ConfigOption = None) -> None:
    """Print the path of the settings file that the other commands read."""
    from collector.config.discovery import locate

    print(locate(config).absolute())


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings file, with the endpoints of every installed adapter."""
    from collector.adapters.registry import channel_settings, controller_settings
    from collector.config.json_schema import as_text

    print(as_text(controller_settings(), channel_settings()), end="")


def _fetch_all(credentials: Iterable[Credential]) -> None:
    from collector.config.secrets import reveal
    from collector.errors import SecretError
    from collector.render.text import printable

    references = {
        f"{credential.name}.{key}": getattr(credential, key)
        for credential in credentials
        for key in ("password", "private_key", "passphrase")
        if getattr(credential, key) is not None
    }
    broken = 0
    for name, reference in references.items():
        try:
            reveal(reference)
        except SecretError as error:
            broken += 1
            print(printable(f"{name}: {error}\n  hint: {error.hint}"))
        else:
            print(f"{name}: ok: {reference}")
    if broken:
        raise SecretError(
            f"{broken} of {len(references)} secret references lead to no secret", hint="Each says why, above."
        )
