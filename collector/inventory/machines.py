"""Virtual machines of a vCenter as hosts of a settings file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from collector.inventory.entry import Entry
from collector.model.host import Platform

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


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


def entries(machines: Iterable[Machine], vcenter: str, login: str) -> Iterator[Entry]:
    """One entry a machine; those of one name are told apart by the first part of their UUID.

    Args:
        machines: in the order wanted.
        vcenter: its address.
        login: the name of the credential for it.
    """
    listed = list(machines)
    names = Counter(_name(machine).lower() for machine in listed)
    for machine in listed:
        name = _name(machine)
        if names[name.lower()] > 1:
            name = f"{name}-{machine.instance_uuid.partition('-')[0]}"
        yield Entry(
            name=name,
            address=machine.address or machine.guest_name,
            platform=platform_of(machine.guest_id),
            vcenter=vcenter,
            vm=machine.instance_uuid or machine.name,
            vcenter_login=login,
        )


def platform_of(guest_id: str) -> Platform:
    """By the guest's type, such as `windows2019srv_64Guest` (VirtualMachineGuestOsIdentifier of the API)."""
    if guest_id.lower().startswith("win"):
        return Platform.WINDOWS
    return Platform.ESXI if guest_id.lower().startswith("vmkernel") else Platform.LINUX


def _name(machine: Machine) -> str:
    return _UNFIT.sub("-", machine.name).strip("-.") or machine.instance_uuid
