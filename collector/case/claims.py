"""Which cases claimed the right to send an NMI to a host, or through a controller.

Pointers, not a record: the journal of each case says what came of its claims. They let a new
case find an older one whose NMI may still be at work, also when the host stands in the inventory twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from collector.case.storage import make_folder, storing, write_atomically


def point(case: Path, identities: Sequence[str]) -> None:
    """Make each of `identities` lead to `case` too; durable before it returns. Raises: StorageError."""
    folder = case.parent / ".claims"
    with storing(folder):
        make_folder(folder)
    for identity in identities:
        pointer = folder / _name(identity)
        names = [*_names(pointer), case.name]
        write_atomically(pointer, "".join(f"{name}\n" for name in dict.fromkeys(names)).encode())


def cases_of(cases: Path, identities: Sequence[str]) -> list[Path]:
    """Cases below `cases` that any of the identities leads to and that still exist, newest first."""
    names = {Path(name).name for each in identities for name in _names(cases / ".claims" / _name(each))}
    return [cases / name for name in sorted(names, reverse=True) if (cases / name).is_dir()]


def _names(pointer: Path) -> list[str]:
    return pointer.read_text(encoding="utf-8").splitlines() if pointer.exists() else []


def _name(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
