"""Every virtual machine of a vCenter in a few round trips: the facts for an inventory, and for a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyVmomi import vim

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_properties import read, read_all
from collector.adapters.vsphere_session import VsphereSession
from collector.adapters.vsphere_tags import Tag, Tags
from collector.errors import InventoryError

_PATHS = (
    "name",
    "config.instanceUuid",
    "config.guestId",
    "config.template",
    "guest.hostName",
    "guest.ipAddress",
    "guestHeartbeatStatus",
    "runtime.powerState",
    "runtime.host",
)
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine; text that its guest or its owner chose is cut and printable, empty where unset.

    `id` is that of the managed object; `tags` are read apart from the rest.
    """

    id: str
    name: str
    instance_uuid: str
    guest_id: str
    guest_name: str
    address: str
    heartbeat: str
    power: str
    runs_on: str
    tags: tuple[Tag, ...] = ()


def machines(session: VsphereSession, below: str | None, deadline: Deadline) -> list[Machine]:
    """All but templates, by name.

    Args:
        session: logged in.
        below: inventory path of a folder, a datacenter, a cluster or a resource pool; None for all.
        deadline: when to give up.

    Raises:
        InventoryError: there is nothing at that path.
        AdapterError: the server could not be asked.
    """
    top = _entity(session, below, deadline) if below else None
    found = [
        (str(vm._GetMoId()), values)
        for vm, values in read_all(session, vim.VirtualMachine, _PATHS, deadline, below=top)
        if not values.get("config.template")
    ]
    hosts = _host_names(
        session, [values["runtime.host"] for _, values in found if "runtime.host" in values], deadline
    )
    rows = [
        Machine(
            id=moid,
            name=_text(values, "name"),
            instance_uuid=_text(values, "config.instanceUuid"),
            guest_id=_text(values, "config.guestId"),
            guest_name=_text(values, "guest.hostName"),
            address=_text(values, "guest.ipAddress"),
            heartbeat=_text(values, "guestHeartbeatStatus"),
            power=_text(values, "runtime.powerState"),
            runs_on=hosts.get(values.get("runtime.host"), ""),
        )
        for moid, values in found
    ]
    return sorted(rows, key=lambda machine: (machine.name, machine.instance_uuid))


def choose(
    found: Sequence[Machine], tags: Tags, wanted: str, deadline: Deadline
) -> tuple[list[Machine], str | None]:
    """Those that have the tag, and a sentence on what else has it: the machines there are not meant.

    Raises:
        InventoryError: no such tag, several, or none of these machines has it.
        AdapterError: the server could not be asked.
    """
    tag = tags.find(wanted, deadline)
    attached = tags.attached(tag, deadline)
    chosen = [machine for machine in found if machine.id in attached.machines]
    others = ", ".join(f"{number} {kind}" for kind, number in sorted(attached.others.items()))
    where = f" It is on {others}, and tags are not inherited." if others else ""
    if not chosen:
        raise InventoryError(
            f"none of {len(found)} virtual machines has the tag {tag}.{where}",
            hint="Attach it to the machines, or name the folder or cluster in `--below`.",
        )
    return chosen, f"the tag {tag} is on {others}, too: the machines there are not meant" if others else None


def with_tags(found: Sequence[Machine], tags: Tags, deadline: Deadline) -> list[Machine]:
    """The same machines, with the tags that each has. Raises: AdapterError."""
    known = tags.of_machines([machine.id for machine in found], deadline)
    return [replace(machine, tags=tuple(known.get(machine.id, ()))) for machine in found]


def _entity(session: VsphereSession, path: str, deadline: Deadline) -> Any:  # noqa: ANN401
    with session.asking(deadline):
        found = session.content.searchIndex.FindByInventoryPath(path)
    if found is None:
        raise InventoryError(
            f"{session.where} has nothing at the inventory path {path!r}",
            hint="Write it as DC/vm/folder for a folder, DC/host/cluster for a cluster.",
        )
    return found


def _host_names(session: VsphereSession, hosts: Sequence[Any], deadline: Deadline) -> dict[Any, str]:
    distinct = list(dict.fromkeys(hosts))
    named = read(session, distinct, ["name"], deadline)
    return {host: _text(values, "name") for host, values in zip(distinct, named, strict=True)}


def _text(values: Any, path: str) -> str:  # noqa: ANN401
    text = str(values.get(path) or "")[:_MAX_TEXT]
    return "".join(char for char in text if char.isprintable())
