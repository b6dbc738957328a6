"""What every channel into a host keeps to: commands, folders, files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import FileKind
from collector.adapters.base import Files, Shell
from collector.adapters.limits import Deadline
from tests.contract.channels import CHANNELS, RIGS, SHELLS, Rig

LARGE = os.urandom(3_000_000)  # several requests of every reader, and no multiple of any


@pytest.fixture(params=CHANNELS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=SHELLS)
def shell_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with RIGS[request.param](tmp_path) as made:
        yield made


def soon() -> Deadline:
    return Deadline.after(30)


def test_a_channel_has_the_capabilities_that_it_is_used_for(rig: Rig) -> None:
    assert isinstance(rig.channel, Files)


def test_a_shell_is_a_channel_for_files_too(shell_rig: Rig) -> None:
    assert isinstance(shell_rig.channel, Shell)
    assert isinstance(shell_rig.channel, Files)


def test_a_command_gives_its_output_as_bytes(shell_rig: Rig) -> None:
    result = shell_rig.shell.run(shell_rig.say(b"\x00\xff\n"), soon())
    assert (result.exit_status, result.stdout, result.truncated) == (0, b"\x00\xff\n", False)


def test_a_command_that_does_not_exist_is_a_result_and_no_error(shell_rig: Rig) -> None:
    result = shell_rig.shell.run("no-such-command-here", soon())
    assert result.exit_status == 127
    assert result.stderr


def test_output_beyond_the_limit_is_cut_and_said_to_be(shell_rig: Rig) -> None:
    result = shell_rig.shell.run(shell_rig.say(LARGE), soon(), limit=1000)
    assert (result.exit_status, result.stdout, result.truncated) == (0, LARGE[:1000], True)


def test_output_of_exactly_the_limit_is_whole(shell_rig: Rig) -> None:
    result = shell_rig.shell.run(shell_rig.say(b"x" * 1000), soon(), limit=1000)
    assert (len(result.stdout), result.truncated) == (1000, False)


def test_a_file_is_described(rig: Rig) -> None:
    path = rig.put("vmcore", b"12345")
    found = rig.channel.stat(path, soon())
    assert (found.path, found.kind, found.size) == (path, FileKind.FILE, 5)
    assert found.modified > 1_500_000_000


def test_a_folder_is_described(rig: Rig) -> None:
    rig.put("crash/vmcore", b"12345")
    assert rig.channel.stat(f"{rig.folder}/crash", soon()).kind is FileKind.FOLDER


def test_a_folder_lists_its_direct_children_with_their_paths(rig: Rig) -> None:
    rig.put("crash/vmcore", b"12345")
    rig.put("crash/deep/er", b"")
    rig.put("crash/a name\nof two lines", b"")
    found = {entry.path: entry.kind for entry in rig.channel.list(f"{rig.folder}/crash", soon())}
    assert found == {
        f"{rig.folder}/crash/vmcore": FileKind.FILE,
        f"{rig.folder}/crash/deep": FileKind.FOLDER,
        f"{rig.folder}/crash/a name\nof two lines": FileKind.FILE,
    }


def test_what_is_not_there_is_not_found(rig: Rig) -> None:
    absent = f"{rig.folder}/absent"
    with pytest.raises(FileNotFoundError):
        rig.channel.stat(absent, soon())
    with pytest.raises(FileNotFoundError):
        rig.channel.list(absent, soon())
    with pytest.raises(FileNotFoundError):
        list(rig.channel.read(absent, 0, 30.0))


@pytest.mark.parametrize("offset", [0, 1, 65_536, len(LARGE) - 1, len(LARGE), len(LARGE) + 10])
def test_a_file_is_read_in_order_from_any_byte(rig: Rig, offset: int) -> None:
    path = rig.put("vmcore", LARGE)
    assert b"".join(rig.channel.read(path, offset, 30.0)) == LARGE[offset:]


def test_an_empty_file_has_no_bytes(rig: Rig) -> None:
    assert list(rig.channel.read(rig.put("empty", b""), 0, 30.0)) == []


def test_a_read_that_is_given_up_leaves_the_channel_usable(rig: Rig) -> None:
    path = rig.put("vmcore", LARGE)
    reader = rig.channel.read(path, 0, 30.0)
    assert next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert b"".join(rig.channel.read(path, 0, 30.0)) == LARGE


def test_a_file_can_be_described_while_it_is_read(rig: Rig) -> None:
    path = rig.put("vmcore", LARGE)
    reader = rig.channel.read(path, 0, 30.0)
    first = next(reader)
    assert rig.channel.stat(path, soon()).size == len(LARGE)
    assert b"".join((first, *reader)) == LARGE


def test_a_command_runs_while_a_file_is_read(shell_rig: Rig) -> None:
    reader = shell_rig.channel.read(shell_rig.put("vmcore", LARGE), 0, 30.0)
    first = next(reader)
    assert shell_rig.shell.run(shell_rig.say(b"still here"), soon()).stdout == b"still here"
    assert b"".join((first, *reader)) == LARGE
