"""What must never happen: a dump that lacks a byte is called whole, or a hostile one costs memory."""

from __future__ import annotations

import os
import struct
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.dump.identify import inspect
from collector.dump.report import DumpFormat, DumpReport, State
from collector.errors import DumpError
from tests.unit.dump import dumps
from tests.unit.dump.dumps import PAGE, poke

WHOLE = {
    "kdump": dumps.kdump(),
    "kdump, big-endian": dumps.kdump(">"),
    "flattened": dumps.flattened(dumps.kdump()),
    "flattened ELF": dumps.flattened(dumps.elf()),
    "ELF": dumps.elf(),
    "ELF, big-endian": dumps.elf(">"),
}
every_dump = pytest.mark.parametrize("dump", WHOLE.values(), ids=WHOLE.keys())
any_dump = st.sampled_from(sorted(WHOLE.values()))

Inspect = Callable[[bytes], DumpReport]


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Inspect:
    path = tmp_path_factory.mktemp("dump") / "vmcore"

    def write_and_inspect(dump: bytes) -> DumpReport:
        path.write_bytes(dump)
        return inspect(path)

    return write_and_inspect


@every_dump
def test_a_whole_dump_is_complete_and_says_which_crash_it_is(inspected: Inspect, dump: bytes) -> None:
    report = inspected(dump)
    assert report.complete, report.reason
    assert report.size == report.expected_size == len(dump)
    assert report.identity.kernel_release == "6.1.0-9-amd64"
    assert report.identity.crash_time == datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
    assert report.identity.details["build_id"] == "0011aa"


def test_the_formats_are_told_apart_and_kdump_knows_the_host(inspected: Inspect) -> None:
    reports = {name: inspected(dump) for name, dump in WHOLE.items()}
    assert reports["kdump"].format == DumpFormat.KDUMP
    assert reports["flattened"].format == DumpFormat.FLATTENED
    assert reports["ELF"].format == DumpFormat.ELF
    assert reports["kdump"].identity.hostname == reports["flattened"].identity.hostname == "db01"
    assert reports["ELF"].identity.hostname is None
    assert reports["kdump"].identity.details["compression"] == "zlib"


@settings(max_examples=150)
@given(cut=any_dump.flatmap(lambda dump: st.integers(0, len(dump) - 1).map(lambda length: dump[:length])))
def test_a_dump_that_lacks_a_byte_is_never_complete(inspected: Inspect, cut: bytes) -> None:
    report = inspected(cut)
    assert not report.complete
    assert report.size == len(cut)


@settings(max_examples=200)
@given(
    dump=any_dump,
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=12)), max_size=5
    ),
)
def test_damage_raises_nothing_but_dump_error(
    inspected: Inspect, dump: bytes, changes: list[tuple[float, bytes]]
) -> None:
    damaged = bytearray(dump)
    for place, garbage in changes:
        at = int(place * len(dump))
        damaged[at : at + len(garbage)] = garbage
    _tolerate(inspected, bytes(damaged))


@settings(max_examples=200)
@given(
    dump=any_dump,
    offset=st.one_of(
        st.integers(0, 0x220), st.integers(PAGE, PAGE + 0x70), st.integers(4 * PAGE, 4 * PAGE + 80)
    ),
    value=st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]),
    order=st.sampled_from("<>"),
)
def test_extreme_figures_in_the_headers_raise_nothing_but_dump_error(
    inspected: Inspect, dump: bytes, offset: int, value: int, order: str
) -> None:
    if offset + 8 <= len(dump):
        _tolerate(inspected, poke(dump, offset, order + "Q", value))


def _tolerate(inspected: Inspect, dump: bytes) -> None:
    try:
        report = inspected(dump)
    except DumpError:
        return
    assert report.reason.isprintable()
    assert all(str(value).isprintable() for value in report.identity.details.values())


@pytest.mark.parametrize(
    ("offset", "form", "value", "word"),
    [
        (dumps.BLOCK_SIZE, "<i", 0, "block_size is 0"),
        (dumps.BLOCK_SIZE, "<i", 2**31 - 1, "block_size"),
        (dumps.SUB_HEADER_BLOCKS, "<i", -1, "sub_hdr_size"),
        (dumps.SUB_HEADER_BLOCKS, "<i", 2**31 - 1, "sub_hdr_size"),
        (dumps.BITMAP_BLOCKS, "<i", -2, "bitmap_blocks"),
        (dumps.MAX_MAPNR_64, "<Q", 2**64 - 1, "max_mapnr"),
        (8, "<i", 0, "header_version"),
    ],
)
def test_a_kdump_header_out_of_bounds_is_refused_by_name(
    inspected: Inspect, offset: int, form: str, value: int, word: str
) -> None:
    with pytest.raises(DumpError, match=word):
        inspected(poke(dumps.kdump(), offset, form, value))


def test_a_header_that_promises_terabytes_costs_no_memory(inspected: Inspect) -> None:
    dump = poke(dumps.kdump(), dumps.BITMAP_BLOCKS, "<i", 2**31 - 2)
    dump = poke(dump, dumps.MAX_MAPNR_64, "<Q", 2**44)
    dump = poke(dump, dumps.INFO_OFFSET, "<QQ", 2**64 - 1, 2**64 - 1)
    tracemalloc.start()
    report = inspected(dump)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not report.complete
    assert peak < 8 << 20


def test_a_page_that_was_never_written_makes_the_dump_incomplete(inspected: Inspect) -> None:
    report = inspected(poke(dumps.kdump(), dumps.DESCRIPTORS + 24, "<qIIQ", 0, 0, 0, 0))
    assert not report.complete
    assert report.reason == "1 of 3 page descriptors were never written"


