"""Which virtual machine is meant: by inventory path, UUID, IP address, name, or the guest's DNS name.

Each kind has one look-up on the server. A name that several machines have is refused: an NMI to the wrong
one would be worse than none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from pyVmomi import vim

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_properties import read, read_all
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import InventoryError

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN = 5


def find_vm(session: VsphereSession, wanted: str, datacenter: str | None, deadline: Deadline) -> Any:  # noqa: ANN401
    """The one virtual machine that `wanted` names.

    Args:
        session: logged in.
        wanted: `DC/vm/folder/name`, an instance or BIOS UUID, an IP address, a name, or a DNS name.
        datacenter: look in this datacenter only, by its name or inventory path.
        deadline: when to give up.

    Raises:
        InventoryError: there is none, or there are several.
        AdapterError: the server could not be asked.
    """
    center = find_datacenter(session, datacenter, deadline) if datacenter else None
    found = _candidates(session, wanted, center, deadline)
    if len(found) == 1:
        return found[0]
    place = f" in the datacenter {datacenter}" if datacenter else ""
    if not found:
        raise InventoryError(
            f"{session.where} knows no virtual machine {wanted!r}{place}",
            hint="Name it in `vm` as the inventory does, or by its instance UUID. IP address and DNS name "
            "are known only while VMware Tools report them.",
        )
    raise InventoryError(
        f"{len(found)} virtual machines at {session.where} are meant by {wanted!r}{place}: "
        f"{_described(session, found, deadline)}",
        hint="Name one of them in `vm` by its instance UUID, or by its inventory path (DC/vm/folder/name).",
    )


def _candidates(session: VsphereSession, wanted: str, center: Any, deadline: Deadline) -> list[Any]:  # noqa: ANN401
    index = session.content.searchIndex
    with session.asking(deadline):
        if _UUID.fullmatch(wanted):
            found = index.FindAllByUuid(center, wanted, True, True)
            return list(found or index.FindAllByUuid(center, wanted, True, False))
        if "/" in wanted:
            hit = index.FindByInventoryPath(wanted)
            return [hit] if isinstance(hit, vim.VirtualMachine) else []
        if is_address(wanted):
            return list(index.FindAllByIp(center, wanted, True))
    found = [
        vm
        for vm, values in read_all(session, vim.VirtualMachine, ["name"], deadline, below=center)
        if values.get("name") == wanted
    ]
    if not found:
        with session.asking(deadline):
            found = list(index.FindAllByDnsName(center, wanted, True))
    return found


def find_datacenter(session: VsphereSession, wanted: str, deadline: Deadline) -> Any:  # noqa: ANN401
    """The one datacenter of this name or inventory path. Raises: InventoryError, AdapterError."""
    with session.asking(deadline):
        hit = session.content.searchIndex.FindByInventoryPath(wanted)
    if isinstance(hit, vim.Datacenter):
        return hit
    found = [
        each
        for each, values in read_all(session, vim.Datacenter, ["name"], deadline)
        if values.get("name") == wanted
    ]
    if len(found) == 1:
        return found[0]
    raise InventoryError(
        f"{session.where} has {len(found) or 'no'} datacenters named {wanted!r}",
        hint="Give `datacenter` as its inventory path, such as Europe/DC1.",
    )


def _described(session: VsphereSession, found: Sequence[Any], deadline: Deadline) -> str:
    """The first few candidates, with what tells them apart."""
    paths = ["name", "config.instanceUuid", "runtime.powerState"]
    texts = [
        f"{plain(values.get('name'))} ({plain(values.get('config.instanceUuid'))}, "
        f"{plain(values.get('runtime.powerState'))})"
        for values in read(session, list(found[:_SHOWN]), paths, deadline)
    ]
    return ", ".join(texts) + (", ..." if len(found) > _SHOWN else "")


def plain(value: object) -> str:
    """A text of the server for a person: its printable part, at most 100 characters of it."""
    return "".join(char for char in str(value or "?")[:100] if char.isprintable())


def is_address(text: str) -> bool:
    """Whether somebody wrote an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
