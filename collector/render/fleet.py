"""`audit` of several hosts: rows while they come, then the hosts that are alike together, the worst first."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from collector.inventory.folding import fold
from collector.model.audit import HostAudit
from collector.model.verdict import Level
from collector.render.console import err, out, plain, word
from collector.render.progress import LiveProgress
from collector.render.reports import worst_first

_CHECK = re.compile(r"\([A-Z]+-\d+\)")
_OF_ONE_HOST = re.compile(r"\S*\d\S*")  # its address, its port, its figures


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of one level whose reasons differ in figures at most; `reason` is that of the first."""

    level: Level
    reason: str
    hosts: tuple[str, ...]

    @property
    def names(self) -> str:
        """The hosts, folded: `web[01-40]`."""
        return fold(self.hosts)


def groups(audits: Sequence[HostAudit]) -> list[Group]:
    """The hosts that are alike together, in the order of the first of each."""
    together: dict[tuple[Level, str, str], list[HostAudit]] = {}
    for one in audits:
        check = _CHECK.search(one.reason)
        words = _OF_ONE_HOST.sub("#", one.reason)
        together.setdefault((one.level, check[0] if check else "", words), []).append(one)
    return [Group(key[0], rows[0].reason, tuple(row.host for row in rows)) for key, rows in together.items()]


def count(seen: Sequence[HostAudit]) -> str:
    """How many answered, and how many are at each level: `3 of 4 answered: 1 critical, 3 ok`."""
    answered = sum(one.answered for one in seen)
    return f"{answered} of {len(seen)} answered: {_levels(one.level for one in seen)}"


def as_they_come(rows: Iterable[HostAudit], total: int) -> Iterator[HostAudit]:
    """Pass the rows on; on a terminal show each of them, and how many are still to come."""
    if not sys.stderr.isatty():
        yield from rows
        return
    live, met = LiveProgress(err()), Counter[Level]()
    live.stage(f"audit of {total} host{'s' if total > 1 else ''}")
    live.status("who answers?")
    try:
        for row in rows:
            met[row.level] += 1
            if total > 1:
                live.note(f"{row.level}: {row.host}: {row.reason}")
            live.status(f"{met.total()} of {total}: {_levels(met.elements())}")
            yield row
    finally:
        live.pause()


def fleet(seen: Sequence[HostAudit]) -> None:
    """The groups, what would mend them, and one line that counts."""
    console, ordered = out(), worst_first(seen)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("verdict", "hosts", "which", "why"):
        table.add_column(column, overflow="fold", justify="right" if column == "hosts" else "left")
    for group in groups(ordered):
        table.add_row(word(group.level), str(len(group.hosts)), plain(group.names), plain(group.reason))
    console.print(table)
    console.print()
    for (check, remedy), hosts in _remedies(ordered).items():
        console.print(plain(check), style="bold", end=" ")
        console.print(plain(f"{fold(hosts)}: {remedy}"))
    console.print(count(seen))
    console.print("`hang-collector audit HOST` shows the whole chain of a host.")


def _remedies(seen: Sequence[HostAudit]) -> dict[tuple[str, str], list[str]]:
    """What would mend the hosts that answered, and on which of them."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in seen:
        for verdict in one.verdicts:
            if one.answered and verdict.remedy and verdict.level is not Level.OK:
                found.setdefault((verdict.id, verdict.remedy), []).append(one.host)
    return found


def _levels(levels: Iterable[Level]) -> str:
    met = Counter(levels)
    return ", ".join(f"{met[level]} {level}" for level in sorted(met, key=lambda one: one.rank))
