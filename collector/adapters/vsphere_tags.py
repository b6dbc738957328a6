"""Tags of a vCenter: which machines one is attached to, and which tags a machine has.

A tag lies in a category, and its name is unique only there. Tags are not inherited: one on a folder, a
cluster or a host says nothing of the machines there, here as in vCenter's own lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, TypeAdapter

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_rest import RestSession
from collector.errors import InventoryError, PeerFailedError

_MACHINE = "VirtualMachine"
_CHUNK = 500
"""Machines in one question."""
_MOST = 100_000
_MAX_TEXT = 200
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag by its names, which are cut and printable."""

    id: str
    category: str
    name: str

    def __str__(self) -> str:
        return f"{self.category}/{self.name}"


@dataclass(frozen=True, slots=True)
class Attached:
    """What a tag is attached to: machines by their ids, and how many others by their types."""

    machines: frozenset[str]
    others: Mapping[str, int]


class _Object(BaseModel):
    type: str
    id: str


class _Tag(BaseModel):
    id: str
    name: str
    category_id: str


class _Category(BaseModel):
    name: str


class _TagOnObjects(BaseModel):
    object_ids: list[_Object] | None = None


class _ObjectWithTags(BaseModel):
    object_id: _Object
    tag_ids: list[str] | None = None


_IDS = TypeAdapter(list[str])
_TAG, _CATEGORY = TypeAdapter(_Tag), TypeAdapter(_Category)
_ON_OBJECTS, _WITH_TAGS = TypeAdapter(list[_TagOnObjects]), TypeAdapter(list[_ObjectWithTags])


class Tags:
    """The tags of one vCenter, each read once.

    Every read raises AdapterError, and PeerFailedError where there is no end of them.
    """

    def __init__(self, rest: RestSession) -> None:
        self._rest = rest
        self._categories: dict[str, str] = {}

    def find(self, wanted: str, deadline: Deadline) -> Tag:
        """The one tag that `wanted` names: `NAME`, or `CATEGORY/NAME`.

        There is no look-up by name: the API gives identifiers, and each tag has to be read.

        Raises: InventoryError: there is none, or there are several.
        """
        found = list(self._in_category(wanted, deadline)) if "/" in wanted else []
        if not found:
            every = self._read(self._ids("tag", deadline), deadline)
            found = [tag for tag in every if tag.name == wanted]
        if len(found) == 1:
            return found[0]
        if not found:
            raise InventoryError(
                f"{self._rest.where} has no tag {wanted!r}, or this account does not see it",
                hint="Write NAME or CATEGORY/NAME as vCenter does; capitals matter.",
            )
        named = ", ".join(sorted(map(str, found))[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise InventoryError(
            f"{len(found)} tags at {self._rest.where} are meant by {wanted!r}: {named}",
            hint="Name one of them as CATEGORY/NAME.",
        )

    def attached(self, tag: Tag, deadline: Deadline) -> Attached:
        """What this very tag is attached to."""
        rows = self._rest.act(
            "tag-association", "list-attached-objects-on-tags", {"tag_ids": [tag.id]}, _ON_OBJECTS, deadline
        )
        objects = [each for row in rows for each in row.object_ids or []]
        others = Counter(_clean(each.type) for each in objects if each.type != _MACHINE)
        machines = frozenset(each.id for each in objects if each.type == _MACHINE)
        return Attached(machines, dict(others.most_common(_SHOWN)))

    def of_machines(self, machines: Sequence[str], deadline: Deadline) -> Mapping[str, list[Tag]]:
        """The tags of machines, by the machines' ids: a question for every 500, and one for every tag."""
        ids: dict[str, list[str]] = {}
        for start in range(0, len(machines), _CHUNK):
            asked = [{"type": _MACHINE, "id": each} for each in machines[start : start + _CHUNK]]
            rows = self._rest.act(
                "tag-association", "list-attached-tags-on-objects", {"object_ids": asked}, _WITH_TAGS,
                deadline,
            )  # fmt: skip
            ids |= {row.object_id.id: row.tag_ids or [] for row in rows}
        wanted = set(machines)
        distinct = {each for found in ids.values() for each in found}
        known = {tag.id: tag for tag in self._read(sorted(distinct), deadline)}
        return {
            machine: [known[each] for each in found if each in known]
            for machine, found in ids.items()
            if machine in wanted
        }

    def _in_category(self, wanted: str, deadline: Deadline) -> Iterator[Tag]:
        """Only the tags of that category are read. Both names may hold a `/`."""
        parts = wanted.split("/")
        halves = {"/".join(parts[:cut]): "/".join(parts[cut:]) for cut in range(1, len(parts))}
        for category in self._ids("category", deadline):
            name = halves.get(self._category(category, deadline))
            if name is not None:
                tags = self._read(self._ids_in(category, deadline), deadline)
                yield from (tag for tag in tags if tag.name == name)

    def _ids_in(self, category: str, deadline: Deadline) -> list[str]:
        body = {"category_id": category}
        return self._bounded(
            self._rest.act("tag", "list-tags-for-category", body, _IDS, deadline, before_api=category)
        )

    def _ids(self, service: str, deadline: Deadline) -> list[str]:
        return self._bounded(self._rest.read(service, None, _IDS, deadline) or [])

    def _read(self, ids: Iterable[str], deadline: Deadline) -> Iterator[Tag]:
        """Without those that are gone by now."""
        for each in ids:
            known = self._rest.read("tag", each, _TAG, deadline)
            if known is not None:
                yield Tag(each, self._category(known.category_id, deadline), _clean(known.name))

    def _category(self, each: str, deadline: Deadline) -> str:
        if each not in self._categories:
            known = self._rest.read("category", each, _CATEGORY, deadline)
            self._categories[each] = _clean(known.name) if known is not None else "?"
        return self._categories[each]

    def _bounded(self, ids: list[str]) -> list[str]:
        if len(ids) > _MOST:
            raise PeerFailedError(f"{self._rest.where} lists {len(ids)} tags", hint="Is it a vCenter?")
        return ids


def _clean(text: str) -> str:
    return "".join(char for char in text[:_MAX_TEXT] if char.isprintable())
