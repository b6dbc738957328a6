"""`hang-collector case`: what is in the folders of past incidents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.cli.shared import ConfigOption, FormatOption, checked_format, settings

app = typer.Typer(no_args_is_help=True, help="Show, verify and list case folders.")

CaseArgument = Annotated[Path, typer.Argument(help="The case folder.")]


@app.command()
def show(case: CaseArgument) -> None:
    """Print the report of CASE."""
    from collector.case.folder import CaseFolder
    from collector.render import case as as_text

    as_text.report(CaseFolder.open(case))


@app.command()
def verify(case: CaseArgument, output: FormatOption = "table") -> None:
    """Recompute every digest and the journal's chain; exit 0 only when all of it holds."""
    from collector.case.manifest import verify as recompute
    from collector.cli.exit_codes import ExitCode
    from collector.errors import CaseError
    from collector.render import case as as_table
    from collector.render import json as as_json

    checked_format(output)
    if not case.is_dir():
        raise CaseError(f"there is no case {case}", hint="`hang-collector case list` names them.")
    verification = recompute(case)
    (as_json.verification if output == "json" else as_table.verification)(verification)
    if not verification.ok:
        raise typer.Exit(ExitCode.CASE)


@app.command("list")
def list_cases(output: FormatOption = "table", config: ConfigOption = None) -> None:
    """List the cases, newest first."""
    from collector.case.folder import find
    from collector.render import case as as_table
    from collector.render import json as as_json
    from collector.run.history import summary

    checked_format(output)
    summaries = [summary(path) for path in find(settings(config).cases)]
    (as_json.cases if output == "json" else as_table.cases)(summaries)
