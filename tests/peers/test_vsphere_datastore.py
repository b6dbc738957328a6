"""Files of datastores: what the contract of channels does not cover."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import FileKind
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_datastore import VsphereDatastore
from collector.errors import DeadlineError, ForbiddenError, InventoryError, PeerFailedError, UnreachableError
from tests.peers.soap_server import Rule, Trouble
from tests.peers.vsphere import credential, endpoint
from tests.peers.vsphere_double import VsphereDouble

VMEM = os.urandom(3_000_000)
PATH = "/datastore1/app07/app07.vmem"


@pytest.fixture(params=[True, False], ids=["vcenter", "esxi"])
def double(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path, vcenter=request.param) as running:
        running.world.datastore.files["app07/app07.vmem"] = VMEM
        yield running


def soon() -> Deadline:
    return Deadline.after(30)


@contextlib.contextmanager
def channel(double: VsphereDouble, folder: Path, **keys: object) -> Iterator[VsphereDatastore]:
    with VsphereDatastore(endpoint(double, **keys), credential(folder), soon()) as entered:
        yield entered


def test_a_path_is_written_by_name_as_mounted_or_by_uuid(double: VsphereDouble, tmp_path: Path) -> None:
    with channel(double, tmp_path) as files:
        for folder in ("/datastore1", "/vmfs/volumes/datastore1", double.world.datastore.url):
            (inside,) = files.list(folder, soon())
            assert (inside.path, inside.kind) == (f"{folder}/app07", FileKind.FOLDER)
            found = files.stat(f"{folder}/app07/app07.vmem", soon())
            assert (found.path, found.size) == (f"{folder}/app07/app07.vmem", len(VMEM))
            assert b"".join(files.read(found.path, len(VMEM) - 5, 30.0)) == VMEM[-5:]


@pytest.mark.parametrize("top", ["/", "/vmfs/volumes"])
def test_the_datastores_are_listed_at_the_top(double: VsphereDouble, tmp_path: Path, top: str) -> None:
    double.world.add_datastore("nfs 2")
    with channel(double, tmp_path) as files:
        found = {each.path: each.kind for each in files.list(top, soon())}
        assert files.stat(top, soon()).kind is FileKind.FOLDER
        assert files.stat(f"{top}/nfs 2".replace("//", "/"), soon()).kind is FileKind.FOLDER
    above = top.rstrip("/")
    assert found == {f"{above}/datastore1": FileKind.FOLDER, f"{above}/nfs 2": FileKind.FOLDER}


def test_two_datastores_of_one_name_need_a_datacenter(double: VsphereDouble, tmp_path: Path) -> None:
    twin = double.world.add_datastore("datastore1", double.world.add_datacenter("DC2"))
    twin.files["app07/app07.vmem"] = b"other"
    with channel(double, tmp_path) as files, pytest.raises(InventoryError, match="2 datastores"):
        files.stat(PATH, soon())
    with channel(double, tmp_path, datacenter="DC2") as files:
        assert b"".join(files.read(PATH, 0, 30.0)) == b"other"


def test_a_cut_is_told_and_the_rest_is_read_from_there(double: VsphereDouble, tmp_path: Path) -> None:
    double.rules["GET /folder"] = Rule(Trouble.CUT, times=1)
    home = b""
    with channel(double, tmp_path) as files:
        with pytest.raises(UnreachableError):
            for block in files.read(PATH, 0, 30.0):
                home += block
        assert 0 < len(home) < len(VMEM)
        assert home + b"".join(files.read(PATH, len(home), 30.0)) == VMEM


def test_a_server_that_falls_silent_in_the_middle_costs_the_stall_only(
    double: VsphereDouble, tmp_path: Path
) -> None:
    double.rules["GET /folder"] = Rule(Trouble.STALL)
    started = time.monotonic()
    with channel(double, tmp_path) as files, pytest.raises(DeadlineError):
        for _ in files.read(PATH, 0, 1.0):
            pass
    assert time.monotonic() - started < 10.0


def test_a_session_that_ended_asks_for_a_new_login(double: VsphereDouble, tmp_path: Path) -> None:
    with channel(double, tmp_path) as files:
        reader = files.read(PATH, 0, 30.0)
        first = next(reader)
        double.sessions.clear()
        assert first + b"".join(reader) == VMEM, "what is under way goes on"
        with pytest.raises(UnreachableError, match="session"):
            list(files.read(PATH, 5, 30.0))
    with channel(double, tmp_path) as files:
        assert b"".join(files.read(PATH, 5, 30.0)) == VMEM[5:]


def test_a_file_without_the_right_to_it_names_the_privileges(double: VsphereDouble, tmp_path: Path) -> None:
    double.file_status = 401
    with channel(double, tmp_path) as files, pytest.raises(ForbiddenError) as caught:
        list(files.read(PATH, 0, 30.0))
    assert "Datastore.FileManagement" in caught.value.hint


def test_a_range_that_is_not_honoured_is_no_file(double: VsphereDouble, tmp_path: Path) -> None:
    double.file_status = 200
    with channel(double, tmp_path) as files, pytest.raises(PeerFailedError, match="from byte 5"):
        list(files.read(PATH, 5, 30.0))


def test_a_datastore_that_is_not_there_is_not_found(double: VsphereDouble, tmp_path: Path) -> None:
    with channel(double, tmp_path) as files:
        for path in ("/nowhere/app07/app07.vmem", "/vmfs/volumes/nowhere"):
            with pytest.raises(FileNotFoundError):
                files.stat(path, soon())
