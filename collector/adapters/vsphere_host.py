"""What a vCenter knows of one of its ESXi hosts: which one is meant, and how it looks from there."""

from __future__ import annotations

import re
from typing import Any

from pyVmomi import vim

from collector.adapters.answers import Connection, HostState, PowerState
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_find import find_datacenter, is_address, plain
from collector.adapters.vsphere_guest import as_utc
from collector.adapters.vsphere_properties import read, read_all
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import InventoryError

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN = 5
_STATE = (
    "runtime.connectionState",
    "runtime.powerState",
    "runtime.standbyMode",
    "runtime.inMaintenanceMode",
    "runtime.bootTime",
    "vm",
)

# HostSystemPowerState of the vSphere API: a host that is not connected is `unknown`; `poweredOff` and
# `standBy` say what the vCenter did to it.
_POWER = {"poweredOn": PowerState.ON, "poweredOff": PowerState.OFF, "standBy": PowerState.OFF}


def find_host(session: VsphereSession, wanted: str, datacenter: str | None, deadline: Deadline) -> Any:  # noqa: ANN401
    """The one ESXi host that `wanted` names.

    Args:
        session: logged in.
        wanted: the UUID of its hardware, an IP address, or its name as the vCenter shows it.
        datacenter: look in this datacenter only, by its name or inventory path.
        deadline: when to give up.

    Raises:
        InventoryError: there is none, or there are several.
        AdapterError: the server could not be asked.
    """
    center = find_datacenter(session, datacenter, deadline) if datacenter else None
    found = list(dict.fromkeys(_candidates(session, wanted, center, deadline)))
    if len(found) == 1:
        return found[0]
    place = f" in the datacenter {datacenter}" if datacenter else ""
    if not found:
        raise InventoryError(
            f"{session.where} knows no ESXi host {wanted!r}{place}",
            hint="Name it in `host` as the vCenter shows it, or by the UUID of its hardware.",
        )
    shown = read(session, found[:_SHOWN], ["name", "summary.hardware.uuid"], deadline)
    described = ", ".join(
        f"{plain(values.get('name'))} ({plain(values.get('summary.hardware.uuid'))})" for values in shown
    )
    raise InventoryError(
        f"{len(found)} ESXi hosts at {session.where} are meant by {wanted!r}{place}: {described}",
        hint="Name one of them in `host` by the UUID of its hardware.",
    )


def _candidates(session: VsphereSession, wanted: str, center: Any, deadline: Deadline) -> list[Any]:  # noqa: ANN401
    """One look-up at the server; the names in the inventory are read where it finds nothing.

    It looks into what a host last told of its network, which the vCenter need not have of one that is lost;
    the name stays.
    """
    index = session.content.searchIndex
    with session.asking(deadline):
        if _UUID.fullmatch(wanted):
            return list(index.FindAllByUuid(center, wanted, False))
        if is_address(wanted):
            found = list(index.FindAllByIp(center, wanted, False))
        else:
            found = list(index.FindAllByDnsName(center, wanted, False))
    return found or [
        host
        for host, values in read_all(session, vim.HostSystem, ["name"], deadline, below=center)
        if str(values.get("name")).casefold() == wanted.casefold()
    ]


def host_state(session: VsphereSession, host: Any, deadline: Deadline) -> HostState:  # noqa: ANN401
    """One read of the host, and one of the power of its machines."""
    (values,) = read(session, [host], _STATE, deadline)
    machines = read(session, list(values.get("vm", [])), ["runtime.powerState"], deadline)
    connection = str(values.get("runtime.connectionState"))
    known = connection in set(Connection)
    power = _POWER.get(str(values.get("runtime.powerState")), PowerState.UNKNOWN)
    unheard = connection != Connection.CONNECTED
    if connection == Connection.DISCONNECTED or (power is PowerState.ON and unheard):
        power = PowerState.UNKNOWN  # so it was when it was heard last
    return HostState(
        power=power,
        connection=Connection(connection) if known else Connection.UNKNOWN,
        standby=plain(values.get("runtime.standbyMode") or "unknown"),
        maintenance=values.get("runtime.inMaintenanceMode") is True,
        boot_time=as_utc(values.get("runtime.bootTime")),
        machines=len(machines),
        running=sum(str(each.get("runtime.powerState")) == "poweredOn" for each in machines),
    )
