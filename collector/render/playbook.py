"""Playbooks as text: the list, and one of them as it is written."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from collector.playbook.loader import PlaybookFile
from collector.render.console import out, plain
from collector.render.text import printable


def playbooks(files: Sequence[PlaybookFile]) -> None:
    """One row a playbook."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("playbook", no_wrap=True)
    for column in ("from", "summary"):
        table.add_column(column, overflow="fold")
    for file in files:
        playbook = file.playbook
        table.add_row(plain(playbook.name), plain(file.origin), plain(playbook.summary))
    out().print(table)


def source(file: PlaybookFile) -> None:
    """The file as it is written, comments included."""
    print(printable(file.path.read_text(encoding="utf-8")), end="")
