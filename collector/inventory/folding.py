"""Names with numbers, many at once: `web[01-03,07]` is web01, web02, web03 and web07.

The notation is the one that cluster tools share (ClusterShell's node sets, pdsh, Slurm's host lists).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product

from collector.errors import InventoryError

MAX_NAMES = 10_000
"""How many names one folded name may stand for."""

_PART = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
# The last number of the first label: web01.dc2.example.com counts by its 01.
_NUMBERED = re.compile(r"([^.]*?)([0-9]{1,9})([^.0-9]*(?:\..*)?)", re.DOTALL)


def expand(name: str) -> list[str]:
    """All the names that a folded name stands for, in its order. A plain name stands for itself.

    A number is padded with zeros to the width of the first one in its range.

    Raises:
        InventoryError: the brackets are wrong, or stand for more than `MAX_NAMES` names.
    """
    plain_and_ranges = _PART.split(name)  # plain text at even places, what brackets hold at odd ones
    if any("[" in text or "]" in text for text in plain_and_ranges[::2]):
        raise _wrong(name, "its brackets do not match")
    choices = [_numbers(name, text) if place % 2 else [text] for place, text in enumerate(plain_and_ranges)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_NAMES:
        raise _wrong(name, f"it stands for more than {MAX_NAMES} names")
    return ["".join(parts) for parts in product(*choices)]


def fold(names: Iterable[str]) -> str:
    """The shortest way to write `names`: `db01,web[01-03,07]`. Duplicates count once, numbers are sorted.

    `expand` of each part gives the names again.
    """
    numbers: dict[tuple[str, str], list[str]] = {}
    for name in dict.fromkeys(names):
        match = _NUMBERED.fullmatch(name)
        prefix, number, suffix = match.groups() if match else (name, "", "")
        numbers.setdefault((prefix, suffix), []).append(number)
    return ",".join(
        word for (prefix, suffix), found in numbers.items() for word in _words(prefix, found, suffix)
    )


def _words(prefix: str, numbers: list[str], suffix: str) -> Iterator[str]:
    if "" in numbers:
        yield prefix + suffix
    ranges = _ranges(sorted((n for n in numbers if n), key=lambda n: (int(n), len(n))))
    if len(ranges) == 1 and ranges[0].isdigit():
        yield prefix + ranges[0] + suffix
    elif ranges:
        yield f"{prefix}[{','.join(ranges)}]{suffix}"


def _ranges(numbers: list[str]) -> list[str]:
    """Runs of sorted numbers as `first-last`. A run goes on as long as `expand` would write it the same."""
    runs: list[tuple[str, str]] = []
    for number in numbers:
        if runs and number == str(int(runs[-1][1]) + 1).zfill(len(runs[-1][0])):
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return [first if first == last else f"{first}-{last}" for first, last in runs]


def _numbers(name: str, text: str) -> list[str]:
    numbers: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise _wrong(name, "brackets hold numbers and ranges of numbers")
        first, last = match[1], match[2] or match[1]
        if int(last) < int(first):
            raise _wrong(name, "a range goes up")
        if int(last) - int(first) + len(numbers) >= MAX_NAMES:
            raise _wrong(name, f"it stands for more than {MAX_NAMES} names")
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def _wrong(name: str, why: str) -> InventoryError:
    return InventoryError(
        f"{name!r} is no folded name: {why}", hint="Write it like web[01-40] or web[1-3,7]."
    )
