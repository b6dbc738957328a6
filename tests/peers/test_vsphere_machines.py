"""All machines of a vCenter in a few round trips, and as the hosts of a settings file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.registry import channel_settings, controller_settings
from collector.adapters.vsphere import VsphereEndpoint
from collector.adapters.vsphere_machines import machines
from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from collector.config.loader import load
from collector.errors import InventoryError
from collector.model.host import Platform
from tests.peers.soap_server import ADDRESS
from tests.peers.vsphere import credential, session
from tests.peers.vsphere_double import USER, VsphereDouble


@pytest.fixture
def double(tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path) as running:
        yield running


def soon() -> Deadline:
    return Deadline.after(60.0)


def test_a_thousand_machines_take_a_few_round_trips(double: VsphereDouble, tmp_path: Path) -> None:
    for number in range(1000):
        double.world.add_vm(f"app{number:04}")
    with session(double, tmp_path) as logged_in:
        before = sum(double.calls.values())
        found = machines(logged_in, None, soon())
        assert sum(double.calls.values()) - before <= 6
    assert [machine.name for machine in found] == [f"app{number:04}" for number in range(1000)]
    assert {machine.runs_on for machine in found} == {"esx01.example.com"}


def test_a_path_without_anything_is_said(double: VsphereDouble, tmp_path: Path) -> None:
    with session(double, tmp_path) as logged_in, pytest.raises(InventoryError, match="DC0/vm/nowhere"):
        machines(logged_in, "DC0/vm/nowhere", soon())


def test_a_vcenter_without_machines_has_none(double: VsphereDouble, tmp_path: Path) -> None:
    with session(double, tmp_path) as logged_in:
        assert machines(logged_in, None, soon()) == []


def test_what_is_printed_is_a_settings_file(
    double: VsphereDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    double.world.add_vm("app07", address="192.0.2.7")
    double.world.add_vm("web 01 (old)", guest_name="web01.example.com")
    twins = [double.world.add_vm("twin"), double.world.add_vm("twin")]
    credential(tmp_path)
    head = f"cases: ./cases\ncredentials:\n  vc: {{username: '{USER}', password: file:./vsphere-password}}\n"
    head += "  root: {username: root, agent: true}\n"
    settings = tmp_path / "hang-collector.yaml"
    settings.write_text(head + "hosts: {}\n")
    command = ["inventory", "import", "vcenter", ADDRESS, "--port", str(double.port), "--credential", "vc"]
    command += ["--ca-file", str(double.certificate), "--login", "root", "--config", str(settings)]
    assert run(command) == 0
    printed = capsys.readouterr().out
    settings.write_text(head + printed)
    known = load(settings, controllers=controller_settings(), channels=channel_settings())
    names = {f"twin-{twin.instance_uuid[:8]}" for twin in twins}
    assert set(known.hosts) == {"app07", "web-01-old"} | names
    host = known.hosts["app07"]
    assert (host.address, host.platform) == ("192.0.2.7", Platform.LINUX)
    (controller,) = host.controllers
    assert isinstance(controller, VsphereEndpoint)
    assert (controller.address, controller.credential) == (ADDRESS, "vc")
    assert known.hosts["web-01-old"].address == "web01.example.com"


def test_a_refused_login_is_one_row(double: VsphereDouble, tmp_path: Path) -> None:
    credential(tmp_path, password="wrong")
    settings = tmp_path / "hang-collector.yaml"
    settings.write_text(
        "cases: ./cases\nhosts: {}\n"
        f"credentials:\n  vc: {{username: '{USER}', password: file:./vsphere-password}}\n"
    )
    command = ["inventory", "import", "vcenter", ADDRESS, "--port", str(double.port), "--credential", "vc"]
    assert run([*command, "--ca-file", str(double.certificate), "--config", str(settings)]) == ExitCode.DENIED
    assert double.logins == [False]
