"""What must never happen: a Windows dump that lacks a byte is called whole, or a hostile one costs memory."""

from __future__ import annotations

import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.dump import windows
from collector.dump.report import Buffer, DumpFile, DumpFormat, DumpReport, State
from collector.errors import DumpError
from tests.unit.dump import windows_generator as make
from tests.unit.dump.dumps import poke
from tests.unit.dump.windows_generator import OFFSETS, PAGE, Dump

WHOLE = {
    f"{name}, {bits} bit{', with drivers data' if blobs else ''}": make.with_blobs(dump) if blobs else dump
    for bits in (32, 64)
    for blobs in (False, True)
    for name, dump in {
        "full": make.full(bits),
        "summary": make.summary(bits),
        "summary, newer layout": make.bitmap(make.SUMMARY, bits),
        "bitmap full": make.bitmap(make.BITMAP_FULL, bits),
        "bitmap kernel": make.bitmap(make.BITMAP_KERNEL, bits),
        "automatic": make.bitmap(make.AUTOMATIC, bits, marked=11),
        "triage": make.triage(bits),
    }.items()
}
every_dump = pytest.mark.parametrize("dump", WHOLE.values(), ids=WHOLE.keys())
both_widths = pytest.mark.parametrize("bits", [32, 64])


def judge(data: bytes) -> DumpReport:
    return windows.inspect(Buffer(data))


@every_dump
def test_a_whole_dump_is_complete_and_says_which_crash_it_is(dump: Dump) -> None:
    report = judge(dump.data)
    assert report.state is State.COMPLETE, report.reason
    assert report.size == report.expected_size == len(dump.data)
    assert report.format is DumpFormat.WINDOWS
    assert not report.missing
    identity = report.identity
    assert identity.crash_time == datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
    assert identity.uptime == make.UPTIME
    assert (identity.kernel_release, identity.cpus, identity.memory) == ("Windows build 17763", 48, 9 * PAGE)
    assert identity.architecture in {"x86_64", "i686"}
    assert identity.cause is not None
    assert identity.cause.code == "0x80"
    assert "NMI" in identity.cause.meaning
    assert identity.details["product"] == "server"


@every_dump
def test_a_dump_cut_where_a_part_ends_is_truncated(dump: Dump) -> None:
    for name, end in dump.parts[:-1]:
        report = judge(dump.data[:end])
        known = name == "memory" or (name.startswith("blob ") and name != "blob header")
        # The chain of drivers' data has neither a count nor an end: a cut between two blobs leaves no trace.
        assert report.state is (State.COMPLETE if known else State.TRUNCATED), name
        assert report.missing or known


