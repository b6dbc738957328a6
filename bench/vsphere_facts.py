"""Facts of all machines of a vCenter: ours in bulk against getters of pyVmomi, object by object, in one run.

    python bench/vsphere_facts.py [MACHINES]

Both ask the same double over TLS, for the same facts, and must find the same. The getters are asked of every
tenth machine, and their time and round trips are multiplied by ten: the rest would take as long again.
"""

from __future__ import annotations

import ssl
import sys
import tempfile
import time
from pathlib import Path

from pyVim.connect import Connect, Disconnect
from pyVmomi import vim

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' double

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_machines import Machine, machines
from tests.peers.soap_server import ADDRESS
from tests.peers.vsphere import session
from tests.peers.vsphere_double import PASSWORD, USER, VsphereDouble

EVERY = 10
VERSION = "vim.version.v8_0_3_0"


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name, VsphereDouble(Path(name)) as double:
        for number in range(count):
            address = f"10.0.{number // 250}.{number % 250}"
            double.world.add_vm(f"vm{number:05}", guest_name=f"vm{number:05}.example.com", address=address)
        bulk, bulk_s, bulk_trips = in_bulk(double, Path(name))
        some, some_s, some_trips = by_getters(double)
    assert some == bulk[::EVERY], "the two found different facts"
    getter_s, getter_trips = some_s * EVERY, some_trips * EVERY
    print(f"{count} machines, 8 facts each, over TLS on loopback")
    print(f"{'in bulk':12} {bulk_s:8.2f} s   {bulk_trips:6} round trips")
    print(
        f"{'by getters':12} {getter_s:8.2f} s   {getter_trips:6} round trips   ({EVERY} times those of "
        f"{len(some)} machines)"
    )
    print(f"{getter_s / bulk_s:.1f} times faster, {getter_trips / bulk_trips:.0f} times fewer round trips")


def in_bulk(double: VsphereDouble, folder: Path) -> tuple[list[Machine], float, int]:
    """What `inventory import vcenter` asks; without the login."""
    with session(double, folder) as logged_in:
        before, started = sum(double.calls.values()), time.perf_counter()
        found = machines(logged_in, None, Deadline.after(600.0))
        return found, time.perf_counter() - started, sum(double.calls.values()) - before


def by_getters(double: VsphereDouble) -> tuple[list[Machine], float, int]:
    """What a script does that goes through the machines; each getter is asked once, and kept."""
    trusted = ssl.create_default_context(cafile=str(double.certificate))
    instance = Connect(
        host=ADDRESS, port=double.port, user=USER, pwd=PASSWORD, version=VERSION, sslContext=trusted
    )
    content = instance.RetrieveContent()
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    every = view.view[::EVERY]
    before, started = sum(double.calls.values()), time.perf_counter()
    found = [facts(vm) for vm in every]
    seconds, trips = time.perf_counter() - started, sum(double.calls.values()) - before
    Disconnect(instance)
    return found, seconds, trips


def facts(vm: vim.VirtualMachine) -> Machine:
    config, guest, runtime = vm.config, vm.guest, vm.runtime
    return Machine(
        name=vm.name,
        instance_uuid=config.instanceUuid,
        guest_id=config.guestId,
        guest_name=guest.hostName,
        address=guest.ipAddress,
        heartbeat=vm.guestHeartbeatStatus,
        power=runtime.powerState,
        runs_on=runtime.host.name,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
