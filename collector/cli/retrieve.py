"""`hang-collector retrieve`: the dump of a host that crashed by itself, or by another hand."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.collect import chosen, confirmation, new_case, refuse_without_nmi
from collector.cli.shared import ConfigOption, FormatOption, checked_format, settings


def retrieve(
    host: Annotated[str, typer.Argument(help="A host of the settings file, which crashed already.")],
    since: Annotated[
        str, typer.Option("--since", metavar="AGO", help="How long ago it crashed at most: 30m, 24h.")
    ] = "24h",
    playbook: Annotated[str | None, typer.Option("--playbook", help="Follow this one.")] = None,
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """Bring home the newest dump and the logs of HOST, which crashed already. Sends no NMI.

    It waits for a host that is still down, as `collect` does after its NMI, and judges the dump. A dump that
    is older than --since is left where it is.
    """
    from collector.playbook.schema import parse_duration
    from collector.run.collect import Options

    checked_format(output)
    try:
        within = parse_duration(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    known = settings(config)
    machine, followed = chosen(known, host, playbook, explain=False)
    refuse_without_nmi(followed, machine, "retrieve fetches the dump of a crash, as after an NMI")
    options = Options(crashed_within=within)
    new_case(known, machine, followed, options, confirmation(None, no_input=True), output)