@every_dump
def test_a_dump_cut_inside_a_part_is_truncated_one_byte_early_and_one_byte_late(dump: Dump) -> None:
    ends = [end for _, end in dump.parts]
    for cut in {*(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}:
        report = judge(dump.data[:cut])
        assert report.state is State.TRUNCATED, (cut, report.reason)
        assert report.size == cut
        assert report.expected_size is None or report.expected_size > cut


@settings(max_examples=150)
@given(dump=st.sampled_from(sorted(WHOLE.values(), key=lambda dump: dump.data)), data=st.data())
def test_a_dump_that_lacks_memory_is_never_complete(dump: Dump, data: st.DataObject) -> None:
    length = data.draw(st.integers(8, dump.memory_end - 1))
    assert judge(dump.data[:length]).state is State.TRUNCATED


@both_widths
def test_half_a_full_dump_says_how_much_is_there_and_which_memory_is_not(bits: int) -> None:
    dump = make.full(bits)
    report = judge(dump.data[: OFFSETS[bits].size + 5 * PAGE + 100])
    assert report.reason == "it ends after 5 of 9 pages"
    assert report.missing == "memory from physical address 0x102000 on"
    assert report.expected_size == len(dump.data)


@both_widths
def test_a_page_file_that_was_too_small_is_named(bits: int) -> None:
    marked = make.full(bits, attributes=make.INSUFFICIENT)
    for data, state in ((marked.data, State.INCOMPLETE), (marked.data[:-PAGE], State.TRUNCATED)):
        report = judge(data)
        assert report.state is state
        assert "too small" in report.reason


@both_widths
def test_an_encrypted_dump_is_encrypted_until_it_is_decrypted(bits: int) -> None:
    assert judge(make.full(bits, attributes=make.ENCRYPTED).data).state is State.ENCRYPTED
    assert judge(make.full(bits, attributes=make.ENCRYPTED | make.DECRYPTED).data).complete


@pytest.mark.parametrize("magic", [b"PAGEPAGE", b"PAGEDU64", b"PAGEDUMP"])
def test_a_header_that_windows_never_filled_in_is_incomplete(magic: bytes) -> None:
    report = judge(magic + b"PAGE" * (20 * PAGE // 4 - 2))
    assert report.state is State.INCOMPLETE
    assert "never filled in" in report.reason
    assert report.identity.crash_time is None


@both_widths
def test_a_small_dump_without_its_signature_was_not_finished(bits: int) -> None:
    report = judge(make.triage(bits, valid=b"\0\0\0\0").data)
    assert report.state is State.INCOMPLETE
    assert "signature" in report.reason


def test_a_dump_of_its_header_alone_holds_no_memory() -> None:
    assert judge(make.header(make.HEADER)).state is State.INCOMPLETE


@pytest.mark.parametrize("dump_type", [0, 8, 9, 10, 2**32 - 1])
def test_a_type_that_is_not_read_is_unknown_and_still_says_which_crash_it_is(dump_type: int) -> None:
    report = judge(make.header(dump_type) + bytes(PAGE))
    assert report.state is State.UNKNOWN
    assert str(dump_type) in report.reason
    assert report.identity.cpus == 48


def test_a_bitmap_that_marks_other_pages_than_it_counts_is_not_complete() -> None:
    dump = make.bitmap()
    data = poke(dump.data, 2 * PAGE + 0x38, "<B", 0xFF)
    assert judge(data).state is State.UNKNOWN
    assert "marks" in judge(data).reason
    assert windows.glance(Buffer(data)).complete  # which says so: it does not look at the bitmap
    assert not windows.glance(Buffer(data[:-1])).complete


def test_a_cut_inside_the_bitmap_is_told_from_a_cut_behind_it() -> None:
    dump = make.bitmap()
    ends = dict(dump.parts)
    assert judge(dump.data[: ends["bitmap"] - 1]).reason == "it ends inside its page bitmap"
    assert judge(dump.data[: ends["bitmap"]]).reason == "it ends after 0 of 5 pages"


def test_bits_behind_the_last_page_are_not_pages() -> None:
    dump = make.bitmap()  # 21 bits in three bytes
    assert judge(poke(dump.data, 2 * PAGE + 0x3A, "<B", dump.data[2 * PAGE + 0x3A] | 0xE0)).complete


def test_a_bitmap_dump_without_a_page_is_incomplete() -> None:
    assert judge(make.bitmap(marked=0).data).state is State.INCOMPLETE


def test_bytes_of_the_page_file_behind_the_memory_are_no_fault() -> None:
    dump = make.bitmap()
    report = judge(dump.data + b"\x17" * 9000)
    assert report.state is State.COMPLETE
    assert report.expected_size == len(dump.data)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("count", [200, 2**32 - 1])
def test_more_runs_of_memory_than_fit_are_refused(bits: int, count: int) -> None:
    with pytest.raises(DumpError, match=f"{count} runs of memory"):
        judge(poke(make.full(bits).data, OFFSETS[bits].runs, "<I", count))


def test_runs_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DumpError, match="it counts 10 pages; its runs of memory hold 9"):
        judge(poke(make.full().data, 0x90, "<Q", 10))


@pytest.mark.parametrize(("offset", "value"), [(0x88, 2000), (0x90, 10)])
def test_a_bitmap_dump_needs_no_runs(offset: int, value: int) -> None:
    report = judge(poke(make.bitmap().data, offset, "<Q", value))
    assert report.complete
    assert report.identity.memory is None


def test_a_full_dump_without_runs_is_refused() -> None:
    with pytest.raises(DumpError, match="where the memory was"):
        judge(make.full(runs=()).data)


@pytest.mark.parametrize(
    ("offset", "value", "word"),
    [
        (0x2000, 0, "bitmap starts with"),
        (0x2028, 2**64 - 1, "a bitmap of"),
        (0x2030, 2**64 - 1, "a bitmap of"),
        (0x2020, 0, "a bitmap of"),
        (0x2020, 2**64 - 1, "a bitmap of"),
    ],
)
def test_a_bitmap_that_cannot_be_is_refused(offset: int, value: int, word: str) -> None:
    with pytest.raises(DumpError, match=word):
        judge(poke(make.bitmap().data, offset, "<Q", value))


@pytest.mark.parametrize(("offset", "value"), [(4, 0), (4, 2**32 - 1), (8, 17)])
def test_a_small_dump_whose_sizes_contradict_each_other_is_refused(offset: int, value: int) -> None:
    with pytest.raises(DumpError, match="small dump of"):
        judge(poke(make.triage().data, 0x2000 + offset, "<I", value))


def test_drivers_data_that_lead_nowhere_are_refused() -> None:
    dump = make.with_blobs(make.full())
    chain = make.full().memory_end
    for offset in (8, 16):
        with pytest.raises(DumpError, match="header"):
            judge(poke(dump.data, chain + offset, "<I", 3))


def test_drivers_data_without_end_are_refused() -> None:
    with pytest.raises(DumpError, match="more than 4096 blobs"):
        judge(make.with_blobs(make.triage(), sizes=[0] * 4200).data)


@settings(max_examples=300)
@given(
    dump=st.sampled_from(sorted(WHOLE.values(), key=lambda dump: dump.data)),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=12)), max_size=5
    ),
)
def test_damage_raises_nothing_but_dump_error(dump: Dump, changes: list[tuple[float, bytes]]) -> None:
    damaged = bytearray(dump.data)
    for place, garbage in changes:
        at = int(place * len(damaged))
        damaged[at : at + len(garbage)] = garbage
    _tolerate(bytes(damaged))


