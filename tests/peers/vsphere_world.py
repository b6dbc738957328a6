"""The inventory of the vSphere double: folders, a datacenter, hosts, datastores and virtual machines."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pyVmomi import vim

BOOTED = datetime(2026, 7, 1, 8, 0, 0, tzinfo=UTC)
_numbers = itertools.count(100)


@dataclass(eq=False)
class Node:
    """A managed object: its type, its id, and what the property collector may read of it."""

    kind: Any
    moid: str
    name: str = ""
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.parent is not None:
            self.parent.children.append(self)

    @property
    def ref(self) -> Any:
        """A reference, as it goes over the wire."""
        return self.kind(self.moid)

    def properties(self) -> dict[str, Any]:
        """By the first part of the path; None and absent both mean unset."""
        known = {"name": self.name or None, "parent": self.parent.ref if self.parent else None}
        if self.kind is vim.Folder:
            known["childEntity"] = vim.ManagedEntity.Array([child.ref for child in self.children])
        return known

    def below(self) -> Iterator[Node]:
        """Everything under it."""
        for child in self.children:
            yield child
            yield from child.below()

    def path(self) -> str:
        """The inventory path, without the root folder."""
        names = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            names.append(node.name.replace("%", "%25").replace("/", "%2f"))
            node = node.parent
        return "/".join(reversed(names))


@dataclass(eq=False)
class Datacenter(Node):
    """Leads to its folders and datastores."""

    datastores: list[Datastore] = field(default_factory=list)

    def below(self) -> Iterator[Node]:
        yield from super().below()
        yield from self.datastores

    def properties(self) -> dict[str, Any]:
        folders = {f"{child.name}Folder": child.ref for child in self.children}
        stores = vim.Datastore.Array([store.ref for store in self.datastores])
        return {**super().properties(), **folders, "datastore": stores}


@dataclass(eq=False)
class Datastore(Node):
    """Files by their path within it, without a leading slash."""

    files: dict[str, bytes] = field(default_factory=dict)
    modified: dict[str, datetime] = field(default_factory=dict)
    free: int = 1 << 40

    @property
    def url(self) -> str:
        """Where an ESXi host mounts it."""
        return f"/vmfs/volumes/{uuid.uuid5(uuid.NAMESPACE_DNS, self.name)}"

    def properties(self) -> dict[str, Any]:
        browser = vim.host.DatastoreBrowser(f"datastoreBrowser-{self.moid}")
        summary = vim.Datastore.Summary(
            name=self.name,
            url=f"ds://{self.url}/",
            capacity=2 << 40,
            freeSpace=self.free,
            accessible=True,
            type="VMFS",
        )
        info = vim.Datastore.Info(name=self.name, url=f"ds://{self.url}/", freeSpace=self.free, maxFileSize=0)
        return {**super().properties(), "browser": browser, "summary": summary, "info": info}


@dataclass(eq=False)
class EsxiHost(Node):
    """A host that runs virtual machines."""

    connection: str = "connected"
    power: str = "poweredOn"
    standby: str = "none"
    maintenance: bool = False
    booted: datetime = BOOTED
    address: str | None = None
    hardware_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    forgotten: bool = False  # what it told of its network is lost, so that the search index finds nothing
    machines: list[Vm] = field(default_factory=list)

    def properties(self) -> dict[str, Any]:
        runtime = vim.host.RuntimeInfo(
            connectionState=self.connection,
            powerState=self.power,
            inMaintenanceMode=self.maintenance,
            bootTime=self.booted,
            standbyMode=self.standby,
        )
        hardware = vim.host.Summary.HardwareSummary(
            vendor="Example",
            model="R1",
            uuid=self.hardware_uuid,
            memorySize=512 << 30,
            cpuModel="Example CPU",
            cpuMhz=2600,
            numCpuPkgs=2,
            numCpuCores=32,
            numCpuThreads=64,
            numNics=4,
            numHBAs=2,
        )
        summary = vim.host.Summary(
            host=self.ref,
            hardware=hardware,
            config=vim.host.Summary.ConfigSummary(name=self.name, port=443, vmotionEnabled=True),
            quickStats=vim.host.Summary.QuickStats(),
            overallStatus="green",
            rebootRequired=False,
        )
        machines = vim.VirtualMachine.Array([vm.ref for vm in self.machines])
        return {**super().properties(), "runtime": runtime, "summary": summary, "vm": machines}


@dataclass(eq=False)
class Vm(Node):
    """A virtual machine, and what the test makes of it.

    An NMI that arrives counts in `nmis`; with `crashes` set, the guest is back that many
    seconds later, booted anew.
    """

    host: EsxiHost | None = None
    datastore: Datastore | None = None
    power: str = "poweredOn"
    tools: str = "guestToolsRunning"
    heartbeat: str = "green"
    question: str | None = None
    guest_name: str | None = None
    address: str | None = None
    bios_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    instance_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    memory_mb: int = 4096
    nmis: list[float] = field(default_factory=list)
    crashes: float | None = None
    on_nmi: Callable[[], object] = lambda: None
    more: dict[str, Any] = field(default_factory=dict)  # properties by their names
    screen: bytes = b"\x89PNG\r\n\x1a\n" + bytes(64)

    def nmi(self) -> None:
        """Take an NMI."""
        self.nmis.append(time.monotonic())
        self.on_nmi()

    def booted(self) -> datetime:
        """When the guest's machine was started last."""
        if self._back():
            return BOOTED + timedelta(days=140)
        return BOOTED

    def _back(self) -> bool:
        return bool(self.nmis and self.crashes is not None and self._since() >= self.crashes)

    def _since(self) -> float:
        return time.monotonic() - self.nmis[-1]

    def _heartbeat(self) -> str:
        down = self.nmis and self.crashes is not None and not self._back()
        return "red" if down else self.heartbeat

    @property
    def vmx(self) -> str:
        """Its configuration file, as a datastore path."""
        assert self.datastore is not None
        return f"[{self.datastore.name}] {self.name}/{self.name}.vmx"

    def properties(self) -> dict[str, Any]:
        assert self.host is not None
        assert self.datastore is not None
        return {
            **super().properties(),
            "runtime": self._runtime(),
            "guest": self._guest(),
            "guestHeartbeatStatus": self._heartbeat(),
            "config": self._config(),
            "datastore": vim.Datastore.Array([self.datastore.ref]),
            **self.more,
        }

    def _runtime(self) -> Any:
        on = self.power == "poweredOn"
        question = None
        if self.question is not None:
            choice = vim.option.ChoiceOption(
                choiceInfo=[vim.ElementDescription(key="0", label="Retry", summary="Retry")]
            )
            question = vim.vm.QuestionInfo(id="1", text=self.question, choice=choice)
        return vim.vm.RuntimeInfo(
            host=self.host.ref if self.host else None,
            connectionState="connected",
            powerState=self.power,
            faultToleranceState="notConfigured",
            toolsInstallerMounted=False,
            numMksConnections=0,
            recordReplayState="inactive",
            onlineStandby=False,
            consolidationNeeded=False,
            bootTime=self.booted() if on else None,
            question=question,
        )

    def _guest(self) -> Any:
        return vim.vm.GuestInfo(
            guestState="running" if self.power == "poweredOn" else "notRunning",
            toolsRunningStatus=self.tools,
            hostName=self.guest_name,
            ipAddress=self.address,
        )

    def _config(self) -> Any:
        assert self.datastore is not None
        url = vim.vm.ConfigInfo.DatastoreUrlPair(name=self.datastore.name, url=self.datastore.url)
        return vim.vm.ConfigInfo(
            changeVersion="1",
            modified=BOOTED,
            name=self.name,
            guestFullName="Other Linux (64-bit)",
            version="vmx-19",
            uuid=self.bios_uuid,
            instanceUuid=self.instance_uuid,
            template=False,
            guestId="other5xLinux64Guest",
            alternateGuestName="",
            files=vim.vm.FileInfo(vmPathName=self.vmx),
            flags=vim.vm.FlagInfo(),
            defaultPowerOps=vim.vm.DefaultPowerOpInfo(),
            hardware=vim.vm.VirtualHardware(numCPU=2, memoryMB=self.memory_mb),
            datastoreUrl=[url],
        )


