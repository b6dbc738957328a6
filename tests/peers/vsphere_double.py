"""A double of vCenter, or of an ESXi host, over TLS: the methods that this project calls, and their effects.

Not a real vCenter: it shows that requests and answers follow the API's schema, and what our side does when
they go wrong.
"""

# ruff: noqa: N802 - `on_` and a method's name on the wire

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

from tests.peers.certificate import fingerprint
from tests.peers.soap_server import ADDRESS, Handler, Session, SoapServer
from tests.peers.soap_wire import Call
from tests.peers.vsphere_collector import PropertyReader, value
from tests.peers.vsphere_files import answer_file, search
from tests.peers.vsphere_rest import Tagging
from tests.peers.vsphere_snapshots import Snapshots
from tests.peers.vsphere_world import Datastore, EsxiHost, Node, Vm, World

USER, PASSWORD = "oncall@vsphere.local", "correct horse"
_numbers = itertools.count(1)


class Task(Node):
    """A task that is queued, runs for a while, and ends with a result or a fault."""

    def __init__(self, method: str, entity: Node) -> None:
        super().__init__(vim.Task, f"task-{next(_numbers)}")
        self.info = vim.TaskInfo(
            key=self.moid,
            task=self.ref,
            name=vim.VirtualMachine.CreateScreenshot if method == "CreateScreenshot_Task" else None,
            descriptionId=method,
            entity=entity.ref if issubclass(entity.kind, vim.ManagedEntity) else None,
            entityName=entity.name or None,
            state="queued",
            cancelled=False,
            cancelable=False,
            reason=vim.TaskReasonUser(userName=USER),
            queueTime=datetime.now(UTC),
            eventChainId=next(_numbers),
        )

    def properties(self) -> dict[str, Any]:
        return {"info": self.info}


class EventCollector(Node):
    """The events of an entity, newest first."""

    def __init__(self, events: list[Any]) -> None:
        super().__init__(vim.event.EventHistoryCollector, f"session[1]events-{next(_numbers)}")
        self.events, self.size = events, 10

    def properties(self) -> dict[str, Any]:
        newest = sorted(self.events, key=lambda event: event.createdTime, reverse=True)
        return {"latestPage": vim.event.Event.Array(newest[: self.size])}


