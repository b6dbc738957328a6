"""Hosts from CSV files and from Ansible, and that our own loader understands what is made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adapters.registry import channel_settings, controller_settings
from collector.config.document import parse
from collector.config.loader import load
from collector.config.settings import Settings
from collector.errors import InventoryError
from collector.inventory import ansible, comma_separated
from collector.inventory.entry import Entry, as_yaml
from collector.model.host import Platform

TABLE = """\
Name, Address, platform, tags, bmc, port
web[01-03], web[01-03].example.com, linux, web prod, 192.0.2.[11-13],
db01,192.0.2.10,,"db",,2222
files,192.0.2.20,windows,,,
"""

# As ansible-inventory 2.20 prints it.
ANSIBLE: dict[str, Any] = {
    "_meta": {
        "hostvars": {
            "db01": {"ansible_host": "192.0.2.10", "bmc_address": "192.0.2.110"},
            "files": {"ansible_connection": "winrm", "ansible_host": "192.0.2.20"},
            "mail.example.com": {"ansible_port": 2222},
        },
        "profile": "inventory_legacy",
    },
    "all": {"children": ["ungrouped", "win", "prod"]},
    "db": {"hosts": ["db01"]},
    "prod": {"children": ["web", "db"]},
    "ungrouped": {"hosts": ["mail.example.com"]},
    "web": {"hosts": ["web01", "web02", "db01"]},
    "win": {"hosts": ["files"]},
}


def csv(folder: Path, text: str) -> list[Entry]:
    path = folder / "hosts.csv"
    path.write_text(text, encoding="utf-8")
    return comma_separated.entries(path)


def from_ansible(folder: Path, document: object) -> list[Entry]:
    path = folder / "hosts.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return ansible.entries(path)


def loaded(folder: Path, entries: Sequence[Entry]) -> Settings:
    path = folder / "hang-collector.yaml"
    lines = [
        "cases: ./cases",
        "credentials: {root: {username: root, agent: true}, bmc: {username: admin, password: env:X}}",
        *as_yaml(entry.with_logins("root", "bmc") for entry in entries),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return load(path, controllers=controller_settings(), channels=channel_settings())


def test_a_table_becomes_hosts_that_the_loader_knows(tmp_path: Path) -> None:
    hosts = loaded(tmp_path, csv(tmp_path, TABLE)).hosts
    assert list(hosts) == ["web01", "web02", "web03", "db01", "files"]
    web = hosts["web02"]
    assert (web.address, web.tags) == ("web02.example.com", {"web", "prod"})
    assert (web.controllers[0].address, web.controllers[0].credential) == ("192.0.2.12", "bmc")
    assert hosts["db01"].channels[0].identity == "ssh://192.0.2.10:2222"
    assert hosts["db01"].controllers == ()
    assert (hosts["files"].platform, hosts["files"].channels[0].type) == (Platform.WINDOWS, "winrm")


def test_every_group_of_ansible_becomes_a_tag_and_its_variables_the_endpoints(tmp_path: Path) -> None:
    hosts = loaded(tmp_path, from_ansible(tmp_path, ANSIBLE)).hosts
    assert {name: host.tags for name, host in hosts.items()} == {
        "db01": {"db", "web", "prod"}, "mail.example.com": set(), "web01": {"web", "prod"},
        "web02": {"web", "prod"}, "files": {"win"},
    }  # fmt: skip
    assert hosts["db01"].controllers[0].address == "192.0.2.110"
    assert hosts["mail.example.com"].channels[0].identity == "ssh://mail.example.com:2222"
    assert hosts["files"].platform is Platform.WINDOWS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs the column `name`"),
        ("host,address\na,b\n", "unknown column 'host'"),
        ("name,name\na,b\n", "each one once"),
        ("name\n''\n\"\"\n", "hosts.csv:3: the row has no name"),
        ("name,address\nweb[1-3],web[1-2]\n", "3 names and 2 addresses"),
        ("name\ndb01\ndb01\n", "hosts.csv:3: 'db01' is here a second time"),
        ("name,port\ndb01,ssh\n", "hosts.csv:2: 'ssh' is no port"),
        ("name,port\ndb01,65536\n", "'65536' is no port"),
        ("name,platform\ndb01,solaris\n", "'solaris' is no platform"),
        ("name,tags\ndb01,a,b\n", "more values than columns"),
        ("name\n" + "x" * 200_000, "field larger"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InventoryError) as caught:
        csv(tmp_path, text)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "document",
    [
        [], {}, {"_meta": {}}, {"_meta": {"hostvars": {}}, "a": {"hosts": 5}},
        {"_meta": {"hostvars": []}, "a": 1},
    ],
)  # fmt: skip
def test_what_ansible_never_printed_is_refused_with_the_command_that_does(
    tmp_path: Path, document: object
) -> None:
    with pytest.raises(InventoryError) as caught:
        from_ansible(tmp_path, document)
    assert "ansible-inventory" in caught.value.hint


def test_groups_that_hold_each_other_come_to_an_end(tmp_path: Path) -> None:
    document = {
        "_meta": {"hostvars": {}}, "a": {"children": ["b"]}, "b": {"children": ["a"], "hosts": ["db01"]},
    }  # fmt: skip
    assert from_ansible(tmp_path, document)[0].tags == ("b", "a")


def test_a_file_that_is_no_text_or_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_bytes(b"name\n\xff\xfe\n")
    with pytest.raises(InventoryError, match="not UTF-8"):
        comma_separated.entries(tmp_path / "hosts.csv")
    with pytest.raises(InventoryError, match="cannot be read"):
        ansible.entries(tmp_path / "none.json")


@settings(deadline=None)
@given(st.text(min_size=1), st.text())
def test_no_value_of_a_list_changes_what_the_yaml_around_it_says(name: str, address: str) -> None:
    document = parse("\n".join(as_yaml([Entry(name, address, login="root")])), Path("x.yaml"))
    if document.problems:
        return  # refused with its line, as any file of ours is
    assert document.data["hosts"] == {
        name: {
            "platform": "linux",
            "address": address or name,
            "channels": [{"type": "ssh", "credential": "root"}],
        }
    }