class World:
    """All nodes by their ids, starting with one datacenter, one host and one datastore.

    Args:
        vcenter: False for an ESXi host, whose folders have names of their own.
    """

    def __init__(self, *, vcenter: bool = True) -> None:
        self.nodes: dict[str, Node] = {}
        self.root = self.add(Node(vim.Folder, "group-d1" if vcenter else "ha-folder-root", "Datacenters"))
        self.datacenter = self.add_datacenter("DC0" if vcenter else "ha-datacenter")
        self.datastore = self.add_datastore("datastore1")
        self.host = self.add_host("esx01.example.com")

    def add(self, node: Any) -> Any:
        """Make a node known."""
        self.nodes[node.moid] = node
        return node

    def add_datacenter(self, name: str) -> Datacenter:
        """A datacenter with its folders for machines and hosts."""
        moid = "ha-datacenter" if name == "ha-datacenter" else f"datacenter-{next(_numbers)}"
        center = Datacenter(vim.Datacenter, moid, name, self.root)
        self.add(center)
        for folder in ("vm", "host"):
            self.add(Node(vim.Folder, f"group-{folder[0]}{next(_numbers)}", folder, center))
        return center

    def add_datastore(self, name: str, center: Datacenter | None = None) -> Datastore:
        """A datastore of a datacenter."""
        center = center or self.datacenter
        store = Datastore(vim.Datastore, f"datastore-{next(_numbers)}", name, center)
        center.children.remove(store)
        center.datastores.append(store)
        return self.add(store)

    def add_host(self, name: str) -> EsxiHost:
        """An ESXi host."""
        folder = next(child for child in self.datacenter.children if child.name == "host")
        return self.add(EsxiHost(vim.HostSystem, f"host-{next(_numbers)}", name, folder))

    def add_vm(self, name: str, center: Datacenter | None = None, **state: Any) -> Vm:
        """A virtual machine, in the machines' folder of a datacenter."""
        center = center or self.datacenter
        folder = next(child for child in center.children if child.name == "vm")
        state = {"host": self.host, "datastore": center.datastores[0], **state}
        vm = self.add(Vm(vim.VirtualMachine, f"vm-{next(_numbers)}", name, folder, **state))
        vm.host.machines.append(vm)
        vm.datastore.files[f"{name}/{name}.vmx"] = b'.encoding = "UTF-8"\n'
        return vm

    def vms(self) -> list[Vm]:
        """All virtual machines."""
        return [node for node in self.nodes.values() if isinstance(node, Vm)]
