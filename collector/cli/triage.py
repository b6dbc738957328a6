"""`hang-collector triage`: what hung it? From a debugger's log to the end of the chain of waits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.cli.shared import checked_format


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
    from collector.render import html_triage
    from collector.render import triage as view
    from collector.triage.answer import answer
    from collector.triage.kdlog import parse
    from collector.triage.modules import load
    from collector.triage.source import is_debugger_log, lines, logs_of_case, quote
    from collector.triage.vmcore import find_vmcore

    if vmcore := find_vmcore(what):
        checked_format(output)
        _linux(vmcore, output)
        return
    table = load(extra)
    paths = logs_of_case(what) if what.is_dir() else [what]
    logs = ((path, parse(lines(path))) for path in paths)
    answers = [(path, answer(log, table)) for path, log in logs if is_debugger_log(log)]
    if not answers:
        raise DumpError(
            f"nothing in {what.name!r} is the text of a debugger",
            hint="`hang-collector triage script kd` prints the commands whose answers are read.",
        )
    if output == "html":
        path, first = answers[0]
        print(html_triage.page(path.name, first, quote(path, html_triage.evidence(first))), end="")
        return
    (view.as_json if output == "json" else view.as_table)([(path.name, one) for path, one in answers])


def _linux(vmcore: Path, output: str) -> None:
    from collector.render import triage_linux as view
    from collector.triage.vmcore import triage_vmcore

    found = triage_vmcore(vmcore)
    (view.as_json if output == "json" else view.as_table)(found)


def _script(debugger: str, after: Path | None, extra: Path | None) -> None:
    from collector.triage.answer import triage as answer
    from collector.triage.script import first_pass, second_pass
    from collector.triage.source import lines

    if debugger != "kd":
        raise typer.BadParameter(f"{debugger or 'nothing'!r} is not one of: kd", param_hint="script")
    print(first_pass() if after is None else second_pass(answer(lines(after), extra).missing), end="")
