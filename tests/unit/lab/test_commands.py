from __future__ import annotations

import pytest

from collector.adapters.answers import CommandResult
from collector.adapters.limits import Deadline
from collector.facts import linux
from collector.lab import story
from collector.lab.commands import Commands, Reply
from collector.lab.tree import Tree


@pytest.fixture
def commands() -> Commands:
    tree = Tree()
    for path, content in story.files().items():
        tree.put(path, content, 0.0)
    return Commands(tree, {"uname -r": b"4.18.0\n", r"date \+%s": lambda: b"1795230764\n", "a.c": b"exact"})


def test_cat_prints_files_and_names_those_that_are_absent(commands: Commands) -> None:
    assert commands.run("cat /proc/sys/kernel/panic").stdout == b"0\n"
    reply = commands.run("cat -- /proc/sys/kernel/panic '/no such' /etc")
    assert reply == Reply(1, b"0\n", b"cat: /no such: No such file or directory\ncat: /etc: Is a directory\n")


def test_answers_are_found_by_the_exact_text_and_by_pattern(commands: Commands) -> None:
    assert commands.run("a.c").stdout == commands.run("abc").stdout == b"exact"
    assert commands.run("date +%s").stdout == b"1795230764\n"


@pytest.mark.parametrize("command", ["rm -rf /", "abcd", "cat;id"])
def test_an_unknown_command_is_not_found(commands: Commands, command: str) -> None:
    assert commands.run(command).status == 127


def test_an_open_quote_is_a_syntax_error(commands: Commands) -> None:
    assert commands.run("cat 'x").status == 2


def test_the_facts_script_is_played_from_the_files(commands: Commands) -> None:
    class Shell:
        def run(self, command: str, deadline: Deadline, *, limit: int = 0) -> CommandResult:
            reply = commands.run(command)
            return CommandResult(reply.status, reply.stdout, reply.stderr)

    facts = linux.gather(Shell(), "test", Deadline.after(5))
    values = {name: fact.value for name, fact in facts.items()}
    assert values["kexec_crash_loaded"] == "1"
    assert values["unknown_nmi_panic"] == "1"
    assert values["cmdline"] == story.COMMAND_LINE
    assert values["release"] == "4.18.0"
    assert values["clock"] == "1795230764"
    assert values["boot_id"] is None  # the host makes it up, not the story


def test_the_audits_script_is_played_from_the_files(commands: Commands) -> None:
    class Shell:
        def run(self, command: str, deadline: Deadline, *, limit: int = 0) -> CommandResult:
            reply = commands.run(command)
            return CommandResult(reply.status, reply.stdout, reply.stderr)

    facts = linux.gather_all(Shell(), "test", Deadline.after(5))
    values = {name: fact.value for name, fact in facts.items()}
    assert values["kdump_enabled"] == "/etc/systemd/system/multi-user.target.wants/kdump.service"
    assert values["nmi_settings"] == "/etc/sysctl.d/90-nmi.conf:kernel.unknown_nmi_panic = 1"
    assert values["release"] == "4.18.0"
    assert facts["kdump_newer"].missing == "no image"  # the story's image is of its own kernel
    assert facts["watchdogs"].missing == "absent"
    assert facts["machine"].missing == "failed"  # this host was not told to know `uname -m`