@settings(max_examples=400)
@given(
    dump=st.sampled_from(sorted(WHOLE.values(), key=lambda dump: dump.data)),
    offset=st.one_of(
        st.integers(8, 0x400),
        st.integers(0xF80, 0x1060),
        st.integers(0x2000, 0x2060),
        st.integers(1, 1000).map(lambda back: -back),
    ),
    value=st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]),
)
def test_extreme_figures_raise_nothing_but_dump_error(dump: Dump, offset: int, value: int) -> None:
    _tolerate(poke(dump.data, offset % (len(dump.data) - 8), "<Q", value))


def _tolerate(data: bytes) -> None:
    try:
        report = judge(data)
    except DumpError:
        return
    assert report.reason.isprintable()
    assert report.missing.isprintable()
    assert all(str(value).isprintable() for value in report.identity.details.values())


def test_text_from_the_dump_cannot_reach_the_terminal() -> None:
    report = judge(poke(make.full().data, 0xFB0, "20s", b"hung\x1b[2J\xff\n01"))
    assert report.identity.details["comment"] == r"hung\x1b[2J\xff\x0a01"


def test_a_dump_of_64_gib_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "MEMORY.DMP"
    for write in (make.write_sparse_full, make.write_sparse_bitmap):
        try:
            size = write(path, 64 << 30)
        except OSError as error:
            pytest.skip(f"no sparse file of 64 GiB here: {error}")
        tracemalloc.start()
        with DumpFile(path) as file:
            report = windows.inspect(file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report.complete, report.reason
        assert report.expected_size == size
        assert peak < 8 << 20
        path.unlink()


if sys.platform == "linux":

    @pytest.mark.parametrize(
        ("dump", "kind"),
        [
            (make.full(), "FullDump"),
            (make.bitmap(make.BITMAP_FULL), "BMPDump"),
            (make.with_blobs(make.bitmap(make.BITMAP_KERNEL)), "LiveKernelBitmapDump"),
        ],
        ids=["full", "bitmap full", "bitmap kernel"],
    )
    def test_an_independent_reader_finds_the_same_in_what_the_generator_writes(
        dump: Dump, kind: str, tmp_path: Path
    ) -> None:
        kdmp_parser = pytest.importorskip("kdmp_parser")
        path = tmp_path / "MEMORY.DMP"
        path.write_bytes(dump.data)
        theirs, ours = kdmp_parser.KernelDumpParser(path), judge(dump.data)
        assert theirs.type.name == kind
        assert ours.identity.cause is not None
        assert f"{theirs.header.BugCheckCode:#x}" == ours.identity.cause.code
        assert theirs.header.NumberProcessors == ours.identity.cpus
        assert f"Windows build {theirs.header.MinorVersion}" == ours.identity.kernel_release
        frames = [*range(0x200), *range(0x100000, 0x100010)]
        count = sum(1 for frame in frames if theirs.read_physical_page(frame * PAGE))
        assert ours.reason.startswith(f"all {count} pages are there")
