"""Machines by their tags: the right ones, and none by a name that means several tags."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.registry import channel_settings, controller_settings
from collector.adapters.vsphere import log_in_to_rest
from collector.adapters.vsphere_machines import choose, machines, with_tags
from collector.adapters.vsphere_rest import RestSession
from collector.adapters.vsphere_tags import Tags
from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from collector.config.loader import Settings, load
from collector.errors import (
    DeadlineError,
    ForbiddenError,
    HostKeyError,
    InventoryError,
    LoginRefusedError,
    PeerFailedError,
    UnreachableError,
    UnsupportedError,
)
from collector.inventory.select import tagged
from tests.peers.certificate import make_certificate
from tests.peers.govmomi import BUILD_S, Govmomi, govmomi
from tests.peers.soap_server import ADDRESS, Rule, Trouble
from tests.peers.vsphere import credential, endpoint, session
from tests.peers.vsphere_double import PASSWORD, USER, VsphereDouble
from tests.peers.vsphere_rest import Tagging

NAMES = ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1", "DC0_H0_VM0", "DC0_H0_VM1"]
"""The machines of each vCenter; those of govmomi cannot choose."""

VERSIONS = {"api": "8.0.3.0", "rest": "6.7"}


def soon() -> Deadline:
    return Deadline.after(60.0)


@dataclass
class Bench:
    """A vCenter with four machines in its folder DC0/vm, and our sessions with it."""

    double: VsphereDouble | Govmomi
    folder: Path

    def tag(self, category: str, name: str, *on: str) -> None:
        """Attach a tag to machines by their names, or to whatever has an inventory path."""
        with session(self.double, self.folder) as made, made.asking(soon()):
            index = made.content.searchIndex
            found = [index.FindByInventoryPath(each if "/" in each else f"DC0/vm/{each}") for each in on]
        objects = [(each._wsdlName, each._GetMoId()) for each in found]
        if isinstance(self.double, Govmomi):
            self.double.tag(category, name, *objects)
        else:
            assert self.double.tagging is not None
            self.double.tagging.attached[self.double.tagging.add(category, name)] = objects

    @contextlib.contextmanager
    def tags(self, seconds: float = 60.0) -> Iterator[Tags]:
        with session(self.double, self.folder) as made:
            version = str(made.content.about.apiVersion)
        with contextlib.closing(rest(self.double, self.folder, version, seconds)) as logged_in:
            yield Tags(logged_in)

    def chosen(self, wanted: str, below: str | None = None) -> tuple[list[str], str | None]:
        """The names of the machines with the tag, and what is said of the rest."""
        with session(self.double, self.folder) as made:
            found = machines(made, below, soon())
        with self.tags() as tags:
            rows, elsewhere = choose(found, tags, wanted, soon())
        return [row.name for row in rows], elsewhere


def rest(
    double: VsphereDouble | Govmomi, folder: Path, version: str, seconds: float = 60.0, **keys: Any
) -> RestSession:
    account = credential(folder, **keys)
    return log_in_to_rest(endpoint(double), account, version, Deadline.after(seconds))


@pytest.fixture(params=["api", "rest", pytest.param("govmomi", marks=pytest.mark.timeout(BUILD_S))])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "govmomi":
        with govmomi(tmp_path) as made:
            yield Bench(made, tmp_path)
        return
    with VsphereDouble(tmp_path, api_version=VERSIONS[request.param]) as running:
        for name in NAMES:
            running.world.add_vm(name)
        yield Bench(running, tmp_path)


@pytest.fixture(params=["api", "rest"])
def double(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VsphereDouble]:
    with VsphereDouble(tmp_path, api_version=VERSIONS[request.param]) as running:
        yield running


def test_only_machines_with_the_tag_are_chosen(bench: Bench) -> None:
    bench.tag("env", "prod", NAMES[0], NAMES[3])
    bench.tag("env", "test", NAMES[1])
    assert bench.chosen("prod") == ([NAMES[0], NAMES[3]], None)
    assert bench.chosen("env/test") == ([NAMES[1]], None)


def test_a_name_in_two_categories_is_refused_with_both(bench: Bench) -> None:
    bench.tag("env", "prod", NAMES[0])
    bench.tag("owner", "prod", NAMES[1])
    with pytest.raises(InventoryError, match=r"2 tags .* 'prod': env/prod, owner/prod"):
        bench.chosen("prod")
    assert bench.chosen("owner/prod") == ([NAMES[1]], None)


def test_names_with_a_slash_are_found_and_told_apart(bench: Bench) -> None:
    bench.tag("site", "eu/1", NAMES[0])
    bench.tag("site/eu", "2", NAMES[1])
    assert bench.chosen("eu/1") == ([NAMES[0]], None)
    assert bench.chosen("site/eu/1") == ([NAMES[0]], None)
    assert bench.chosen("site/eu/2") == ([NAMES[1]], None)
    bench.tag("site/eu", "1", NAMES[2])
    with pytest.raises(InventoryError, match="2 tags"):
        bench.chosen("site/eu/1")


@pytest.mark.parametrize("wanted", ["Prod", "prod ", "env/Prod", "nowhere/prod", "/", "env/", "", "*"])
def test_a_tag_that_is_not_there_is_said(bench: Bench, wanted: str) -> None:
    bench.tag("env", "prod", NAMES[0])
    with pytest.raises(InventoryError, match="has no tag"):
        bench.chosen(wanted)


def test_tags_are_not_inherited_and_that_is_said(bench: Bench) -> None:
    bench.tag("env", "prod", "DC0/vm")
    with pytest.raises(InventoryError, match=r"none of 4 .* env/prod. It is on 1 Folder"):
        bench.chosen("prod")
    bench.tag("env", "test", "DC0/vm", NAMES[2])
    names, elsewhere = bench.chosen("test")
    assert names == [NAMES[2]]
    assert elsewhere == "the tag env/test is on 1 Folder, too: the machines there are not meant"


def test_a_tag_and_a_place_are_both_asked_for(bench: Bench) -> None:
    bench.tag("env", "prod", NAMES[0])
    assert bench.chosen("prod", below="DC0/vm")[0] == [NAMES[0]]
    elsewhere = "DC0/host/DC0_H0" if isinstance(bench.double, Govmomi) else "DC0/host"
    with pytest.raises(InventoryError, match=r"none of [02]"):
        bench.chosen("prod", below=elsewhere)


def test_each_machine_has_its_tags(bench: Bench) -> None:
    bench.tag("env", "prod", NAMES[0], NAMES[1])
    bench.tag("owner", "web", NAMES[1])
    bench.tag("owner", "nobody")
    with session(bench.double, bench.folder) as made:
        found = machines(made, None, soon())
    with bench.tags() as tags:
        rows = with_tags(found, tags, soon())
    assert {row.name: sorted(map(str, row.tags)) for row in rows} == {
        NAMES[0]: ["env/prod"], NAMES[1]: ["env/prod", "owner/web"], NAMES[2]: [], NAMES[3]: [],
    }  # fmt: skip


def test_the_session_is_ended(bench: Bench) -> None:
    with bench.tags():
        pass
    gone = [key for key in bench.double.calls if key.startswith("DELETE ") and key.endswith("/session")]
    assert [bench.double.calls[key] for key in gone] == [1]
    if isinstance(bench.double, VsphereDouble):
        assert tagging(bench.double).sessions == set()


def test_a_refused_login_is_tried_once(bench: Bench) -> None:
    with session(bench.double, bench.folder) as made:
        version = str(made.content.about.apiVersion)
    with pytest.raises(LoginRefusedError, match="REST"):
        rest(bench.double, bench.folder, version, password="wrong")
    if isinstance(bench.double, Govmomi):
        assert bench.double.calls["refused POST /rest/com/vmware/cis/session"] == 1
    else:
        assert tagging(bench.double).logins == [False]


def tagging(double: VsphereDouble) -> Tagging:
    assert double.tagging is not None
    return double.tagging


@contextlib.contextmanager
def tags(double: VsphereDouble, folder: Path) -> Iterator[Tags]:
    with contextlib.closing(rest(double, folder, double.api_version)) as logged_in:
        yield Tags(logged_in)


def test_a_thousand_machines_take_a_few_round_trips(double: VsphereDouble, tmp_path: Path) -> None:
    made = [double.world.add_vm(f"app{number:04}") for number in range(1000)]
    tagging(double).add("env", "prod", *made)
    for number in range(50):
        tagging(double).add("other", f"tag {number}")
    with tags(double, tmp_path) as known:
        before = sum(double.calls.values())
        found = known.of_machines([vm.moid for vm in made], soon())
        assert sum(double.calls.values()) - before <= 4
    assert {str(tag) for each in found.values() for tag in each} == {"env/prod"}
    assert len(found) == 1000


def test_a_category_spares_the_tags_of_the_others(double: VsphereDouble, tmp_path: Path) -> None:
    for number in range(50):
        tagging(double).add("other", f"tag {number}")
    tagging(double).add("env", "prod")
    with tags(double, tmp_path) as known:
        before = sum(double.calls.values())
        known.find("env/prod", soon())
        assert sum(double.calls.values()) - before <= 5


def test_a_tag_that_goes_meanwhile_is_passed_over(double: VsphereDouble, tmp_path: Path) -> None:
    gone = tagging(double).add("env", "gone")
    tagging(double).add("env", "prod")
    with tags(double, tmp_path) as known:
        listed = list(tagging(double).tags)
        del tagging(double).tags[gone]
        assert [str(tag) for tag in known._read(listed, soon())] == ["env/prod"]


def test_hostile_names_are_made_safe(double: VsphereDouble, tmp_path: Path) -> None:
    vm = double.world.add_vm("app07")
    made = tagging(double).add("en\x1b[2Jv", "pr\nod\u202e" + "x" * 5000, vm)
    with tags(double, tmp_path) as known:
        (tag,) = known.of_machines([vm.moid], soon())[vm.moid]
    assert tag.id == made
    assert tag.category == "en[2Jv"
    assert str(tag).isprintable()
    assert len(tag.name) <= 200


@pytest.mark.parametrize("trouble", [Trouble.HANG_BEFORE, Trouble.HANG_AFTER, Trouble.DRIP])
@pytest.mark.parametrize("step", ["login", "list", "ask"])
def test_a_server_that_falls_silent_costs_the_deadline_only(
    double: VsphereDouble, tmp_path: Path, step: str, trouble: Trouble
) -> None:
    tagging(double).add("env", "prod")
    started = time.monotonic()
    with contextlib.ExitStack() as stack, pytest.raises(DeadlineError):
        if step == "login":
            double.rules["POST REST"] = Rule(trouble)
            rest(double, tmp_path, double.api_version, seconds=0.5)
        known = stack.enter_context(tags(double, tmp_path))
        double.rules |= dict.fromkeys(["GET REST", "POST REST"], Rule(trouble))
        if step == "list":
            known.find("prod", Deadline.after(0.5))
        known.of_machines(["vm-1"], Deadline.after(0.5))
    double.rules.clear()
    assert time.monotonic() - started < 10.0


@pytest.mark.parametrize("trouble", [Trouble.GARBAGE, Trouble.PAGE, Trouble.STATUS])
@pytest.mark.parametrize("step", ["login", "list", "ask"])
def test_what_is_no_rest_says_so(double: VsphereDouble, tmp_path: Path, step: str, trouble: Trouble) -> None:
    tagging(double).add("env", "prod")
    with contextlib.ExitStack() as stack, pytest.raises(PeerFailedError):
        if step == "login":
            double.rules["POST REST"] = Rule(trouble)
            rest(double, tmp_path, double.api_version)
        known = stack.enter_context(tags(double, tmp_path))
        double.rules |= dict.fromkeys(["GET REST", "POST REST"], Rule(trouble))
        if step == "list":
            known.find("prod", soon())
        known.of_machines(["vm-1"], soon())


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 100_000, b"{}", b"[1, 2]", b'[{"object_id": {"type": "x"}}]', b'"x"',
        b'[{"object_id": {"type": "x", "id": ["y"]}}]', b"\xff", b"",
    ],
    ids=range(8),
)  # fmt: skip
def test_json_of_another_shape_is_no_answer(
    double: VsphereDouble, tmp_path: Path, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tags(double, tmp_path) as known:
        wrapped = answer if tagging(double).modern else b'{"value": ' + answer + b"}"
        monkeypatch.setattr(double, "rest", lambda *_: (200, {}, wrapped))
        with pytest.raises(PeerFailedError, match="not its REST API"):
            known.of_machines(["vm-1"], soon())


def test_an_answer_without_end_is_cut(
    double: VsphereDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tags(double, tmp_path) as known:
        monkeypatch.setattr(double, "rest", lambda *_: (200, {}, b'"' + b"x" * (17 << 20)))
        with pytest.raises(PeerFailedError, match="more than"):
            known.find("prod", soon())


def test_a_session_that_ended_asks_for_a_new_login(double: VsphereDouble, tmp_path: Path) -> None:
    with tags(double, tmp_path) as known:
        tagging(double).sessions.clear()
        with pytest.raises(UnreachableError, match="session"):
            known.find("prod", soon())


def test_an_account_that_may_not_read_tags_is_told(double: VsphereDouble, tmp_path: Path) -> None:
    with tags(double, tmp_path) as known:
        tagging(double).denied = True
        with pytest.raises(ForbiddenError) as caught:
            known.find("prod", soon())
    assert "System.Read" in caught.value.hint


def test_a_certificate_that_nobody_knows_gets_no_password(double: VsphereDouble, tmp_path: Path) -> None:
    double.present(make_certificate(tmp_path / "stranger.pem", address=ADDRESS))
    with pytest.raises(HostKeyError):
        rest(double, tmp_path, double.api_version)
    assert tagging(double).logins == []


def test_what_has_no_rest_api_is_unsupported(tmp_path: Path) -> None:
    with VsphereDouble(tmp_path, vcenter=False) as host, pytest.raises(UnsupportedError, match="no REST API"):
        rest(host, tmp_path, host.api_version)


def test_a_name_that_basic_authentication_cannot_carry_is_refused(
    double: VsphereDouble, tmp_path: Path
) -> None:
    account = replace(credential(tmp_path), username="a:b")
    with pytest.raises(InventoryError, match="colon"):
        log_in_to_rest(endpoint(double), account, double.api_version, soon())
    assert tagging(double).logins == []


# The command


def imported(bench: Bench, *options: str) -> tuple[int, str]:
    """The exit code, and the settings file that the command was given."""
    credential(bench.folder)
    head = f"cases: ./cases\ncredentials:\n  vc: {{username: '{USER}', password: file:./vsphere-password}}\n"
    head += "  root: {username: root, agent: true}\n"
    settings = bench.folder / "hang-collector.yaml"
    settings.write_text(head + "hosts: {}\n")
    command = ["inventory", "import", "vcenter", ADDRESS, "--port", str(bench.double.port), "--login", "root"]
    command += ["--credential", "vc", "--ca-file", str(bench.double.certificate), "--config", str(settings)]
    return run([*command, *options]), head


def known(bench: Bench, head: str, printed: str) -> Settings:
    settings = bench.folder / "hang-collector.yaml"
    settings.write_text(head + printed)
    return load(settings, controllers=controller_settings(), channels=channel_settings())


def test_what_is_printed_can_be_chosen_by_the_tags(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.tag("env", "Tier 1", NAMES[0], NAMES[1], "DC0/vm")
    bench.tag("env", "both", NAMES[0])
    bench.tag("owner", "both", NAMES[1])
    status, head = imported(bench, "--tag", "Tier 1")
    said = capsys.readouterr()
    assert status == 0
    assert "the tag env/Tier 1 is on 1 Folder, too" in said.err
    settings = known(bench, head, said.out)
    assert [host.name for host in tagged(settings, ["Tier-1"])] == NAMES[:2]
    assert [host.name for host in tagged(settings, ["env:both"])] == [NAMES[0]]
    assert [host.name for host in tagged(settings, ["owner:both"])] == [NAMES[1]]


def test_the_tags_of_all_machines_are_taken_over(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.tag("env", "prod", NAMES[0])
    status, head = imported(bench, "--with-tags")
    assert status == 0
    settings = known(bench, head, capsys.readouterr().out)
    assert {name: set(host.tags) for name, host in settings.hosts.items()} == {
        NAMES[0]: {"prod"}, NAMES[1]: set(), NAMES[2]: set(), NAMES[3]: set(),
    }  # fmt: skip


def test_without_tags_the_rest_api_is_left_alone(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.tag("env", "prod", NAMES[0])
    before = {key: number for key, number in bench.double.calls.items() if "/session" in key}
    assert imported(bench)[0] == 0
    assert {key: number for key, number in bench.double.calls.items() if "/session" in key} == before
    assert "tags" not in capsys.readouterr().out


def test_a_tag_that_is_not_there_prints_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(bench, "--tag", "prod")[0] == ExitCode.CONFIG
    said = capsys.readouterr()
    assert said.out == ""
    assert "has no tag 'prod'" in said.err
    assert PASSWORD not in said.err


def test_a_login_that_is_refused_is_not_tried_at_the_other_door(
    double: VsphereDouble, tmp_path: Path
) -> None:
    double.users[USER] = "another one"
    assert imported(Bench(double, tmp_path), "--tag", "prod")[0] == ExitCode.DENIED
    assert (double.logins, tagging(double).logins) == ([False], [])


def test_an_esxi_host_has_no_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VsphereDouble(tmp_path, vcenter=False) as host:
        host.world.add_vm("app07")
        assert imported(Bench(host, tmp_path), "--tag", "prod")[0] == ExitCode.UNREACHABLE
    assert "Ask its vCenter" in capsys.readouterr().err
