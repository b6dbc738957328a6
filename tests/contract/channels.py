"""The channels that the contract suite runs over, each with a real host behind it.

A new channel adds one entry to `RIGS`: a context manager that takes an empty folder and yields the channel,
logged in.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.adapters.base import Files, Shell
from collector.adapters.fake import MACHINES, FakeChannel, FakeEndpoint, FakeMachine, Life
from collector.adapters.limits import Deadline
from collector.adapters.smb import SmbChannel, SmbEndpoint
from collector.adapters.ssh import SshChannel
from collector.adapters.vsphere_datastore import VsphereDatastore
from collector.adapters.winrm import WinrmChannel
from tests.contract.credentials import credential_for, endpoint_for
from tests.peers.govmomi import BUILD_S, DATASTORE, govmomi
from tests.peers.samba import drive, smb_login
from tests.peers.sshd import sshd
from tests.peers.vsphere import credential as vsphere_login
from tests.peers.vsphere import endpoint as vsphere_endpoint
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.windows_host import WindowsHost
from tests.peers.winrm_login import winrm_endpoint, winrm_login
from tests.peers.wsman import wsman


@dataclass(frozen=True)
class Rig:
    """A logged-in channel, and how to put things on the host behind it.

    `put` writes a file below `folder` and returns its remote path. Where the channel is a shell as well,
    `say` returns a command that prints these bytes.
    """

    channel: Files
    folder: str
    put: Callable[[str, bytes], str]
    say: Callable[[bytes], str] = lambda data: ""

    @property
    def shell(self) -> Shell:
        """The channel, which is a shell."""
        assert isinstance(self.channel, Shell)
        return self.channel


@contextlib.contextmanager
def ssh(folder: Path) -> Iterator[Rig]:
    """OpenSSH's sshd on loopback."""
    shared = folder / "shared"
    shared.mkdir()

    def put(name: str, data: bytes) -> str:
        path = shared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def say(data: bytes) -> str:
        return f"cat {shlex.quote(put('said', data))}"

    with sshd(folder / "sshd") as server:
        channel = SshChannel(endpoint_for(server), credential_for(server), Deadline.after(30))
        with channel:
            yield Rig(channel, str(shared), put, say)


@contextlib.contextmanager
def fake(folder: Path) -> Iterator[Rig]:
    """The scripted machine."""
    machine = FakeMachine(str(folder), life=Life.RUNNING)
    MACHINES[machine.name] = machine

    def put(name: str, data: bytes) -> str:
        machine.files[f"/srv/{name}"] = data
        return f"/srv/{name}"

    def say(data: bytes) -> str:
        machine.commands["say"] = data
        return "say"

    endpoint = FakeEndpoint(machine=machine.name)
    try:
        with FakeChannel(endpoint, None, Deadline.after(30)) as channel:
            yield Rig(channel, "/srv", put, say)
    finally:
        del MACHINES[machine.name]


@contextlib.contextmanager
def winrm(folder: Path) -> Iterator[Rig]:
    """The WS-Management server, with drive C: in a folder."""
    drive = folder / "drive"
    drive.mkdir()

    def put(name: str, data: bytes) -> str:
        path = drive / "srv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"/C:/srv/{name}"

    with (
        wsman(folder / "wsman", WindowsHost(drive)) as server,
        WinrmChannel(winrm_endpoint(server), winrm_login(folder), Deadline.after(30)) as channel,
    ):
        yield Rig(channel, "/C:/srv", put)


@contextlib.contextmanager
def smb(folder: Path) -> Iterator[Rig]:
    """Samba's smbd, with drive C: in a folder."""
    shared = folder / "shared"
    shared.mkdir()

    def put(name: str, data: bytes) -> str:
        path = shared / "srv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"/C:/srv/{name}"

    with drive(folder / "smb", shared) as server:
        endpoint = SmbEndpoint(address="127.0.0.1", port=server.port)
        with SmbChannel(endpoint, smb_login(server), Deadline.after(30)) as channel:
            yield Rig(channel, "/C:/srv", put)


@contextlib.contextmanager
def vsphere(folder: Path) -> Iterator[Rig]:
    """A datastore behind a vCenter."""
    with VsphereDouble(folder / "vsphere") as double:
        store = double.world.datastore

        def put(name: str, data: bytes) -> str:
            store.files[f"srv/{name}"] = data
            return f"/vmfs/volumes/{store.name}/srv/{name}"

        endpoint = vsphere_endpoint(double)
        with VsphereDatastore(endpoint, vsphere_login(folder), Deadline.after(30)) as channel:
            yield Rig(channel, f"/vmfs/volumes/{store.name}/srv", put)


@contextlib.contextmanager
def vsphere_govmomi(folder: Path) -> Iterator[Rig]:
    """The datastore of a vCenter that somebody else wrote."""
    with govmomi(folder) as double:

        def put(name: str, data: bytes) -> str:
            path = double.datastore / "srv" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return f"/vmfs/volumes/{DATASTORE}/srv/{name}"

        endpoint = vsphere_endpoint(double)
        with VsphereDatastore(endpoint, vsphere_login(folder), Deadline.after(30)) as channel:
            yield Rig(channel, f"/vmfs/volumes/{DATASTORE}/srv", put)


RIGS: Mapping[str, Callable[[Path], AbstractContextManager[Rig]]] = {
    "ssh": ssh,
    "fake": fake,
    "winrm": winrm,
    "smb": smb,
    "vsphere": vsphere,
    "vsphere-govmomi": vsphere_govmomi,
}

CHANNELS = [
    pytest.param(name, marks=pytest.mark.timeout(BUILD_S) if name == "vsphere-govmomi" else ())
    for name in sorted(RIGS)
]
"""The names of the rigs; a peer that may have to be built first gets the time for it."""

SHELLS = ("ssh", "fake")
"""Those that run commands of a login shell as well."""
