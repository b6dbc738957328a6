"""`hang-collector inspect`: is this dump whole, and what is it of?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from collector.cli.shared import FormatOption, checked_format


def inspect(
    dump: Annotated[Path, typer.Argument(metavar="FILE|CASE", help="A dump, or a case with dumps in it.")],
    dmesg: Annotated[
        bool, typer.Option("--dmesg", help="Print the kernel log in it, and nothing else.")
    ] = False,
    output: FormatOption = "table",
) -> None:
    """Say from its bytes whether a dump is whole, and of which crash; exit 0 only when it is complete."""
    from collector.cli.exit_codes import ExitCode
    from collector.render import inspect as as_table
    from collector.render import json as as_json
    from collector.run.inspect import inspect_path

    checked_format(output)
    dumps = inspect_path(dump)
    if dmesg:
        as_table.logs(dumps)
    else:
        (as_json.dumps if output == "json" else as_table.inspected)(dumps)
    if not all(one.verdict.report.complete and (one.look or not dmesg) for one in dumps):
        raise typer.Exit(ExitCode.PARTIAL)
