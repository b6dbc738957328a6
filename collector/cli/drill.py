"""`hang-collector drill`: prove on a healthy host that an NMI ends in a dump."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.collect import (
    AcceptOption,
    ConfirmOption,
    DryRunOption,
    NoInputOption,
    chosen,
    confirmation,
    new_case,
    refuse_without_nmi,
)
from collector.cli.shared import ConfigOption, FormatOption, checked_format, settings


def drill(
    host: Annotated[str, typer.Argument(help="A healthy host of the settings file, in maintenance.")],
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    no_input: NoInputOption = False,
    accept: AcceptOption = None,
    playbook: Annotated[str | None, typer.Option("--playbook", help="Follow this one.")] = None,
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """Crash HOST on purpose, with one NMI, and see that its dump comes home; the audit counts it as proof.

    It is `collect` on a host that must be healthy: a real NMI, a panic, a dump, a reboot. Take the host's
    services away first, and tell its cluster and its monitoring.
    """
    from collector.run.collect import Options

    checked_format(output)
    known = settings(config)
    machine, followed = chosen(known, host, playbook, explain=False)
    refuse_without_nmi(followed, machine, "a drill sends an NMI")
    options = Options(dry_run=dry_run, accepted=frozenset(accept or ()))
    new_case(known, machine, followed, options, confirmation(confirm, no_input), output, drill=True)
