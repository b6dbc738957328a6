"""The hosts of the settings file, folded: those with the same platform, tags and endpoints in one row."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from collector.inventory.folding import fold
from collector.model.host import Host
from collector.render.console import out, plain


def inventory(hosts: Sequence[Host]) -> None:
    """The table, and how many they are."""
    together: dict[tuple[str, ...], list[str]] = {}
    for host in hosts:
        ways = (", ".join(end.type for end in ends) for ends in (host.controllers, host.channels))
        together.setdefault((host.platform, " ".join(sorted(host.tags)), *ways), []).append(host.name)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("hosts", "platform", "tags", "controllers", "channels"):
        table.add_column(column, overflow="fold")
    for row, names in together.items():
        table.add_row(plain(fold(names)), *(plain(text or "-") for text in row))
    console = out()
    console.print(table)
    console.print(f"{len(hosts)} host{'s' if len(hosts) != 1 else ''}")
