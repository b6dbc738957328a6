"""What must never happen: the dump of a process that lacks its memory is called whole."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.dump import minidump, offline_windows
from collector.dump.report import Buffer, DumpFormat, DumpReport, State
from collector.errors import DumpError
from tests.unit.dump import minidump_generator as make
from tests.unit.dump.dumps import poke

USER = {
    "stacks": make.user_dump(),
    "aligned lists": make.user_dump(padding=4),
    "full memory": make.user_dump(full_memory=(500, 0, 1500)),
}
OFFLINE = make.offline()
every_user_dump = pytest.mark.parametrize("dump", USER.values(), ids=USER.keys())


def judge(data: bytes) -> DumpReport:
    return (minidump if data.startswith(b"MDMP") else offline_windows).inspect(Buffer(data))


@every_user_dump
def test_a_whole_user_dump_is_complete_and_says_which_process_it_is(dump: bytes) -> None:
    report = judge(dump)
    assert report.state is State.COMPLETE, report.reason
    assert report.format is DumpFormat.MINIDUMP
    assert report.expected_size == len(dump)
    identity = report.identity
    assert identity.crash_time == datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
    assert (identity.kernel_release, identity.architecture, identity.cpus) == (
        "Windows 10.0.20348",
        "x86_64",
        16,
    )
    assert (identity.uptime, identity.details["process"]) == (3600.0, 4242)
    assert identity.cause is not None
    assert identity.cause.code == "0xc0000005"


@every_user_dump
def test_a_user_dump_that_lacks_a_byte_is_truncated_at_every_length(dump: bytes) -> None:
    for length in range(4, len(dump)):
        report = judge(dump[:length])
        assert report.state is State.TRUNCATED, length
        assert report.missing
        assert report.expected_size is None or report.expected_size > length


def test_what_is_cut_is_named() -> None:
    assert judge(USER["full memory"][:-1]).missing == "memory"
    assert judge(USER["stacks"][:-1]).missing == "threads"
    assert judge(USER["stacks"][:300]).missing == "streams"


@pytest.mark.parametrize("record", [76, 84])  # CodeView, and the older debug record
def test_the_record_of_a_module_must_be_in_the_file(record: int) -> None:
    module = poke(bytes(108), record, "<II", 24, 100)
    assert judge(make.user_dump(more={make.MODULES: b"\1\0\0\0" + module})).complete
    module = poke(module, record + 4, "<I", 1_000_000)
    report = judge(make.user_dump(more={make.MODULES: b"\1\0\0\0" + module}))
    assert (report.state, report.missing) == (State.TRUNCATED, "modules")
    assert report.expected_size == 1_000_024


def test_memory_without_an_exception_has_no_cause_and_a_comment_is_escaped() -> None:
    dump = make.user_dump(more={make.EXCEPTION: b"", make.COMMENT: b"hung\x1b[2J\n"})
    identity = judge(dump).identity
    assert identity.cause is None
    assert identity.details["comment"] == r"hung\x1b[2J\x0a"


@pytest.mark.parametrize(
    ("offset", "form", "value", "word"),
    [
        (4, "<H", 1, "version 1"),
        (8, "<I", 0, "0 streams"),
        (8, "<I", 2**32 - 1, "4294967295 streams"),
    ],
)
def test_a_header_out_of_bounds_is_refused(offset: int, form: str, value: int, word: str) -> None:
    with pytest.raises(DumpError, match=word):
        judge(poke(USER["stacks"], offset, form, value))


@pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
def test_a_list_that_does_not_fit_its_stream_is_refused(count: int) -> None:
    dump = USER["stacks"]
    at = int.from_bytes(dump[40:44], "little")  # the first stream is the list of threads
    with pytest.raises(DumpError, match="threads in"):
        judge(poke(dump, at, "<I", count))


def test_a_whole_offline_dump_is_complete_and_says_which_system_it_is() -> None:
    report = judge(OFFLINE)
    assert report.state is State.COMPLETE, report.reason
    assert report.format is DumpFormat.OFFLINE_WINDOWS
    assert report.expected_size == len(OFFLINE)
    identity = report.identity
    assert (identity.architecture, identity.cpus, identity.memory) == ("aarch64", 8, 12288)
    assert identity.details["platform"] == "ACME X1"


def test_an_offline_dump_that_lacks_a_byte_is_truncated() -> None:
    for length in {*range(8, 400), *range(400, len(OFFLINE), 97), len(OFFLINE) - 1}:
        assert judge(OFFLINE[:length]).state is State.TRUNCATED, length
    assert judge(OFFLINE[:-1]).missing == "sections DDR1"
    assert judge(OFFLINE + bytes(5000)).complete  # the rest of the partition


def test_an_offline_dump_that_the_firmware_did_not_finish_is_incomplete() -> None:
    report = judge(make.offline(flags=make.INSUFFICIENT, section_flags=(1, 1, 1, 2), required=1 << 30))
    assert (report.state, report.missing) == (State.INCOMPLETE, "sections DDR1")
    assert "1073741824 bytes are needed" in report.reason
    assert judge(make.offline(flags=0)).state is State.INCOMPLETE
    report = judge(make.offline(section_flags=(1, 1, 0, 1)))
    assert (report.state, report.missing) == (State.INCOMPLETE, "sections DDR0")


def test_an_encrypted_offline_dump_is_encrypted() -> None:
    assert judge(b"Enc_Dmp!" + bytes(4096)).state is State.ENCRYPTED


@pytest.mark.parametrize("count", [0, 2**32 - 1])
def test_an_offline_dump_with_a_table_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(DumpError, match=f"{count} sections"):
        judge(poke(OFFLINE, 52, "<I", count))


@settings(max_examples=300)
@given(
    dump=st.sampled_from([*USER.values(), OFFLINE]),
    offset=st.integers(4, 700),
    value=st.sampled_from([0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]),
    garbage=st.binary(max_size=20),
)
def test_damage_raises_nothing_but_dump_error(dump: bytes, offset: int, value: int, garbage: bytes) -> None:
    damaged = bytearray(poke(dump, 8 + offset % (len(dump) - 16), "<Q", value))
    damaged[8 + offset // 2 : 8 + offset // 2 + len(garbage)] = garbage
    try:
        report = judge(bytes(damaged))
    except DumpError:
        return
    assert report.reason.isprintable()
    assert report.missing.isprintable()
    assert all(str(value).isprintable() for value in report.identity.details.values())


def test_a_list_that_promises_gigabytes_costs_no_memory() -> None:
    dump = USER["full memory"]
    directory = dump[32 : 32 + 12 * 6]
    entry = next(n for n in range(6) if directory[12 * n] == make.MEMORY_64)
    at = int.from_bytes(directory[12 * entry + 8 : 12 * entry + 12], "little")
    dump = poke(poke(dump, at, "<Q", 2**28 - 1), 32 + 12 * entry + 4, "<I", 2**32 - 16)
    tracemalloc.start()
    report = judge(dump)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.state is State.TRUNCATED
    assert peak < 8 << 20


@pytest.mark.parametrize("name", ["stacks", "full memory"])  # it does not know of aligned lists
def test_an_independent_reader_finds_the_same_in_what_the_generator_writes(name: str, tmp_path: Path) -> None:
    minidumpfile = pytest.importorskip("minidump.minidumpfile")
    path = tmp_path / "process.dmp"
    path.write_bytes(USER[name])
    theirs, ours = minidumpfile.MinidumpFile.parse(str(path)), judge(USER[name])
    theirs.file_handle.close()
    assert len(theirs.directories) == int(ours.reason.split()[1])
    assert theirs.sysinfo.BuildNumber == 20348
    assert theirs.sysinfo.NumberOfProcessors == ours.identity.cpus
    assert theirs.misc_info.ProcessId == ours.identity.details["process"]
    assert [segment.size for segment in theirs.memory_segments.memory_segments] == [200]
    if name == "full memory":
        last = theirs.memory_segments_64.memory_segments[-1]
        assert last.start_file_address + last.size == ours.expected_size
