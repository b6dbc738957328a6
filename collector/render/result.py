"""A finished run as a table: each stage, how it ended, and where the case is."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from collector.case.wording import span
from collector.model.result import HostResult
from collector.render.console import err, out, plain, word


def result(row: HostResult) -> None:
    """The stages, the outcome in one sentence, what to do next, and the report's place."""
    console = out()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("stage", "outcome", "took", "detail"):
        table.add_column(column, overflow="fold", justify="right" if column == "took" else "left")
    for step in row.steps:
        table.add_row(step.step, word(step.outcome), span(step.seconds), plain(step.detail))
    console.print(table)
    console.print()
    console.print(plain(f"{row.host}:"), word(row.outcome), end=": ")
    console.print(plain(row.detail), soft_wrap=True)
    if row.hint:
        console.print(plain(f"next: {row.hint}"))
    if row.case is not None:
        console.print(plain(f"report: {row.case / 'report.html'}"), soft_wrap=True)


def interrupted(case: Path) -> None:
    """What a person needs to know after Ctrl-C."""
    console = err()
    console.print("interrupted; everything collected so far is in the case", style="yellow")
    console.print(plain(f"go on with: hang-collector resume {case}"))