class VsphereDouble(Snapshots, SoapServer):
    """Between `__enter__` and `__exit__`, serves `world`; what went wrong is set by `rules`.

    Args:
        folder: for its certificate.
        vcenter: False for an ESXi host.
        api_version: what it says it speaks.
    """

    def __init__(self, folder: Path, *, vcenter: bool = True, api_version: str = "8.0.3.0") -> None:
        super().__init__(folder, api_version)
        self.vcenter = vcenter
        self.world = World(vcenter=vcenter)
        self.reader = PropertyReader(self.world)
        self.users = {USER: PASSWORD}
        self.denied: set[str] = set()  # privileges that nobody has
        self.logins: list[bool] = []
        newest = api_version >= "7.0.2"
        self.tagging = Tagging(self.users, newest) if vcenter else None
        self.task_seconds = 0.1
        self.task_fault: Any = None
        self.file_status: int | None = None  # for every file, whatever was asked
        self.fingerprint = fingerprint(self.certificate)  # of the ESXi host, by vCenter
        self.cgi_delay = 0.2
        self.cgi_status = 200
        self.tickets: dict[str, str] = {}
        self.bundle = b"\x1f\x8b" + bytes(range(256)) * 2000  # of every host
        self.bundle_url = "https://*/downloads/vmsupport.tgz"
        self.bundle_ranges = True
        self.events: list[tuple[str, Any]] = []
        self._timers: list[threading.Timer] = []
        self._methods: dict[str, Handler] = {
            name.removeprefix("on_"): getattr(self, name) for name in dir(self) if name.startswith("on_")
        }

    def __exit__(self, *exc: object) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        super().__exit__(*exc)

    def nmis(self) -> int:
        """How many NMIs took effect, on all machines."""
        return sum(len(vm.nmis) for vm in self.world.vms())

    def handler(self, method: str) -> Handler | None:
        return self._methods.get(method)

    def answer(self, call: Call, session: Session | None) -> Any:
        privilege = call.info.privId if call.info else "System.View"
        if session is not None and privilege in self.denied:
            raise vim.fault.NoPermission(
                msg="Permission to perform this operation was denied.",
                object=call.target,
                privilegeId=privilege,
            )
        return super().answer(call, session)

    def get(self, path: str, session: Session | None, headers: Any) -> tuple[int, dict[str, str], bytes]:
        return answer_file(self, path, session, headers)

    def rest(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return (404, {}, b"") if self.tagging is None else self.tagging.answer(method, path, headers, body)

    def log_event(
        self, node: Node, when: datetime, words: str, kind: Any = vim.event.GeneralUserEvent
    ) -> None:
        """Remember an event of a machine or a host."""
        event = kind(
            key=next(_numbers), chainId=0, createdTime=when, userName=USER, fullFormattedMessage=words
        )
        if kind is vim.event.GeneralUserEvent:
            event.message = words
        self.events.append((node.moid, event))

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something later."""

        def locked() -> None:
            with self.lock:
                work()

        timer = threading.Timer(seconds, locked)
        self._timers.append(timer)
        timer.start()

    def start(self, method: str, node: Node, work: Callable[[], Any]) -> Any:
        """Begin a task whose effect and result are `work`'s; return its reference."""
        task = self.world.add(Task(method, node))

        def finish() -> None:
            try:
                if self.task_fault is not None:
                    raise self.task_fault
                task.info.result = work()
                task.info.state = "success"
            except vmodl.MethodFault as error:
                task.info.error, task.info.state = error, "error"

        self.after(self.task_seconds / 2, lambda: setattr(task.info, "state", "running"))
        self.after(self.task_seconds, finish)
        return task.ref

    def _node(self, ref: Any) -> Any:
        node = self.world.nodes.get(ref._GetMoId())
        if node is None:
            raise vmodl.fault.ManagedObjectNotFound(msg="The object has already been deleted", obj=ref)
        return node

    # ServiceInstance and SessionManager

    def on_RetrieveServiceContent(self, call: Call, session: Session | None) -> Any:
        kind = "VirtualCenter" if self.vcenter else "HostAgent"
        name = "VMware vCenter Server" if self.vcenter else "VMware ESXi"
        about = vim.AboutInfo(
            name=name,
            fullName=f"{name} 8.0.3 build-0",
            vendor="VMware, Inc.",
            version="8.0.3",
            build="0",
            osType="linux-x64" if self.vcenter else "vmnix-x86",
            productLineId="vpx" if self.vcenter else "embeddedEsx",
            apiType=kind,
            apiVersion=self.api_version,
            instanceUuid="5b6d3f0a-0000-4000-8000-000000000001" if self.vcenter else None,
        )
        return vim.ServiceInstanceContent(
            rootFolder=self.world.root.ref,
            propertyCollector=vmodl.query.PropertyCollector("propertyCollector"),
            viewManager=vim.view.ViewManager("ViewManager"),
            about=about,
            sessionManager=vim.SessionManager("SessionManager"),
            authorizationManager=vim.AuthorizationManager("AuthorizationManager"),
            searchIndex=vim.SearchIndex("SearchIndex"),
            eventManager=vim.event.EventManager("EventManager"),
            fileManager=vim.FileManager("FileManager"),
            diagnosticManager=vim.DiagnosticManager("DiagMgr"),
        )

    def on_CurrentTime(self, call: Call, session: Session | None) -> Any:
        return datetime.now(UTC)

    def on_Login(self, call: Call, session: Session | None) -> Any:
        user, password = call.arguments["userName"], call.arguments["password"]
        allowed = self.users.get(user) == password
        self.logins.append(allowed)
        if not allowed:
            raise vim.fault.InvalidLogin(
                msg="Cannot complete login due to an incorrect user name or password."
            )
        fresh, cookie = self.log_in(user)
        now = datetime.now(UTC)
        return vim.UserSession(
            key=fresh.key,
            userName=user,
            fullName=user,
            loginTime=now,
            lastActiveTime=now,
            locale="en",
            messageLocale="en",
            extensionSession=False,
            ipAddress=ADDRESS,
            userAgent="",
            callCount=0,
        ), cookie

    def on_Logout(self, call: Call, session: Session | None) -> None:
        self.sessions = {cookie: each for cookie, each in self.sessions.items() if each is not session}

    def on_AcquireGenericServiceTicket(self, call: Call, session: Session | None) -> Any:
        ticket = secrets.token_hex(16)
        self.tickets[ticket] = call.arguments["spec"].url
        shown = vim.vm.CertThumbprint(thumbprint=self.fingerprint, hashAlgorithm="sha256")
        return vim.SessionManager.GenericServiceTicket(
            id=ticket, hostName=self.world.host.name, certThumbprintList=[shown]
        )

    def on_HasPrivilegeOnEntity(self, call: Call, session: Session | None) -> Any:
        return [privilege not in self.denied for privilege in call.arguments["privId"]]

    # PropertyCollector and ViewManager

    def on_Fetch(self, call: Call, session: Session | None) -> Any:
        if isinstance(call.target, vim.ServiceInstance):
            return self.on_RetrieveServiceContent(call, session)
        return value(self._node(call.target), call.arguments["prop"])

    def on_RetrievePropertiesEx(self, call: Call, session: Session | None) -> Any:
        options = call.arguments.get("options")
        return self.reader.retrieve(call.arguments["specSet"], options.maxObjects if options else None)

    def on_ContinueRetrievePropertiesEx(self, call: Call, session: Session | None) -> Any:
        return self.reader.go_on(call.arguments["token"])

    def on_CreateContainerView(self, call: Call, session: Session | None) -> Any:
        wanted = call.arguments
        return self.reader.create_view(wanted["container"], wanted.get("type", []), wanted["recursive"])

    def on_DestroyView(self, call: Call, session: Session | None) -> None:
        del self.world.nodes[self._node(call.target).moid]

    # SearchIndex

    def _search(self, call: Call, fits: Callable[[Vm], bool]) -> Any:
        center = call.arguments.get("datacenter")
        top = self._node(center) if center else self.world.root
        return [vm.ref for vm in top.below() if isinstance(vm, Vm) and fits(vm)]

    def _search_hosts(self, call: Call, fits: Callable[[EsxiHost], bool]) -> Any:
        center = call.arguments.get("datacenter")
        top = self._node(center) if center else self.world.root
        return [host.ref for host in top.below() if isinstance(host, EsxiHost) and fits(host)]

    def on_FindAllByUuid(self, call: Call, session: Session | None) -> Any:
        if not call.arguments["vmSearch"]:
            return self._search_hosts(call, lambda host: host.hardware_uuid == call.arguments["uuid"])
        wanted, instance = call.arguments["uuid"], call.arguments.get("instanceUuid")
        return self._search(call, lambda vm: wanted == (vm.instance_uuid if instance else vm.bios_uuid))

    def on_FindAllByDnsName(self, call: Call, session: Session | None) -> Any:
        if not call.arguments["vmSearch"]:
            wanted = call.arguments["dnsName"]
            return self._search_hosts(call, lambda host: host.name == wanted and not host.forgotten)
        return self._search(call, lambda vm: vm.guest_name == call.arguments["dnsName"])

    def on_FindAllByIp(self, call: Call, session: Session | None) -> Any:
        if not call.arguments["vmSearch"]:
            wanted = call.arguments["ip"]
            return self._search_hosts(call, lambda host: host.address == wanted and not host.forgotten)
        return self._search(call, lambda vm: vm.address == call.arguments["ip"])

    def on_FindByUuid(self, call: Call, session: Session | None) -> Any:
        return next(iter(self.on_FindAllByUuid(call, session)), None)

    def on_FindByDnsName(self, call: Call, session: Session | None) -> Any:
        return next(iter(self.on_FindAllByDnsName(call, session)), None)

    def on_FindByIp(self, call: Call, session: Session | None) -> Any:
        return next(iter(self.on_FindAllByIp(call, session)), None)

    def on_FindByInventoryPath(self, call: Call, session: Session | None) -> Any:
        wanted = call.arguments["inventoryPath"].strip("/")
        nodes = [node for node in self.world.root.below() if node.path() == wanted]
        return nodes[0].ref if nodes else None

    # VirtualMachine

    def on_SendNMI(self, call: Call, session: Session | None) -> None:
        vm = self._node(call.target)
        if vm.power != "poweredOn":
            raise vim.fault.InvalidPowerState(
                msg="The attempted operation cannot be performed in the current state.",
                requestedState="poweredOn",
                existingState=vm.power,
            )
        vm.nmi()

    def on_CreateScreenshot_Task(self, call: Call, session: Session | None) -> Any:
        vm = self._node(call.target)

        def take() -> str:
            path = f"{vm.name}/{vm.name}-{next(_numbers)}.png"
            vm.datastore.files[path] = vm.screen
            return f"[{vm.datastore.name}] {path}"

        return self.start("CreateScreenshot_Task", vm, take)

    # EventManager

    def on_CreateCollectorForEvents(self, call: Call, session: Session | None) -> Any:
        wanted = call.arguments["filter"]
        return self.world.add(EventCollector(self._events(wanted))).ref

    def on_QueryEvents(self, call: Call, session: Session | None) -> Any:
        return self._events(call.arguments["filter"])

    def _events(self, wanted: Any) -> list[Any]:
        moid = wanted.entity.entity._GetMoId()
        begin = wanted.time.beginTime if wanted.time else None
        return [e for owner, e in self.events if owner == moid and (begin is None or e.createdTime >= begin)]

    def on_SetCollectorPageSize(self, call: Call, session: Session | None) -> None:
        self._node(call.target).size = call.arguments["maxCount"]

    def on_DestroyCollector(self, call: Call, session: Session | None) -> None:
        del self.world.nodes[self._node(call.target).moid]

    # DiagnosticManager

    def on_GenerateLogBundles_Task(self, call: Call, session: Session | None) -> Any:
        (host,) = [self._node(each) for each in call.arguments["host"]]

        def pack() -> Any:
            if host.connection != "connected":
                raise vim.fault.LogBundlingFailed(msg="Failed to generate log bundles.")
            info = vim.DiagnosticManager.BundleInfo(system=host.ref, url=self.bundle_url)
            return vim.DiagnosticManager.BundleInfo.Array([info])

        return self.start("GenerateLogBundles_Task", host, pack)

    # HostDatastoreBrowser

    def on_SearchDatastore_Task(self, call: Call, session: Session | None) -> Any:
        moid = call.target._GetMoId().removeprefix("datastoreBrowser-")
        store = self.world.nodes[moid]
        assert isinstance(store, Datastore)
        path, spec = call.arguments["datastorePath"], call.arguments.get("searchSpec")
        return self.start("SearchDatastore_Task", store, lambda: search(store, path, spec))
