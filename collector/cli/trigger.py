"""`hang-collector trigger`: everything of `collect` up to the NMI, and no waiting."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.collect import (
    AcceptOption,
    ConfirmOption,
    DryRunOption,
    NoInputOption,
    ResponsiveOption,
    SendAgainOption,
    chosen,
    confirmation,
    new_case,
    refuse_without_nmi,
)
from collector.cli.shared import ConfigOption, FormatOption, checked_format, settings


def trigger(
    host: Annotated[str, typer.Argument(help="A host of the settings file.")],
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    no_input: NoInputOption = False,
    even_if_responsive: ResponsiveOption = False,
    accept: AcceptOption = None,
    send_again: SendAgainOption = "",
    playbook: Annotated[str | None, typer.Option("--playbook", help="Follow this one.")] = None,
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """Prove that HOST hangs, keep the evidence, send one NMI, and leave the rest to `resume`.

    It is `collect` without the waiting: the same checks, the same one NMI, and a case that goes on later.
    """
    from collector.run.collect import Options

    checked_format(output)
    known = settings(config)
    machine, followed = chosen(known, host, playbook, explain=False)
    refuse_without_nmi(followed, machine, "trigger sends an NMI")
    options = Options(dry_run, even_if_responsive, frozenset(accept or ()), send_again, trigger_only=True)
    new_case(known, machine, followed, options, confirmation(confirm, no_input), output)
