"""Virtual machines of a vCenter as hosts of a settings file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from collector.config.frame import TAG_PATTERN
from collector.inventory.entry import Entry
from collector.model.host import Platform

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_UNFIT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.:=-]+")


class Tag(Protocol):
    """What a vCenter says of a tag."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


class Machine(Protocol):
    """What a vCenter says of a machine; empty where it says nothing."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def instance_uuid(self) -> str: ...  # noqa: D102
    @property
    def guest_id(self) -> str: ...  # noqa: D102
    @property
    def guest_name(self) -> str: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102
    @property
    def tags(self) -> Sequence[Tag]: ...  # noqa: D102


def entries(machines: Iterable[Machine], vcenter: str, login: str) -> Iterator[Entry]:
    """One entry a machine; those of one name are told apart by the first part of their UUID.

    Args:
        machines: in the order wanted.
        vcenter: its address.
        login: the name of the credential for it.
    """
    listed = list(machines)
    names = Counter(_name(machine).lower() for machine in listed)
    words = words_of(tag for machine in listed for tag in machine.tags)
    for machine in listed:
        name = _name(machine)
        if names[name.lower()] > 1:
            name = f"{name}-{machine.instance_uuid.partition('-')[0]}"
        yield Entry(
            name=name,
            address=machine.address or machine.guest_name,
            platform=platform_of(machine.guest_id),
            tags=tuple(sorted(words[tag.id] for tag in machine.tags if tag.id in words)),
            vcenter=vcenter,
            vm=machine.instance_uuid or machine.name,
            vcenter_login=login,
        )


def platform_of(guest_id: str) -> Platform:
    """By the guest's type, such as `windows2019srv_64Guest` (VirtualMachineGuestOsIdentifier of the API)."""
    if guest_id.lower().startswith("win"):
        return Platform.WINDOWS
    return Platform.ESXI if guest_id.lower().startswith("vmkernel") else Platform.LINUX


def words_of(tags: Iterable[Tag]) -> Mapping[str, str]:
    """The word of our settings file for each tag, by the tag's id.

    It is the tag's name, or `category:name` where tags of several categories would get the same word. What
    has no word of its own even then is left out: a word that means two tags would choose the wrong hosts.
    """
    known = {tag.id: tag for tag in tags}
    short = {each: _word(tag.name) for each, tag in known.items()}
    long = {each: _word(f"{tag.category}:{tag.name}") for each, tag in known.items()}
    often = Counter(short.values())
    chosen = {each: short[each] if often[short[each]] == 1 else long[each] for each in known}
    counted = Counter(chosen.values())
    return {each: word for each, word in chosen.items() if word and counted[word] == 1}


def _word(text: str) -> str:
    word = _UNFIT_IN_TAGS.sub("-", text).strip("-._:=")
    return word if re.fullmatch(TAG_PATTERN, word) else ""


def _name(machine: Machine) -> str:
    return _UNFIT.sub("-", machine.name).strip("-.") or machine.instance_uuid
