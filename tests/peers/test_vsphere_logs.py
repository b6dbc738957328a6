"""The support bundle of an ESXi host by way of its vCenter: made once, fetched whole, from nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyVmomi import vim

from collector.adapters.base import SupportBundle
from collector.adapters.esxi_host import EsxiHostController
from collector.adapters.limits import Deadline
from collector.errors import (
    DeadlineError,
    ForbiddenError,
    PeerFailedError,
    UnreachableError,
)
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.test_esxi_host import seen
from tests.peers.vsphere_double import VsphereDouble
from tests.peers.vsphere_world import EsxiHost

STALL = 5.0


@pytest.fixture
def double(tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path) as running:
        yield running


@pytest.fixture
def esx03(double: VsphereDouble) -> EsxiHost:
    return double.world.add_host("esx03.example.com")


@pytest.fixture
def controller(double: VsphereDouble, esx03: EsxiHost, tmp_path: Path) -> Iterator[EsxiHostController]:
    with seen(double, tmp_path) as entered:
        yield entered


def soon() -> Deadline:
    return Deadline.after(30)


def test_it_is_a_capability() -> None:
    assert issubclass(EsxiHostController, SupportBundle)


def test_a_bundle_is_made_once_and_read_from_any_byte(
    double: VsphereDouble, controller: EsxiHostController
) -> None:
    place = controller.make_bundle(soon())
    assert place == "https://*/downloads/vmsupport.tgz"
    assert double.calls["GenerateLogBundles_Task"] == 1
    assert b"".join(controller.read_bundle(place, 0, STALL)) == double.bundle
    assert b"".join(controller.read_bundle(place, 1000, STALL)) == double.bundle[1000:]
    assert b"".join(controller.read_bundle(place, len(double.bundle), STALL)) == b""


def test_a_server_without_ranges_is_read_from_the_beginning(
    double: VsphereDouble, controller: EsxiHostController
) -> None:
    double.bundle_ranges = False
    place = controller.make_bundle(soon())
    for offset in (1, 1000, len(double.bundle) - 1, len(double.bundle)):
        assert b"".join(controller.read_bundle(place, offset, STALL)) == double.bundle[offset:]


def test_a_bundle_that_never_gets_ready_ends_by_the_deadline(
    double: VsphereDouble, controller: EsxiHostController
) -> None:
    double.task_seconds = 3600.0
    with pytest.raises(DeadlineError, match="the support bundle was not done"):
        controller.make_bundle(Deadline.after(1.0))


def test_a_missing_privilege_is_named(double: VsphereDouble, controller: EsxiHostController) -> None:
    double.denied.add("Global.Diagnostics")
    with pytest.raises(ForbiddenError, match=r"Global\.Diagnostics"):
        controller.make_bundle(soon())


def test_a_host_that_cannot_pack_is_told(
    double: VsphereDouble, esx03: EsxiHost, controller: EsxiHostController
) -> None:
    esx03.connection = "notResponding"
    with pytest.raises(PeerFailedError, match="LogBundlingFailed"):
        controller.make_bundle(soon())


def test_a_lost_answer_is_not_asked_for_again(double: VsphereDouble, controller: EsxiHostController) -> None:
    double.rules["GenerateLogBundles_Task"] = Rule(Trouble.DROP_AFTER)
    with pytest.raises(UnreachableError):
        controller.make_bundle(soon())
    assert double.calls["GenerateLogBundles_Task"] == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/downloads/vmsupport.tgz",
        "https://*.example.com/downloads/vmsupport.tgz",
        f"https://{ADDRESS}@evil.example.com/x.tgz",
        "https://[/x",
        "https://*/a b",
        "https://*/a\r\nHost: evil.example.com",
        "https://*",
        "file:///etc/passwd",
        "",
    ],
)
def test_the_session_is_shown_to_no_other_server(
    double: VsphereDouble, controller: EsxiHostController, url: str
) -> None:
    before = double.calls.copy()
    with pytest.raises((PeerFailedError, FileNotFoundError)):
        list(controller.read_bundle(url, 0, STALL))
    asked = {call for call in double.calls - before if call.startswith("GET")}
    assert asked <= {"GET /aHost:evil.example.com"}


@pytest.mark.parametrize("url", [f"https://{ADDRESS}/downloads/x.tgz", "https://*:443/downloads/x.tgz"])
def test_its_own_name_and_the_asterisk_with_a_port_are_its_own(
    double: VsphereDouble, controller: EsxiHostController, url: str
) -> None:
    double.bundle_url = url
    assert b"".join(controller.read_bundle(controller.make_bundle(soon()), 0, STALL)) == double.bundle


def test_a_bundle_that_is_gone_is_no_such_file(double: VsphereDouble, controller: EsxiHostController) -> None:
    with pytest.raises(FileNotFoundError):
        list(controller.read_bundle("https://*/downloads/older.tgz", 0, STALL))


def test_a_page_in_its_place_is_refused(double: VsphereDouble, controller: EsxiHostController) -> None:
    double.bundle = b"<html>The service is being restarted.</html>"
    with pytest.raises(PeerFailedError, match="neither gzip nor zip"):
        list(controller.read_bundle(controller.make_bundle(soon()), 0, STALL))


@pytest.mark.parametrize(
    ("trouble", "error"), [(Trouble.CUT, UnreachableError), (Trouble.STALL, DeadlineError)]
)
def test_a_download_that_is_cut_is_no_whole_file(
    double: VsphereDouble, controller: EsxiHostController, trouble: Trouble, error: type[Exception]
) -> None:
    double.rules["GET /downloads"] = Rule(trouble, times=1)
    place, got = controller.make_bundle(soon()), bytearray()
    with pytest.raises(error):
        for chunk in controller.read_bundle(place, 0, 1.0):
            got += chunk
    assert 0 < len(got) < len(double.bundle)
    got += b"".join(controller.read_bundle(place, len(got), STALL))
    assert got == double.bundle


def test_a_bundle_of_another_host_is_not_taken_for_its_own(
    double: VsphereDouble, controller: EsxiHostController
) -> None:
    other = double.world.host

    def forged(call: object, session: object) -> object:
        info = vim.DiagnosticManager.BundleInfo(system=other.ref, url="https://*/downloads/other.tgz")
        return double.start("GenerateLogBundles_Task", other, lambda: type(info).Array([info]))

    double._methods["GenerateLogBundles_Task"] = forged
    with pytest.raises(PeerFailedError, match="no support bundle of this host"):
        controller.make_bundle(soon())
