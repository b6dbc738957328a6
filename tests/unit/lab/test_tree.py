from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.lab.tree import Entry, Tree, resolve


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    tree.put("/etc/hostname", b"db01\n", 100.0)
    tree.put("/var/crash/one/vmcore", b"12345", 300.0, 0o600)
    return tree


@given(st.text(alphabet="./abc", max_size=30))
def test_no_path_leads_out_of_the_root(path: str) -> None:
    assert resolve(path).startswith("/")
    assert ".." not in resolve(path).split("/")
    assert not resolve(path).startswith("//")


def test_folders_are_what_the_paths_name(tree: Tree) -> None:
    assert [entry.name for entry in tree.list("/")] == ["etc", "var"]
    assert tree.list("/var/crash/") == [Entry("one", True, 4096, 300.0, 0o755)]
    assert tree.list("/var/crash/one/../one") == [Entry("vmcore", False, 5, 300.0, 0o600)]


def test_a_file_may_be_made_up_when_it_is_read(tree: Tree) -> None:
    numbers = itertools.count()
    tree.put("/proc/uptime", lambda: b"%d" % next(numbers), 0.0)
    assert [tree.read("/proc/uptime"), tree.read("/proc/uptime")] == [b"0", b"1"]


def test_a_name_that_leads_away_is_listed_and_leads_nowhere(tree: Tree) -> None:
    tree.put_false_name("/etc", Entry("../var/crash/one/vmcore\n", False, 1, 0.0, 0o600))
    assert [entry.name for entry in tree.list("/etc")] == ["hostname", "../var/crash/one/vmcore\n"]
    with pytest.raises(FileNotFoundError):
        tree.read("/etc/../var/crash/one/vmcore\n")


def test_what_is_absent_or_of_the_wrong_kind_is_an_error(tree: Tree) -> None:
    for call in (tree.read, tree.stat, tree.list):
        with pytest.raises(FileNotFoundError):
            call("/etc/shadow")
    with pytest.raises(IsADirectoryError):
        tree.read("/etc")
    with pytest.raises(NotADirectoryError):
        tree.list("/etc/hostname")
