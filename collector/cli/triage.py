"""`hang-collector triage`: what hung it? From a debugger's log to the end of the chain of waits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli.shared import checked_format

if TYPE_CHECKING:
    from collector.run.triage import CaseTriage


def triage(
    what: Annotated[
        Path, typer.Argument(help="A debugger's log, a Linux vmcore, a case folder, or `script`.")
    ],
    debugger: Annotated[str, typer.Argument(help="After `script`: for which debugger (kd).")] = "",
    after: Annotated[
        Path | None, typer.Option("--after", help="With `script`: ask only for what this log misses.")
    ] = None,
    modules: Annotated[
        Path | None,
        typer.Option("--modules", help="YAML that adds to the table of modules and their makers."),
    ] = None,
    output: Annotated[str, typer.Option("--format", "-f", help="table, json or html.")] = "table",
) -> None:
    """Say who waits for whom in a debugger's log, who is at the end, how sure that is, and what to do next.

    Of a Linux vmcore, say which function hangs the machine and what waits behind it, without debug packages.
    Of a case, read both, and add the answer to its report.

    `triage script kd` prints the debugger's commands for a log with the full answer; `--after LOG` only those
    whose answers LOG misses.
    """
    if output != "html":
        checked_format(output)
    if str(what) == "script":
        _script(debugger, after, modules)
        return
    if debugger or after is not None:
        raise typer.BadParameter("only `triage script kd` takes this", param_hint="--after")
    _answer(what, modules, output)


def _answer(what: Path, extra: Path | None, output: str) -> None:
    from collector.errors import DumpError
    from collector.render.triage import as_json, as_table
    from collector.run.triage import triage_case, triage_file
    from collector.triage.modules import load

    found = (triage_case if what.is_dir() else triage_file)(what, load(extra))
    if not found.logs and found.vmcore is None:
        raise DumpError(
            f"nothing in {what.name!r} is the text of a debugger, or a Linux dump",
            hint="`hang-collector triage script kd` prints the commands whose answers are read.",
        )
    if output == "html":
        _page(found)
    else:
        (as_json if output == "json" else as_table)(found)
    if what.is_dir():
        _add_to_case(what, found)


def _page(found: CaseTriage) -> None:
    from collector.render import html_triage
    from collector.triage.source import quote

    if not found.logs:
        raise typer.BadParameter("a Linux dump is shown as table or json", param_hint="--format")
    path, first = found.logs[0]
    print(html_triage.page(path.name, first, quote(path, html_triage.evidence(first))), end="")


def _add_to_case(what: Path, found: CaseTriage) -> None:
    from collector.case.folder import JOURNAL
    from collector.run.triage import add_to_case

    if (what / JOURNAL).is_file() and add_to_case(what, found):
        print(f"added to {what / 'report.md'} and report.html", file=sys.stderr)


def _script(debugger: str, after: Path | None, extra: Path | None) -> None:
    from collector.triage.answer import triage as answer
    from collector.triage.script import first_pass, second_pass
    from collector.triage.source import lines

    if debugger != "kd":
        raise typer.BadParameter(f"{debugger or 'nothing'!r} is not one of: kd", param_hint="script")
    print(first_pass() if after is None else second_pass(answer(lines(after), extra).missing), end="")
