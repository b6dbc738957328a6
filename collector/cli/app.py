"""The Typer application: which commands there are, and how errors end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import typer

from collector.cli import (
    audit,
    case,
    collect,
    config,
    demo,
    drill,
    exit_codes,
    inspect,
    inventory,
    playbook,
    probe,
    retrieve,
    schedule,
    triage,
    trigger,
)
from collector.cli.exit_codes import ExitCode, of
from collector.errors import CollectorError, defect

app = typer.Typer(
    name="hang-collector",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a pretty traceback prints source lines and values: secrets
    help="Collect the evidence from a hung server: prove the hang, send one NMI, bring the dump home.",
    epilog="`hang-collector COMMAND --help` shows a command's options.",
)
app.command()(probe.probe)
app.command()(audit.audit)
app.command()(collect.collect)
app.command()(collect.resume)
app.command()(trigger.trigger)
app.command()(retrieve.retrieve)
app.command()(drill.drill)
app.command()(inspect.inspect)
app.command()(triage.triage)
app.command()(demo.demo)
app.command("exit-codes")(exit_codes.show)
app.add_typer(schedule.app, name="schedule")
app.add_typer(case.app, name="case")
app.add_typer(playbook.app, name="playbook")
app.add_typer(config.app, name="config")
app.add_typer(inventory.app, name="inventory")


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Collect the evidence from a hung server: prove the hang, send one NMI, bring the dump home."""
    if version:
        from collector import __version__

        print(f"hang-collector {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error ends in a message with a hint."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    if audit.is_plugin(arguments):
        code = _run(arguments, _say_to_monitoring)
        return code if code in list(audit.Status) else audit.Status.UNKNOWN
    return _run(arguments, _say)


def _run(arguments: Sequence[str], say: Callable[[str, str], None]) -> int:
    try:
        status = app(args=list(arguments), prog_name="hang-collector", standalone_mode=False)
    except CollectorError as error:
        say(str(error), error.hint)
        return of(error.code)
    except typer.TyperException as error:
        if not error.format_message():  # the help was shown, because there were no arguments
            return ExitCode.USAGE
        say(error.format_message(), "`hang-collector --help` lists the commands and options.")
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted", "Nothing that was collected is lost.")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: a message instead of a traceback
        say(defect(error), "Please report it with the command line; the case and its journal are whole.")
        return ExitCode.INTERNAL
    return int(status or 0)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(message: str, hint: str) -> None:
    from collector.render.text import printable

    print(f"error: {printable(message)}\n  hint: {printable(hint)}", file=sys.stderr)


def _say_to_monitoring(message: str, _hint: str) -> None:
    """A plugin's one line is on its standard output, whatever happens."""
    from collector.render.text import printable

    print(f"UNKNOWN - {' '.join(printable(message).replace('|', '/').split())}")
