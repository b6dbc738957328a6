"""Cases as text: the list, one report, and what a verification found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from collector.case.folder import CaseFolder
from collector.case.manifest import Verification
from collector.case.report import markdown
from collector.case.wording import size
from collector.render.console import out, plain, word
from collector.run.history import CaseSummary


def report(case: CaseFolder) -> None:
    """The Markdown report, made anew from the journal."""
    print(markdown(case.name, case.journal.entries()))


def verification(found: Verification) -> None:
    """Every problem on a line of its own, or one line that says that all holds."""
    console = out()
    for problem in found.problems:
        console.print(plain(f"{problem.file}: {problem.reason}"), style="red")
    if not found.sealed:
        console.print("not sealed yet: resume the case to finish it", style="yellow")
    count = f"{found.files} file(s), {size(found.bytes)}"
    console.print(f"{'ok' if found.ok else f'{len(found.problems)} problem(s)'}: {count} are as listed")


def cases(summaries: Sequence[CaseSummary]) -> None:
    """One row a case."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("case", "host", "NMI", "outcome", "detail"):
        table.add_column(column, overflow="fold")
    for one in summaries:
        table.add_row(plain(one.name), plain(one.host), plain(one.nmi), word(one.outcome), plain(one.detail))
    out().print(table)
    out().print(f"{len(summaries)} case(s)")
