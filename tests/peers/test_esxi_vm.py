"""A virtual machine through the shell of its ESXi host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.answers import NmiOutcome, PowerState
from collector.adapters.base import NmiInjector, Power
from collector.adapters.esxi_vm import processes
from collector.adapters.limits import Deadline
from tests.peers.esxi_shell import APP07, LISTING, EsxiShell, esxi_shell


@pytest.fixture
def host(tmp_path: Path) -> Iterator[EsxiShell]:
    with esxi_shell(tmp_path) as running:
        yield running


def soon() -> Deadline:
    return Deadline.after(30.0)


@pytest.mark.parametrize("vm", ["app07", APP07, APP07.replace(" ", "").upper()])
def test_the_machine_that_is_meant_gets_one_nmi(host: EsxiShell, vm: str) -> None:
    with host.controller(vm) as controller:
        assert isinstance(controller, NmiInjector)
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.SENT, answer.detail
    assert host.nmis() == ["3199732 nmi"]


@pytest.mark.parametrize("vm", ["app0", "APP07", APP07[:20], "3199732"])
def test_a_machine_that_is_not_there_gets_none(host: EsxiShell, vm: str) -> None:
    with host.controller(vm) as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.NOT_SENT
    assert "does not run on 127.0.0.1" in answer.detail
    assert host.nmis() == []


def test_a_name_with_a_colon_is_a_name(host: EsxiShell) -> None:
    with host.controller("web (old): 1") as controller:
        controller.send_nmi(soon())
    assert host.nmis() == ["2099001 nmi"]


def test_power_is_told_of_machines_that_run_here(host: EsxiShell) -> None:
    with host.controller() as controller:
        assert isinstance(controller, Power)
        assert controller.power_state(soon()) is PowerState.ON
    with host.controller("elsewhere") as controller:
        assert controller.power_state(soon()) is PowerState.UNKNOWN
    assert host.nmis() == []


def test_two_machines_of_one_name_get_none(host: EsxiShell) -> None:
    twice = LISTING + "\n" + LISTING.replace("3199732", "3199999").replace("42 30 f9", "42 30 aa")
    host.has("esxcli", f"cat <<'EOF'\n{twice}EOF")
    with host.controller() as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.NOT_SENT
    assert "2 machines" in answer.detail
    assert host.nmis() == []


def test_a_host_whose_esxcli_fails_is_not_asked_for_an_nmi(host: EsxiShell) -> None:
    host.has("esxcli", "echo Connect to localhost failed >&2; exit 1")
    with host.controller() as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.NOT_SENT
    assert "Connect to localhost failed" in answer.detail
    assert host.nmis() == []


def test_vm_support_is_told_the_machine_s_file_whatever_is_in_its_name(host: EsxiShell) -> None:
    host.has("vm-support", f'printf "%s|" "$@" >> {host.folder}/nmis; echo bundle')
    with host.controller(way="vm-support") as controller:
        assert controller.send_nmi(soon()).outcome is NmiOutcome.SENT
    file = "/vmfs/volumes/5f3c-1/app 07/app07.vmx"
    assert host.nmis() == [f"-s|-a|HungVM:Send_NMI_To_Guest|--vm={file}|"]


def test_a_host_without_vm_support_sends_nothing(host: EsxiShell) -> None:
    with host.controller(way="vm-support") as controller:
        answer = controller.send_nmi(soon())
    assert (answer.outcome, answer.detail) == (NmiOutcome.NOT_SENT, "the host has no vm-support")


@pytest.mark.parametrize("way", ["vmdumper", "vm-support"])
def test_a_tool_that_acts_and_then_misses_a_tool_of_its_own_leaves_it_uncertain(
    host: EsxiShell, way: str
) -> None:
    host.has(way, f'echo "$*" >> {host.folder}/nmis; no-such-tool')
    with host.controller(way=way) as controller:
        answer = controller.send_nmi(soon())
    assert answer.outcome is NmiOutcome.UNCERTAIN, answer.detail
    assert len(host.nmis()) == 1


@given(st.binary(max_size=400))
def test_no_listing_breaks_the_reader(noise: bytes) -> None:
    names = [machine.name for machine in processes(LISTING.encode() + b"\n" + noise)]
    assert names[0] == "web (old): 1"
