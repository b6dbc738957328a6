from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.answers import CommandResult
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


def slot(text: str) -> str:
    facts = esxi.gather(Shell(answer(dump_slot=text)), "ssh", Deadline.after(1))
    return esxi.still_in_slot(facts)


def test_a_dump_that_nobody_extracted_is_told_with_the_command_that_does_it() -> None:
    path = "/vmfs/volumes/5f3c-1/vmkdump/4C4C.dumpfile"
    assert f"esxcfg-dumppart -F -C -D {path} -n -z /vmfs/volumes/DATASTORE/zdump" in slot(f"file {path}")
    assert "-C -D /vmfs/devices/disks/mpx.vmhba32:C0:T0:L0:9 -n" in slot("partition mpx.vmhba32:C0:T0:L0:9")
    whole = slot("partition /vmfs/devices/disks/naa.600508:7")
    assert "-C -D /vmfs/devices/disks/naa.600508:7 -n" in whole
    assert "-F" not in whole


@pytest.mark.parametrize("text", ["none", "!the command failed", "FILE x", "yes"])
def test_an_empty_slot_is_not_told(text: str) -> None:
    assert slot(text) == ""


@pytest.mark.parametrize(
    "hostile", ["file", "file $(reboot)", "file /x; rm -rf /", "partition a b", "file \x1b[2J"]
)
def test_what_a_host_calls_its_slot_gets_into_no_command(hostile: str) -> None:
    assert "-D active -n" in slot(hostile)


@pytest.mark.parametrize(
    ("file", "partition", "told"),
    [
        ("YES", "NO", "dump_slot=file /vmfs/x.dumpfile"),
        ("NO", "YES", "dump_slot=partition naa.1:7"),
        ("YES", "YES", "dump_slot=file /vmfs/x.dumpfile"),
        ("NO", "NO", "dump_slot=none"),
        ("", "NO", "dump_slot=none"),
        ("", "", "dump_slot!the command failed"),
    ],
)
def test_the_slot_is_asked_for_by_options_that_only_test(
    tmp_path: Path, file: str, partition: str, told: str
) -> None:
    tool = tmp_path / "esxcfg-dumppart"
    tool.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/asked
case "$*" in
"-F -T -D active -n") echo {file};; "-T -D active -n") echo {partition};;
-Ft) echo /vmfs/x.dumpfile;; -t) echo naa.1:7;; *) echo unexpected;; esac
"""
    )
    tool.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", esxi.COMMAND],
        capture_output=True,
        check=False,
        timeout=30,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert told in done.stdout.decode().splitlines()
    asked = set((tmp_path / "asked").read_text().splitlines())
    assert asked <= {"-F -T -D active -n", "-T -D active -n", "-Ft", "-t"}
