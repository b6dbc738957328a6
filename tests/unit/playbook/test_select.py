from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import PlaybookError
from collector.model.host import Endpoint, Host, Platform
from collector.playbook.loader import PlaybookFile
from collector.playbook.schema import Playbook
from collector.playbook.select import explain, named, select
from tests.unit.playbook.test_schema import WHOLE


def playbook(name: str, controllers: str, channels: str = "ssh", platform: str = "linux") -> PlaybookFile:
    when = {"platform": platform, "controllers": controllers.split(), "channels": channels.split()}
    return PlaybookFile(Playbook.model_validate({**WHOLE, "name": name, "when": when}), Path(f"{name}.yaml"))


def host(controllers: str, channels: str = "ssh", platform: Platform = Platform.LINUX) -> Host:
    return Host(
        name="db01",
        platform=platform,
        address="192.0.2.10",
        controllers=tuple(Endpoint(type=word) for word in controllers.split()),
        channels=tuple(Endpoint(type=word) for word in channels.split()),
    )


def test_the_only_playbook_that_fits_is_chosen_and_the_others_say_why_not() -> None:
    selection = select(
        host("ipmi"),
        [
            playbook("esxi-via-ipmi", "ipmi", platform="esxi"),
            playbook("linux-via-ipmi", "ipmi"),
            playbook("linux-via-redfish", "redfish"),
            playbook("linux-via-smb", "ipmi", "smb winrm"),
        ],
    )
    assert selection.playbook.name == "linux-via-ipmi"
    assert explain(selection).splitlines() == [
        "linux-via-ipmi: it is for linux, and the host has the controller ipmi and the channel ssh",
        "not esxi-via-ipmi: it is for esxi, and the host runs linux",
        "not linux-via-redfish: it needs a controller of type redfish, and the host has ipmi",
        "not linux-via-smb: it needs a channel of type smb or winrm, and the host has ssh",
    ]


def test_nothing_that_fits_is_told_with_the_reason_for_each() -> None:
    with pytest.raises(PlaybookError) as caught:
        select(host(""), [playbook("by-ipmi", "ipmi"), playbook("for-esxi", "ipmi", platform="esxi")])
    assert caught.value.host == "db01"
    assert "not by-ipmi: it needs a controller of type ipmi, and the host has none" in caught.value.message
    assert "not for-esxi: it is for esxi, and the host runs linux" in caught.value.message


def test_no_playbook_at_all_is_told_as_such() -> None:
    with pytest.raises(PlaybookError, match="there are none"):
        select(host("ipmi"), [])


@pytest.mark.parametrize(
    ("controllers", "chosen", "reason"),
    [
        ("ipmi redfish", "by-ipmi", "the inventory lists the controller ipmi before redfish"),
        ("redfish ipmi", "by-redfish", "the inventory lists the controller redfish before ipmi"),
    ],
)
def test_the_inventory_s_first_controller_decides(controllers: str, chosen: str, reason: str) -> None:
    selection = select(host(controllers), [playbook("by-ipmi", "ipmi"), playbook("by-redfish", "redfish")])
    assert selection.playbook.name == chosen
    assert reason in explain(selection)


def test_the_inventory_s_first_channel_decides_between_equal_controllers() -> None:
    playbooks = [playbook("over-smb", "ipmi", "smb"), playbook("over-ssh", "ipmi", "ssh")]
    selection = select(host("ipmi", "ssh smb"), playbooks)
    assert selection.playbook.name == "over-ssh"
    assert "the inventory lists the channel ssh before smb" in explain(selection)


def test_the_playbook_that_names_fewer_types_is_more_specific() -> None:
    selection = select(host("ipmi"), [playbook("any", "ipmi redfish"), playbook("exact", "ipmi")])
    assert selection.playbook.name == "exact"
    assert "less specific" in explain(selection)


def test_a_type_named_twice_does_not_make_a_playbook_less_specific() -> None:
    with pytest.raises(PlaybookError, match="equally well"):
        select(host("ipmi"), [playbook("one", "ipmi ipmi"), playbook("two", "ipmi")])


def test_two_that_fit_equally_well_are_refused() -> None:
    with pytest.raises(PlaybookError, match="a-one and b-two fit equally well") as caught:
        select(host("ipmi"), [playbook("b-two", "ipmi"), playbook("a-one", "ipmi")])
    assert "--playbook" in caught.value.hint


def test_a_users_playbook_in_place_of_a_shipped_one_is_told() -> None:
    own = PlaybookFile(playbook("by-ipmi", "ipmi").playbook, Path("mine/by-ipmi.yaml"), Path("shipped.yaml"))
    assert f"{own.path}, in place of the shipped one" in explain(select(host("ipmi"), [own]))


def test_a_playbook_is_found_by_its_name() -> None:
    playbooks = [playbook("by-ipmi", "ipmi"), playbook("by-redfish", "redfish")]
    assert named(playbooks, "by-redfish") is playbooks[1].playbook


@pytest.mark.parametrize(
    ("wanted", "hint"), [("by-impi", "Did you mean by-ipmi?"), ("zzz", "There are: by-ipmi, by-redfish.")]
)
def test_an_unknown_name_is_told_with_what_there_is(wanted: str, hint: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        named([playbook("by-ipmi", "ipmi"), playbook("by-redfish", "redfish")], wanted)
    assert caught.value.hint == hint
