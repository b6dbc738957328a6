"""`hang-collector inspect`: is this dump whole, and what is it of?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from collector.cli.shared import FormatOption, checked_format


def inspect(
    dump: Annotated[Path, typer.Argument(metavar="FILE|CASE", help="A dump, or a case with dumps in it.")],
    dmesg: Annotated[
        bool, typer.Option("--dmesg", help="Print the kernel log in it, and nothing else.")
    ] = False,
    repair: Annotated[
        Path | None,
        typer.Option(
            "--repair", metavar="OUT", help="Mend what QEMU wrote wrongly, on a copy, and inspect that."
        ),
    ] = None,
    output: FormatOption = "table",
) -> None:
    """Say from its bytes whether a dump is whole, and of which crash; exit 0 only when it is complete."""
    from collector.cli.exit_codes import ExitCode
    from collector.render import inspect as as_table
    from collector.render import json as as_json
    from collector.run.inspect import inspect_path

    checked_format(output)
    if repair is not None:
        from collector.run.repair import repair_file

        for sentence in repair_file(dump, repair):
            print(f"mended: {sentence}", file=sys.stderr)
        dump = repair
    dumps = inspect_path(dump)
    if dmesg:
        as_table.logs(dumps)
    else:
        (as_json.dumps if output == "json" else as_table.inspected)(dumps)
    if not all(one.verdict.report.complete and (one.look or not dmesg) for one in dumps):
        raise typer.Exit(ExitCode.PARTIAL)
