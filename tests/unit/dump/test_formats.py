"""Every format is told apart by its content, whatever its name is."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.dump.identify import inspect
from collector.dump.report import DumpFormat, State
from tests.unit.dump import dumps, minidump_generator, vmware_generator, windows_generator

FORMATS = {
    DumpFormat.KDUMP: dumps.kdump(),
    DumpFormat.FLATTENED: dumps.flattened(dumps.kdump()),
    DumpFormat.ELF: dumps.elf(),
    DumpFormat.WINDOWS: windows_generator.bitmap().data,
    DumpFormat.MINIDUMP: minidump_generator.user_dump(),
    DumpFormat.OFFLINE_WINDOWS: minidump_generator.offline(),
    DumpFormat.VMWARE: vmware_generator.checkpoint(
        groups={"memory": vmware_generator.memory_group((), b"x")}
    )[0],
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["vmcore", "MEMORY.DMP", "vmkernel-zdump.1"])
def test_a_dump_is_known_by_its_content_under_any_name(kind: DumpFormat, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FORMATS[kind])
    report = inspect(path)
    assert (report.format, report.state) == (kind, State.COMPLETE), report.reason


def test_a_32_bit_windows_dump_and_one_that_was_never_written_are_windows_dumps(tmp_path: Path) -> None:
    path = tmp_path / "MEMORY.DMP"
    for data, state in (
        (windows_generator.full(32).data, State.COMPLETE),
        (b"PAGE" * 2048, State.INCOMPLETE),
    ):
        path.write_bytes(data)
        assert (inspect(path).format, inspect(path).state) == (DumpFormat.WINDOWS, state)


@pytest.mark.parametrize(
    ("name", "kind"), [("vmkernel-zdump.1", DumpFormat.ESXI), ("vmcore", DumpFormat.UNKNOWN)]
)
def test_a_dump_of_an_esxi_host_is_known_by_its_name_alone(
    name: str, kind: DumpFormat, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(b"\7zdump?")
    assert (inspect(path).format, inspect(path).state) == (kind, State.UNKNOWN)
    for nothing in (b"", bytes(5000)):
        path.write_bytes(nothing)
        assert inspect(path).state is State.EMPTY
