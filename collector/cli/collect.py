"""`hang-collector collect` and `resume`: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.shared import ConfigOption, FormatOption, checked_format, settings, warn

if TYPE_CHECKING:
    from collector.case.folder import CaseFolder
    from collector.config.settings import Settings
    from collector.model.host import Host
    from collector.playbook.schema import Playbook
    from collector.run.collect import Confirm, Options
    from collector.run.incident import Incident

ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", metavar="HOST", help="The host's name, instead of a prompt.")
]
NoInputOption = Annotated[bool, typer.Option("--no-input", help="Never prompt; needs --confirm.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Do everything up to the NMI for real, and stop there.")
]
ResponsiveOption = Annotated[
    bool, typer.Option("--even-if-responsive", help="Crash the host although it answers.")
]
AcceptOption = Annotated[
    list[str] | None,
    typer.Option("--accept", metavar="CHECK", help="Go on although this preflight check is critical."),
]
SendAgainOption = Annotated[
    str,
    typer.Option("--send-again", metavar="REASON", help="Send another NMI although one may have arrived."),
]


def collect(
    host: Annotated[str, typer.Argument(help="A host of the settings file.")],
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    no_input: NoInputOption = False,
    even_if_responsive: ResponsiveOption = False,
    accept: AcceptOption = None,
    send_again: SendAgainOption = "",
    playbook: Annotated[str | None, typer.Option("--playbook", help="Follow this one.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why this playbook was chosen.")] = False,
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """Prove that HOST hangs, keep the evidence, send one NMI, wait, and bring dump and logs home."""
    from collector.run.collect import Options

    checked_format(output)
    known = settings(config)
    machine, followed = chosen(known, host, playbook, explain=explain)
    options = Options(dry_run, even_if_responsive, frozenset(accept or ()), send_again)
    new_case(known, machine, followed, options, confirmation(confirm, no_input), output)


def chosen(known: Settings, host: str, playbook: str | None, *, explain: bool) -> tuple[Host, Playbook]:
    """The host of that name, and the playbook for it; `explain` says why this one."""
    from collector.inventory.select import select
    from collector.playbook.loader import load_all
    from collector.playbook.select import explain as explain_selection
    from collector.playbook.select import named
    from collector.playbook.select import select as select_playbook

    (machine,) = select(known, [host])
    files = load_all(known.playbooks)
    if playbook:
        return machine, named(files, playbook)
    found = select_playbook(machine, files)
    if explain:
        print(explain_selection(found), file=sys.stderr)
    return machine, found.playbook


def refuse_without_nmi(playbook: Playbook, machine: Host, why: str) -> None:
    """Raises: PlaybookError: the playbook keeps the memory without a crash; `why` that does not fit."""
    from collector.errors import PlaybookError
    from collector.playbook.schema import Act

    if playbook.steps.trigger.act is not Act.NMI:
        raise PlaybookError(
            f"{why}, and the playbook {playbook.name} sends none",
            hint="Name another with --playbook; `hang-collector playbook list` shows them.",
            host=machine.name,
        )


def new_case(
    known: Settings,
    machine: Host,
    playbook: Playbook,
    options: Options,
    confirm: Confirm,
    output: str,
    *,
    drill: bool = False,
) -> None:
    """Open a case and run it to its end."""
    from datetime import UTC, datetime

    from collector import __version__
    from collector.case.folder import CaseFolder
    from collector.run.collect import held

    with held(known.cases, machine):
        case = CaseFolder.create(known.cases, machine.name, datetime.now(UTC))
        case.journal.append(
            "case.opened",
            host=machine.name,
            address=machine.address,
            platform=machine.platform,
            playbook=playbook.name,
            operator=_operator(),
            version=__version__,
            dry_run=options.dry_run,
            drill=drill,
        )
        incident = _incident(known, machine, playbook, case)
        _run(incident, options, confirm, output)


def resume(
    case: Annotated[Path, typer.Argument(help="The case folder.")],
    confirm: ConfirmOption = None,
    no_input: NoInputOption = False,
    even_if_responsive: ResponsiveOption = False,
    accept: AcceptOption = None,
    send_again: SendAgainOption = "",
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """Go on with CASE from its journal. An NMI that may have been sent is never sent again by itself."""
    from collector.case.folder import CaseFolder
    from collector.errors import CaseError
    from collector.inventory.select import select
    from collector.playbook.loader import load_all
    from collector.playbook.select import named
    from collector.run.collect import Options, held

    checked_format(output)
    known = settings(config)
    folder = CaseFolder.open(case)
    opened = folder.journal.last("case.opened")
    if opened is None:
        raise CaseError(
            f"{case} was never opened: its journal is empty",
            hint="Nothing was done in it. Remove it, and `collect` anew.",
        )
    (machine,) = select(known, [folder.host])
    playbook = named(load_all(known.playbooks), str(opened.data["playbook"]))
    dry_run = bool(opened.data.get("dry_run"))
    options = Options(dry_run, even_if_responsive, frozenset(accept or ()), send_again)
    with held(folder.path.parent, machine):
        folder.journal.append("resumed", by=_operator())
        incident = _incident(known, machine, playbook, folder)
        _run(incident, options, confirmation(confirm, no_input), output)


def _incident(known: Settings, host: Host, playbook: Playbook, case: CaseFolder) -> Incident:
    from collector.adapters.registry import Connections
    from collector.probe.io import observe
    from collector.render.progress import progress
    from collector.run.incident import Incident

    def notify(text: str) -> None:
        case.journal.append("notice", text=text)
        warn(text)

    return Incident(host, playbook, case, Connections(known.credentials, notify), progress(), observe)


def _run(incident: Incident, options: Options, confirm: Confirm, output: str) -> None:
    """Run the stages, show the one row, and leave with the exit code that names how it ended."""
    from collector.cli.exit_codes import ExitCode, of
    from collector.render import json as as_json
    from collector.render import result as as_table
    from collector.run.collect import collect as run_stages

    try:
        result = run_stages(incident, options, confirm)
    except KeyboardInterrupt:
        incident.progress.pause()
        as_table.interrupted(incident.case.path)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    finally:
        incident.progress.pause()
    (as_json.result if output == "json" else as_table.result)(result)
    raise typer.Exit(of(result.code))


_PRICES = {
    "nmi": "This takes {name} down: one NMI, a panic, a dump, a reboot.",
    "drill": "This takes {name} down although it is healthy: one NMI, a panic, a dump, a reboot. "
    "Its services must be elsewhere, and its cluster and monitoring told.",
    "snapshot": "This stops {name} while its memory is written out, for minutes perhaps; it does not crash.",
}
"""What a person is told before the question: by the playbook's act, or of a drill."""


def confirmation(given: str | None, no_input: bool) -> Confirm:
    """Make the question that only the host's own name answers.

    `given` is what `--confirm` was set to; without it a person at a terminal is asked.
    """

    def ask(incident: Incident) -> str:
        from collector.errors import ConfirmationError

        name = incident.host.name
        if given is None and not no_input and sys.stdin.isatty():
            incident.progress.pause()
            price = "drill" if incident.drill else incident.playbook.steps.trigger.act
            print(_PRICES[price].format(name=name), file=sys.stderr)
            typed = typer.prompt(f"Type {name} to go on", err=True, default="", show_default=False)
            how = "typed at the prompt"
        else:
            typed, how = given or "", "--confirm"
        if typed.strip() != name:
            raise ConfirmationError(
                f"nothing was done: {'it was not confirmed' if not typed else 'the name given is another'}",
                hint=f"Confirm with the host's name: --confirm {name}",
                host=name,
            )
        return how

    return ask


def _operator() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