@pytest.mark.parametrize(
    ("offset", "size"), [(10, 50), (dumps.DESCRIPTORS + 72, 0), (dumps.DESCRIPTORS + 72, 4097)]
)
def test_a_page_that_cannot_be_where_it_is_said_makes_the_dump_incomplete(
    inspected: Inspect, offset: int, size: int
) -> None:
    report = inspected(poke(dumps.kdump(), dumps.DESCRIPTORS, "<qI", offset, size))
    assert not report.complete
    assert report.reason == "1 of 3 page descriptors are damaged"


def test_what_makedumpfile_marked_incomplete_is_incomplete(inspected: Inspect) -> None:
    marked = poke(dumps.kdump(), dumps.STATUS, "<I", 1 | 8)
    for dump in (marked, dumps.flattened(marked), dumps.elf(flags=1), dumps.flattened(dumps.elf(flags=1))):
        report = inspected(dump)
        assert not report.complete
        assert "no space left" in report.reason


def test_one_part_of_a_split_dump_is_not_a_dump(inspected: Inspect) -> None:
    report = inspected(poke(dumps.kdump(), dumps.SPLIT, "<i", 1))
    assert not report.complete
    assert "split" in report.reason


def test_a_dump_without_a_page_is_incomplete(inspected: Inspect) -> None:
    assert inspected(dumps.kdump(pages=0)).reason == "there is no page in it"


def test_bytes_after_the_last_page_are_named(inspected: Inspect) -> None:
    report = inspected(dumps.kdump() + bytes(10))
    assert not report.complete
    assert report.reason == "10 unknown bytes follow its last page"


def test_a_stream_on_a_bare_disk_is_complete_at_its_end_marker(inspected: Inspect) -> None:
    stream = WHOLE["flattened"]
    report = inspected(stream + bytes(5000))
    assert report.complete
    assert (report.expected_size, report.size) == (len(stream), len(stream) + 5000)


@pytest.mark.parametrize("record", [(0, 0), (0, -5), (-7, 10), (0, 2**63 - 1)])
def test_a_record_that_leads_nowhere_ends_the_walk(inspected: Inspect, record: tuple[int, int]) -> None:
    stream = WHOLE["flattened"][:-16] + struct.pack(">qq", *record) + b"\xff" * 16
    assert not inspected(stream).complete


def test_a_stream_of_something_else_is_not_complete(inspected: Inspect) -> None:
    report = inspected(dumps.flattened(b"not a dump"))
    assert not report.complete
    assert "no kdump header" in report.reason


def test_an_unknown_version_of_the_stream_is_refused(inspected: Inspect) -> None:
    with pytest.raises(DumpError, match="type and version"):
        inspected(poke(WHOLE["flattened"], 16, ">qq", 1, 2))


def test_an_elf_file_that_is_no_core_is_refused(inspected: Inspect) -> None:
    with pytest.raises(DumpError, match="ELF type 2"):
        inspected(dumps.elf(kind=2))


def test_more_program_headers_than_fit_the_field_are_read_from_the_section(inspected: Inspect) -> None:
    core = dumps.elf()
    section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 3, 0, 0)
    core = poke(core, 40, "<Q", len(core))
    core = poke(core, 56, "<H", 0xFFFF) + section
    assert inspected(core).complete
    with pytest.raises(DumpError, match="4294967295 program headers"):
        inspected(poke(core, len(core) - 20, "<I", 2**32 - 1))


def test_names_from_the_dump_cannot_reach_the_terminal(inspected: Inspect) -> None:
    report = inspected(poke(dumps.kdump(), 0xC + 65, "65s", b"db\x1b[2J\xff\n01"))
    assert report.identity.hostname == r"db\x1b[2J\xff\x0a01"


@pytest.mark.parametrize("seconds", [0, -1, 2**62])
def test_a_time_that_no_clock_can_have_shown_is_no_time(inspected: Inspect, seconds: int) -> None:
    dump = poke(dumps.kdump(), 0x198, "<q", seconds).replace(b"CRASHTIME=1", b"CRASHTIMX=1")
    assert inspected(dump).identity.crash_time is None


@pytest.mark.parametrize("nothing", [b"", bytes(5000)])
def test_a_file_of_nothing_is_empty(inspected: Inspect, nothing: bytes) -> None:
    assert inspected(nothing).state is State.EMPTY


def test_an_unknown_file_is_named_by_its_first_bytes_escaped(inspected: Inspect) -> None:
    report = inspected(b"\x1f\x8b\x1b[2Jgzip")
    assert (report.format, report.state) == (DumpFormat.UNKNOWN, State.UNKNOWN)
    assert r"b'\x1f\x8b\x1b[2Jgzip'" in report.reason
    assert report.reason.isprintable()


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="is not a file"):
        inspect(tmp_path)
    with pytest.raises(DumpError, match="is not there"):
        inspect(tmp_path / "absent")


if sys.platform != "win32":

    def test_a_fifo_does_not_hold_the_reader(tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "vmcore")
        with pytest.raises(DumpError, match="is not a file"):
            inspect(tmp_path / "vmcore")


def test_how_much_memory_the_machine_had_is_said(inspected: Inspect) -> None:
    first_bitmap = 2 * dumps.PAGE
    assert inspected(dumps.poke(dumps.kdump(), first_bitmap, "<Q", 0b1011)).identity.memory == 3 * dumps.PAGE
    core = dumps.elf()
    for number, (physical, size) in enumerate(((0x1000, 0x3000), (0x2000, 0x1000))):  # one within the other
        at = 64 + 56 * (number + 1)
        core = dumps.poke(dumps.poke(core, at + 24, "<Q", physical), at + 40, "<Q", size)
    assert inspected(core).identity.memory == 0x3000
    assert inspected(dumps.poke(core, 64 + 56 + 40, "<Q", 1 << 60)).identity.memory is None
