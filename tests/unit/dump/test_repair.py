"""What must never happen: the original changes, a file is overwritten, or a repair makes a dump worse."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from collector.dump.repair import plan, repair
from collector.dump.report import Buffer
from collector.errors import DumpError
from collector.lab import vmcore
from tests.unit.dump.dumps import PAGE, flattened, poke
from tests.unit.dump.qemu import CRASHED, as_qemu_writes_elf, as_qemu_writes_kdump, whole


def test_a_kdump_stream_of_qemu_becomes_an_ordinary_dump_that_says_who_it_is(tmp_path: Path) -> None:
    sentences = repair(Buffer(flattened(as_qemu_writes_kdump())), tmp_path / "out")
    mended = (tmp_path / "out").read_bytes()
    assert len(sentences) == 5
    for start, end in ((0, 0xC + 65), (0xC + 2 * 65, 0xC + 3 * 65), (0x198, 0x1A0), (PAGE, PAGE + 8)):
        assert mended[start:end] == whole()[start:end]
    assert mended[2 * PAGE :] == whole()[2 * PAGE :]
    assert not plan(Buffer(mended))


def test_the_program_headers_of_qemus_elf_go_where_tools_look(tmp_path: Path) -> None:
    broken = as_qemu_writes_elf()
    repair(Buffer(broken), tmp_path / "out")
    mended = (tmp_path / "out").read_bytes()
    assert struct.unpack_from("<QQ", mended, 32) == (64, 0)
    assert mended[64 : 64 + 112] == broken[192 : 192 + 112]
    assert mended[192 + 112 :] == broken[192 + 112 :]
    assert not plan(Buffer(mended))


@pytest.mark.parametrize("dump", [whole(), vmcore.flattened(whole()), b"no dump", b""])
def test_what_is_well_is_not_copied(tmp_path: Path, dump: bytes) -> None:
    with pytest.raises(DumpError, match="nothing to mend"):
        repair(Buffer(dump), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_memory_where_the_program_headers_belong_is_never_overwritten() -> None:
    with pytest.raises(DumpError, match="cannot be moved"):
        plan(Buffer(poke(as_qemu_writes_elf(), 192 + 56 + 8, "<Q", 100)))


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    with pytest.raises(DumpError, match="cannot write 'out'"):
        repair(Buffer(as_qemu_writes_kdump()), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"precious"


def test_the_command_mends_a_copy_and_inspects_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vmcore").write_bytes(as_qemu_writes_kdump())
    command = ["inspect", str(tmp_path / "vmcore"), "--repair", str(tmp_path / "out")]
    assert run(command) == ExitCode.COMPLETE
    said = capsys.readouterr()
    assert "mended: phys_base is 0 now, as VMCOREINFO says" in said.err
    assert "out: complete" in said.out
    assert f"{CRASHED:%Y-%m-%d %H:%M:%S} UTC" in said.out
    assert (tmp_path / "vmcore").read_bytes() == as_qemu_writes_kdump()
    assert run(command) == ExitCode.PARTIAL
