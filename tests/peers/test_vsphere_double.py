"""The double, by pyVmomi's own client: it keeps the double honest, for it shares no code with our adapter."""

from __future__ import annotations

import gc
import http.client
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere_double import PASSWORD, USER, VsphereDouble

Query = vmodl.query.PropertyCollector

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _leave_no_sockets() -> Iterator[None]:
    """The standard client does not close its connections; collect them here, where that is forgiven."""
    yield
    gc.collect()


def trust(double: VsphereDouble) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(double.certificate))


def connect(double: VsphereDouble) -> Any:
    return SmartConnect(
        host=ADDRESS,
        port=double.port,
        user=USER,
        pwd=PASSWORD,
        sslContext=trust(double),
        connectionPoolTimeout=0,
    )


@pytest.fixture(params=[True, False], ids=["vcenter", "esxi"])
def double(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path, vcenter=request.param) as running:
        yield running


def test_the_standard_client_logs_in_and_out(double: VsphereDouble) -> None:
    service = connect(double)
    assert service._stub.version == "vim.version.v8_0_3_0"
    assert service.content.about.apiType == ("VirtualCenter" if double.vcenter else "HostAgent")
    Disconnect(service)
    assert double.sessions == {}


def test_a_wrong_password_is_refused(double: VsphereDouble) -> None:
    with pytest.raises(vim.fault.InvalidLogin):
        SmartConnect(host=ADDRESS, port=double.port, user=USER, pwd="wrong", sslContext=trust(double))
    assert double.logins == [False]


def test_an_idle_session_ends(double: VsphereDouble) -> None:
    service = connect(double)
    double.idle = 0.0
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = service.content


def test_a_machine_is_found_and_takes_an_nmi(double: VsphereDouble) -> None:
    vm = double.world.add_vm("app07", guest_name="app07.example.com", crashes=0.0)
    service = connect(double)
    found = service.content.searchIndex.FindByDnsName(None, "app07.example.com", True)
    assert (found.name, found.runtime.powerState, found.runtime.question) == ("app07", "poweredOn", None)
    before = found.runtime.bootTime
    found.SendNMI()
    assert (len(vm.nmis), found.runtime.bootTime > before) == (1, True)
    vm.power = "suspended"
    with pytest.raises(vim.fault.InvalidPowerState):
        found.SendNMI()
    Disconnect(service)


def test_many_machines_come_page_by_page(double: VsphereDouble) -> None:
    names = {double.world.add_vm(f"app{number:02}").name for number in range(7)}
    service = connect(double)
    content = service.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    way = Query.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    spec = Query.FilterSpec(
        propSet=[
            Query.PropertySpec(type=vim.VirtualMachine, pathSet=["name", "config.uuid", "guest.ipAddress"])
        ],
        objectSet=[Query.ObjectSpec(obj=view, skip=True, selectSet=[way])],
    )
    collector, found = content.propertyCollector, []
    page = collector.RetrievePropertiesEx([spec], Query.RetrieveOptions(maxObjects=3))
    while page is not None:
        found += page.objects
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    assert double.calls["ContinueRetrievePropertiesEx"] == 2
    read = [{each.name: each.val for each in one.propSet} for one in found]
    assert {one["name"] for one in read} == names
    assert all(set(one) == {"name", "config.uuid"} for one in read), "an unset property is absent"
    Disconnect(service)


def test_a_task_runs_for_a_while_and_its_file_can_be_fetched(double: VsphereDouble) -> None:
    vm = double.world.add_vm("app07")
    service = connect(double)
    task = vim.VirtualMachine(vm.moid, service._stub).CreateScreenshot_Task()
    states = [task.info.state]
    while states[-1] not in {"success", "error"}:
        time.sleep(0.02)
        states.append(task.info.state)
    assert states[0] in {"queued", "running"}
    assert states[-1] == "success"
    path = task.info.result.partition("] ")[2]
    url = f"/folder/{path}?dcPath={double.world.datacenter.name}&dsName=datastore1"
    assert fetch(double, url, {}) == (401, b"")
    cookie = {"Cookie": service._stub.cookie.split(";")[0]}
    assert fetch(double, url, cookie) == (200, vm.screen)
    assert fetch(double, url, {**cookie, "Range": "bytes=8-"}) == (206, vm.screen[8:])
    Disconnect(service)


def fetch(double: VsphereDouble, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(ADDRESS, double.port, context=trust(double), timeout=10)
    connection.request("GET", url, headers=headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_missing_privilege_is_named(double: VsphereDouble) -> None:
    vm = double.world.add_vm("app07")
    double.denied = {"VirtualMachine.Interact.GuestControl"}
    service = connect(double)
    with pytest.raises(vim.fault.NoPermission) as caught:
        vim.VirtualMachine(vm.moid, service._stub).SendNMI()
    assert caught.value.privilegeId == "VirtualMachine.Interact.GuestControl"
    assert vm.nmis == []
    Disconnect(service)


@pytest.mark.parametrize(
    ("trouble", "arrives"), [(Trouble.DROP_BEFORE, 0), (Trouble.DROP_AFTER, 1), (Trouble.MISSING, 0)]
)
def test_trouble_is_made_before_or_after_the_act(
    double: VsphereDouble, trouble: Trouble, arrives: int
) -> None:
    vm = double.world.add_vm("app07")
    service = connect(double)
    double.rules[f"SendNMI {vm.moid}"] = Rule(trouble)
    with pytest.raises((http.client.HTTPException, vmodl.MethodFault)):
        vim.VirtualMachine(vm.moid, service._stub).SendNMI()
    assert (len(vm.nmis), double.calls["SendNMI"]) == (arrives, 1)
    Disconnect(service)


def test_a_ticket_is_good_once_and_the_nmi_comes_later(double: VsphereDouble) -> None:
    vm = double.world.add_vm("app07")
    double.cgi_delay = 0.3
    service = connect(double)
    path = f"{double.world.datastore.url}/app07/app07.vmx"
    url = f"/cgi-bin/vm-support.cgi?manifests=HungVM%3ASend_NMI_To_Guest&vm={path}"
    spec = vim.SessionManager.HttpServiceRequestSpec(method="httpGet", url=f"https://{ADDRESS}{url}")
    ticket = service.content.sessionManager.AcquireGenericServiceTicket(spec)
    cookie = {"Cookie": f"vmware_cgi_ticket={ticket.id}"}
    assert fetch(double, url, cookie)[0] == 200
    assert vm.nmis == []
    assert fetch(double, url, cookie)[0] == 401
    deadline = time.monotonic() + 10
    while not vm.nmis and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(vm.nmis) == 1
    Disconnect(service)
