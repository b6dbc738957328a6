"""An ESXi host behind a vCenter that somebody else wrote: found, described, and its machines counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import Connection, PowerState
from collector.adapters.esxi_host import EsxiHostController, EsxiHostEndpoint
from collector.adapters.limits import Deadline
from collector.errors import InventoryError
from tests.peers.govmomi import BUILD_S, Govmomi, govmomi
from tests.peers.soap_server import ADDRESS
from tests.peers.test_esxi_host import READS
from tests.peers.vsphere import credential

pytestmark = [pytest.mark.timeout(BUILD_S), pytest.mark.peer("golang-github-vmware-govmomi-dev")]


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Govmomi]:
    with govmomi(tmp_path) as running:
        yield running


def controller(double: Govmomi, folder: Path, host: str) -> EsxiHostController:
    keys = {"address": ADDRESS, "port": double.port, "ca_file": double.certificate, "host": host}
    return EsxiHostController(EsxiHostEndpoint.model_validate(keys), credential(folder), Deadline.after(30))


@pytest.mark.parametrize("name", ["DC0_H0", "dc0_h0"])
def test_a_host_is_found_by_its_name_and_described(double: Govmomi, tmp_path: Path, name: str) -> None:
    with controller(double, tmp_path, name) as vcenter:
        state = vcenter.host_state(Deadline.after(30))
        vcenter.events(Deadline.after(30))
    assert (state.connection, state.power) == (Connection.CONNECTED, PowerState.ON)
    assert (state.machines, state.running, state.maintenance) == (2, 2, False)
    assert [call for call in double.calls if not READS.fullmatch(call)] == []


def test_an_unknown_host_is_refused_and_a_machine_is_none(double: Govmomi, tmp_path: Path) -> None:
    for name in ("DC0_H9", "DC0_H0_VM0", "192.0.2.99"):
        with pytest.raises(InventoryError, match="no ESXi host"), controller(double, tmp_path, name):
            pass


def test_an_esxi_host_is_not_asked_about_itself(tmp_path: Path) -> None:
    with (
        govmomi(tmp_path, esxi=True) as double,
        pytest.raises(InventoryError, match="is an ESXi host"),
        controller(double, tmp_path, "localhost.localdomain"),
    ):
        pass
