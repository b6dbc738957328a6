from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.settings import Settings
from collector.errors import InventoryError
from collector.inventory.select import select
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
