from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from collector.config.settings import Settings
from collector.errors import InventoryError
from collector.inventory.select import select, tagged
from collector.model.host import Host, Platform

NAMES = ("db01", "web01", "web02", "web03", "web10")
SETTINGS = Settings(
    path=Path("/etc/hang-collector/hang-collector.yaml"),
    cases=Path("/cases"),
    playbooks=None,
    credentials={},
    hosts={name: Host(name, Platform.LINUX, f"{name}.example.com") for name in NAMES},
)


def selected(*names: str) -> list[str]:
    return [host.name for host in select(SETTINGS, names)]


def test_hosts_come_in_the_order_they_were_named_each_once() -> None:
    assert selected("web02", "db01", "web[01-03]", "db01") == ["web02", "db01", "web01", "web03"]


def test_no_name_is_no_host() -> None:
    assert selected() == []


def test_an_unknown_name_suggests_the_one_next_to_it() -> None:
    with pytest.raises(InventoryError, match=r"has no host bd01; did you mean `db01`\?"):
        selected("bd01")


def test_all_unknown_names_are_told_folded() -> None:
    with pytest.raises(InventoryError, match=r"has no host web\[04-09,11\]"):
        selected("web[01-11]", "db01")


def test_one_wrong_name_selects_nothing() -> None:
    with pytest.raises(InventoryError):
        selected("db01", "nothing-like-it")


TAGGED = dataclasses.replace(
    SETTINGS,
    hosts={
        name: Host(name, Platform.LINUX, name, tags=frozenset(tags))
        for name, tags in {"db01": ["prod", "rack1"], "web01": ["rack1"], "web02": []}.items()
    },
)


def test_a_tag_chooses_every_host_that_has_it_and_several_tags_any_of_them() -> None:
    assert [host.name for host in tagged(TAGGED, ["prod"])] == ["db01"]
    assert [host.name for host in tagged(TAGGED, ["rack1", "prod"])] == ["db01", "web01"]


def test_a_tag_that_nobody_has_is_refused_and_not_taken_for_an_empty_group() -> None:
    with pytest.raises(InventoryError, match=r"has the tag 'rack'; did you mean `rack1`\?"):
        tagged(TAGGED, ["prod", "rack"])
