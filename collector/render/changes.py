"""What changed since the last audit: one row a change, the worst first; hosts of the same change together."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from collector.inventory.folding import fold
from collector.model.fleet import Change
from collector.model.verdict import Level
from collector.render.console import out, plain, word


def changes(found: Sequence[Change]) -> None:
    """The table, or one line that says that nothing changed."""
    console = out()
    if not found:
        console.print("nothing changed since the last recorded audit")
        return
    together: dict[tuple[str, Level | None, Level | None, str], list[str]] = {}
    for one in found:
        together.setdefault((one.check, one.before, one.after, one.reason), []).append(one.host)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("changed", "was", "is", "hosts", "why"):
        table.add_column(column, overflow="fold")
    for (check, before, after, reason), hosts in together.items():
        table.add_row(
            plain(check or "verdict"),
            word(before or "-"),
            word(after or "-"),
            plain(fold(hosts)),
            plain(reason),
        )
    console.print(table)
