"""Which case last claimed the right to send an NMI to a host, or through a controller.

A pointer, not a record: the journal of the case it points to says what came of the claim. It lets a new
case find an older one whose NMI may still be at work, also when the host stands in the inventory twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from collector.case.storage import make_folder, storing, write_atomically


def point(case: Path, identities: Sequence[str]) -> None:
    """Make each of `identities` point to `case`; durable before it returns. Raises: StorageError."""
    folder = case.parent / ".claims"
    with storing(folder):
        make_folder(folder)
    for identity in identities:
        write_atomically(folder / _name(identity), f"{case.name}\n{identity}\n".encode())


def latest(cases: Path, identities: Sequence[str]) -> list[Path]:
    """Cases below `cases` that the identities point to and that still exist, without doubles."""
    found: dict[Path, None] = {}
    for identity in identities:
        pointer = cases / ".claims" / _name(identity)
        if not pointer.exists():
            continue
        name = pointer.read_text(encoding="utf-8").splitlines()[0]
        case = cases / Path(name).name
        if case.is_dir():
            found[case] = None
    return list(found)


def _name(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
