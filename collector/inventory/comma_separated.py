"""Hosts from a CSV file, whose first line names its columns.

`name` is needed; `address`, `platform`, `tags` (words with blanks between them), `port`, `login`, `bmc` and
`bmc_login` are understood. A folded name is many hosts, and an address beside it is folded alike:
`web[01-40],web[01-40].example.com`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from collector.errors import InventoryError
from collector.inventory.entry import Entry, platform, port, read
from collector.inventory.folding import expand

COLUMNS = ("name", "address", "platform", "tags", "port", "login", "bmc", "bmc_login")


def entries(path: Path) -> list[Entry]:
    """The hosts of the file, in its order.

    Raises:
        InventoryError: it cannot be read, or a row cannot be understood; the message names its line.
    """
    rows = csv.DictReader(read(path).splitlines(), skipinitialspace=True)
    found: dict[str, Entry] = {}
    try:
        rows.fieldnames = _columns(rows.fieldnames or (), path)
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if None in row:
                raise InventoryError(
                    f"{place}: more values than columns", hint="Put a value with a comma in quotes."
                )
            for entry in _row({key: (value or "").strip() for key, value in row.items()}, place):
                if entry.name in found:
                    raise InventoryError(f"{place}: {entry.name!r} is here a second time", hint="Keep one.")
                found[entry.name] = entry
    except csv.Error as error:
        raise InventoryError(f"{path}:{rows.line_num}: {error}", hint="Is it a CSV file?") from error
    return list(found.values())


def _columns(names: Sequence[str], path: Path) -> list[str]:
    known = [name.strip().lower() for name in names]
    wrong = [name for name in known if name not in COLUMNS]
    if wrong or "name" not in known or len(set(known)) < len(known):
        trouble = (
            f"has the unknown column {wrong[0]!r}" if wrong else "needs the column `name`, and each one once"
        )
        raise InventoryError(f"the first line of {path} {trouble}", hint=f"There are: {', '.join(COLUMNS)}.")
    return known


def _row(row: Mapping[str, str], place: str) -> Iterator[Entry]:
    if not row["name"]:
        raise InventoryError(f"{place}: the row has no name", hint="Name the host, or take the row out.")
    names = expand(row["name"])
    addresses = _beside(names, row.get("address", ""), place)
    boards = _beside(names, row.get("bmc", ""), place)
    for name, address, bmc in zip(names, addresses, boards, strict=True):
        yield Entry(
            name,
            address,
            platform(row.get("platform", ""), place),
            tuple(dict.fromkeys(row.get("tags", "").split())),
            port(row.get("port", ""), place),
            row.get("login", ""),
            bmc,
            row.get("bmc_login", ""),
        )


def _beside(names: Sequence[str], folded: str, place: str) -> list[str]:
    """As many addresses as there are names; none where nothing is written."""
    found = expand(folded) if folded else [""] * len(names)
    if len(found) != len(names):
        raise InventoryError(
            f"{place}: {len(names)} names and {len(found)} addresses in {folded!r}",
            hint="Fold the address like the name, as in web[01-40].example.com.",
        )
    return found
