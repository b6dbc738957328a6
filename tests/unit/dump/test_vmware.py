"""What must never happen: a checkpoint without the guest's memory is called whole."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.dump import esxi, vmware
from collector.dump.report import Buffer, DumpFile, DumpFormat, DumpReport, State
from collector.errors import DumpError
from tests.unit.dump import vmware_generator as make
from tests.unit.dump.dumps import poke
from tests.unit.dump.vmware_generator import VMEM_BYTES

APART, ENDS = make.checkpoint()
INSIDE, _ = make.checkpoint(
    groups={"cpu": make.cpu_group(), "memory": make.memory_group((), bytes(3 * 4096))}
)


def judge(data: bytes, vmem: int | None = VMEM_BYTES) -> DumpReport:
    return vmware.judge(Buffer(data), vmem)


def test_a_checkpoint_with_its_memory_is_complete_and_says_what_the_guest_has() -> None:
    for data, memory in ((APART, VMEM_BYTES), (INSIDE, 3 * 4096)):
        report = judge(data, VMEM_BYTES if data is APART else None)
        assert report.state is State.COMPLETE, report.reason
        assert report.format is DumpFormat.VMWARE
        assert (report.identity.cpus, report.identity.memory) == (4, memory)


def test_a_checkpoint_that_lacks_a_byte_is_truncated_at_every_length() -> None:
    for data in (APART, INSIDE):
        for length in range(4, len(data)):
            assert judge(data[:length]).state is State.TRUNCATED, length
    assert judge(APART[: ENDS[0] + 5]).missing == "group cpu"
    assert judge(APART[: ENDS[2] - 1]).missing == "group memory"


def test_the_memory_beside_it_must_be_there_and_as_long_as_its_regions() -> None:
    assert judge(APART, None).state is State.INCOMPLETE
    assert f"{VMEM_BYTES} bytes" in judge(APART, None).reason
    assert judge(APART, 0).state is State.INCOMPLETE
    short = judge(APART, VMEM_BYTES - 1)
    assert (short.state, short.reason) == (State.TRUNCATED, "the .vmem beside it ends 1 bytes early")


def test_memory_without_regions_leaves_the_length_of_the_vmem_unknown() -> None:
    data, _ = make.checkpoint(groups={"memory": make.memory_group(())})
    assert judge(data).state is State.UNKNOWN
    assert judge(data, None).state is State.INCOMPLETE


@pytest.mark.parametrize("name", ["db01.vmss", "db01-Snapshot3.vmsn"])
def test_the_vmem_of_the_same_name_is_found_beside_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(APART)
    with DumpFile(path) as file:
        assert vmware.inspect(file).state is State.INCOMPLETE
        with path.with_suffix(".vmem").open("wb") as vmem:
            try:
                vmem.truncate(VMEM_BYTES)
            except OSError as error:
                pytest.skip(f"no sparse file of 4 GiB here: {error}")
        assert vmware.inspect(file).state is State.COMPLETE


def test_memory_belongs_to_the_checkpoint_of_its_name_in_its_folder() -> None:
    paths = ["a/vm.vmsn", "a/vm.vmem", "b/vm.vmem", "a/other.vmem", "c/vm 2.vmss", "c/vm 2.vmem", "a/vm.png"]
    assert vmware.memory_beside(paths) == {"a/vm.vmem": "a/vm.vmsn", "c/vm 2.vmem": "c/vm 2.vmss"}


@pytest.mark.parametrize("magic", vmware.MAGICS[1:])
def test_every_kind_of_checkpoint_is_read(magic: bytes) -> None:
    data, _ = make.checkpoint(magic)
    assert judge(data).state is State.COMPLETE
    assert "checkpoint" in str(judge(data).identity.details["kind"])


def test_a_checkpoint_of_the_old_format_is_unknown() -> None:
    assert judge(make.checkpoint(vmware.MAGICS[0])[0]).state is State.UNKNOWN


@pytest.mark.parametrize("count", [0, 1025, 2**32 - 1])
def test_a_list_of_groups_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(DumpError, match=f"{count} groups"):
        judge(poke(APART, 8, "<I", count))


def test_a_block_that_leads_out_of_the_file_is_truncated_and_costs_no_memory() -> None:
    at = APART.index(b"gpregs") + len("gpregs")
    tracemalloc.start()
    for sizes in ((2**64 - 1, 1, 0), (2**40, 2**63, 65535)):
        assert judge(poke(APART, at, "<QQH", *sizes)).missing == "group cpu"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_region_or_a_walk_without_end_is_refused() -> None:
    for tag in (make.value("regionSize", 1, 2**32 - 1), make.value("regionPageNum", 2**400, 0, size=61)):
        data, _ = make.checkpoint(groups={"memory": tag + b"\0\0"})
        with pytest.raises(DumpError, match="region of memory"):
            judge(data)
    data, _ = make.checkpoint(groups={"memory": make.value("a", 1) * (1 << 18) + b"\0\0"})
    with pytest.raises(DumpError, match="more than 262144 tags"):
        judge(data)


@settings(max_examples=300)
@given(
    data=st.sampled_from([APART, INSIDE]),
    offset=st.integers(4, 4000),
    value=st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1]),
    garbage=st.binary(max_size=20),
)
def test_damage_raises_nothing_but_dump_error(data: bytes, offset: int, value: int, garbage: bytes) -> None:
    damaged = bytearray(poke(data, 4 + offset % (len(data) - 12), "<Q", value))
    damaged[4 + offset // 3 : 4 + offset // 3 + len(garbage)] = garbage
    try:
        report = judge(bytes(damaged))
    except DumpError:
        return
    assert report.reason.isprintable()
    assert report.missing.isprintable()


def test_an_esxi_dump_is_empty_or_a_matter_for_its_host() -> None:
    assert esxi.inspect(Buffer(b"")).state is State.EMPTY
    assert esxi.inspect(Buffer(bytes(9000))).state is State.EMPTY
    report = esxi.inspect(Buffer(struct.pack("<Q", 7) + bytes(9000)))
    assert report.state is State.UNKNOWN
    assert "vmkdump_extract" in report.reason


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("/var/core/vmkernel-zdump.1", True),
        ("vmkernel-zdump-020609.04.40.1", True),
        ("vmkernel-zdump", True),
        ("00000000-0000-0000-0000-0CC47A000001.dumpfile", True),
        ("vmkernel-log.1", False),
        ("vmcore", False),
        ("vmkernel-zdump.1\n", False),
    ],
)
def test_an_esxi_dump_is_known_by_its_name(name: str, known: bool) -> None:
    assert esxi.is_dump_name(name) is known


def test_the_log_out_of_an_esxi_dump_says_which_crash_it_was() -> None:
    log = [
        "VMware ESXi 7.0.3 [Releasebuild-19193900 x86_64]",
        "2026-11-21T03:12:44Z cpu11:2099)@BlueScreen: LINT1/NMI (motherboard nonmaskable interrupt)\x1b[2J",
        "2026-11-21T03:12:44.001Z cpu11:2099)Code start: 0x418004200000 VMK uptime: 12:01:00:30.250",
    ]
    identity = esxi.read_log(log)
    assert identity.kernel_release == "7.0.3 build-19193900"
    assert identity.architecture == "x86_64"
    assert identity.uptime == ((12 * 24 + 1) * 60) * 60 + 30.25
    assert identity.cause is not None
    assert "an NMI from the button" in identity.cause.meaning
    assert identity.cause.meaning.isprintable()


def test_a_log_without_a_purple_screen_has_no_cause() -> None:
    assert esxi.read_log(["cpu1:2)NMP: nmp_ThrottleLogForDevice", "x" * 10_000_000]).cause is None
