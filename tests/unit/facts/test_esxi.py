from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.base import CommandResult
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.facts import esxi
from collector.model.fact import number, value
from tests.unit.facts.esxi_answers import HEALTHY, answer


class Shell:
    def __init__(self, output: bytes, errors: bytes = b"") -> None:
        self.output, self.errors = output, errors
        self.asked: list[str] = []

    def run(self, command: str, deadline: Deadline, *, limit: int = 0) -> CommandResult:
        self.asked.append(command)
        return CommandResult(0, self.output[:limit], self.errors)


def gather_all(output: bytes) -> dict[str, str | None]:
    facts = esxi.gather_all(Shell(output), "ssh", Deadline.after(1))
    assert set(facts) == esxi.NAMES
    return {name: value(facts, name) for name in facts}


def test_every_fact_is_read_in_one_round_trip() -> None:
    shell = Shell(answer())
    facts = esxi.gather_all(shell, "ssh", Deadline.after(1))
    assert len(shell.asked) == 1
    assert {name for name in facts if value(facts, name) is None} == set()
    assert number(facts, "uptime") == 86400


def test_an_answer_that_is_cut_off_says_so() -> None:
    cut = answer()[: answer().index(b"blue_screen_timeout=   Int")]
    facts = esxi.gather_all(Shell(cut), "ssh", Deadline.after(1))
    assert facts["machines"].missing == "the answer was cut off"
    assert value(facts, "blue_screen_timeout") is None


@pytest.mark.parametrize("output", [b"", b"\xff\xfe\x00", b"end=1\nclock=5\n", b"Password:", b"\x1b[2J" * 99])
def test_a_host_that_says_nothing_of_esxi_is_refused(output: bytes) -> None:
    with pytest.raises(PeerFailedError, match="nothing of ESXi"):
        esxi.gather_all(Shell(output, b"sh: esxcli: not found"), "ssh", Deadline.after(1))


@given(st.binary(max_size=300))
def test_no_answer_breaks_the_gatherer(noise: bytes) -> None:
    gather_all(answer() + noise)


def test_the_script_runs_in_a_plain_shell_where_nothing_of_esxi_is_there() -> None:
    done = subprocess.run(["sh", "-c", esxi.COMMAND], capture_output=True, check=False, timeout=30)
    said = done.stdout.decode()
    assert "version!the command failed" in said
    assert "machines=0" in said
    assert said.rstrip().endswith("end=1")


def test_the_script_reads_and_changes_nothing() -> None:
    words = esxi.COMMAND.split()
    verbs = {
        words[at + 1 :][:6] and word for at, word in enumerate(words) if word in {"set", "add", "remove"}
    }
    assert verbs == set()
    assert HEALTHY.keys() == esxi.NAMES
