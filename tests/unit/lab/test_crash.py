from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collector.lab.crash import HOSTILE_NAMES, Crash, Reaction, Script
from collector.lab.tree import Tree

FOLDER = "/var/crash/127.0.0.1-2026-11-21-03:12:44"


def publish(reaction: Reaction, script: Script) -> Tree:
    tree = Tree()
    tree.put("/var/crash/.keep", b"", 0.0)
    crash = Crash(reaction, datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC), [(1.0, "Kernel panic")])
    crash.publish(tree, "db01", script)
    return tree


@pytest.mark.parametrize(
    ("reaction", "names"),
    [
        (Reaction.DUMP, ["kexec-dmesg.log", "vmcore", "vmcore-dmesg.txt"]),
        (Reaction.INCOMPLETE, ["kexec-dmesg.log", "vmcore-dmesg.txt", "vmcore-incomplete"]),
    ],
)
def test_the_files_are_named_as_kdump_of_rhel_names_them(reaction: Reaction, names: list[str]) -> None:
    tree = publish(reaction, Script(dump_pages=1))
    assert [entry.name for entry in tree.list(FOLDER)] == names


def test_a_panic_without_a_capture_kernel_leaves_nothing() -> None:
    assert [e.name for e in publish(Reaction.NO_DUMP, Script()).list("/var/crash")] == [".keep"]


def test_hostile_names_stand_beside_the_dump_and_some_can_be_read() -> None:
    tree = publish(Reaction.DUMP, Script(dump_pages=1, hostile_names=True))
    assert {entry.name for entry in tree.list(FOLDER)} >= set(HOSTILE_NAMES)
    assert tree.read(f"{FOLDER}/{HOSTILE_NAMES[0]}") == b"no dump\n"
