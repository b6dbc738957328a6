"""The kernel log out of a dump: every record, in order, and nothing that a hostile dump could do with it."""

from __future__ import annotations

import contextlib
import importlib
import struct
import sys
import time
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.dump import compression, printk
from collector.dump.first_look import look
from collector.dump.flattened import Stream
from collector.dump.identify import inspect_source
from collector.dump.memory import kernel
from collector.dump.report import Buffer, Cause, State
from collector.errors import DumpError
from collector.lab import vmcore
from tests.unit.dump import ring
from tests.unit.dump.dumps import flattened, poke

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

CRASHED = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
LOG = [
    (0.0, "Linux version 4.18.0"),
    (0.0, "Command line: root=/dev/sda1 crashkernel=256M"),
    (80.5, "INFO: task postgres:2741 blocked for more than 120 seconds."),
    (86.25, "Kernel panic - not syncing: NMI: Not continuing"),
]


def texts(dump: bytes) -> list[str]:
    return [record.text for record in look(Buffer(dump)).log]


def lab_dump() -> bytes:
    return vmcore.kdump("db01", CRASHED, LOG, filler_pages=2)


@pytest.mark.parametrize("flat", [False, True])
def test_the_plain_records_of_an_older_kernel_are_read(flat: bool) -> None:
    found = look(Buffer(flattened(lab_dump()) if flat else lab_dump()))
    assert [record.text for record in found.log] == [text for _, text in LOG]
    assert [str(record) for record in found.log][-1] == (
        "[   86.250000] Kernel panic - not syncing: NMI: Not continuing"
    )
    assert found.command_line == "root=/dev/sda1 crashkernel=256M"
    assert [line.split("] ")[1] for line in found.telling] == [LOG[2][1], LOG[3][1]]
    assert found.cause == Cause(
        "panic", "NMI: Not continuing (an NMI arrived, and the kernel is set to panic on one)", nmi=True
    )
    assert found.uptime == 86.25


def test_a_log_without_a_panic_has_no_cause() -> None:
    assert look(Buffer(vmcore.kdump("db01", CRASHED, LOG[:2], filler_pages=0))).cause is None


@pytest.mark.parametrize(
    ("dump", "hostname"),
    [
        (ring.core([b"text"], hostname=b"db01"), "db01"),
        (ring.core([b"text"], hostname=b"\x1b[2J"), r"\x1b[2J"),
        (ring.core([b"text"]), None),
        (ring.core([b"text"], hostname=b"db01", info=ring.INFO.replace("uts_namespace", "other")), None),
        (lab_dump(), None),
    ],
)
def test_a_dump_without_a_host_in_its_headers_names_it_in_its_memory(
    dump: bytes, hostname: str | None
) -> None:
    assert look(Buffer(dump)).hostname == hostname


@pytest.mark.parametrize(
    ("words", "nmi"),
    [
        ("NMI IOCK error: Not continuing", True),
        ("An NMI occurred. Depending on your system the reason is logged", True),
        ("hung_task: blocked tasks", False),
        ("sysrq triggered crash", False),
    ],
)
def test_a_panic_on_an_nmi_is_told_from_others(words: str, nmi: bool) -> None:
    log = [(1.0, f"Kernel panic - not syncing: {words}")]
    cause = look(Buffer(vmcore.kdump("db01", CRASHED, log, filler_pages=0))).cause
    assert cause is not None
    assert cause.nmi is nmi


def test_the_ring_of_a_newer_kernel_is_read() -> None:
    assert texts(ring.core([b"one", b"", b"three\nlines\nlong"])) == ["one", "", "three\nlines\nlong"]


def test_the_lines_of_one_record_stand_below_each_other() -> None:
    (record,) = look(Buffer(ring.core([b"a\nb"]))).log
    assert str(record) == "[    0.000000] a\n" + " " * 15 + "b"


@pytest.mark.parametrize("room", range(8, 49, 8))
def test_a_text_that_would_wrap_lies_at_the_start_of_the_ring(room: int) -> None:
    begin = (5 << ring.TEXT_BITS) - room
    assert texts(ring.core([b"x" * 24, b"y" * 24], begin=begin)) == ["x" * 24, "y" * 24]


def test_more_records_than_the_ring_holds_are_never_read() -> None:
    dump = ring.core([b"text"] * 16)
    assert len(texts(dump)) == 16
    oldest = dump.index(struct.pack("<QQ", (1 << 40) + 15, 1 << 40)) + 8
    assert len(texts(poke(dump, oldest, "<Q", 1))) == 16


def test_of_a_log_that_is_too_long_the_newest_records_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printk, "_MOST_TEXT", 250)
    for dump, newest in (
        (ring.core([b"%d" % number for number in range(16)]), ["13", "14", "15"]),
        (lab_dump(), [text for _, text in LOG[-2:]]),
    ):
        found = look(Buffer(dump))
        assert ([record.text for record in found.log], found.whole) == (newest, False)


def hostile_ring() -> bytes:
    """A ring that promises 2^26 records, each of them the same one."""
    info = ring.INFO.replace("SIZE(prb_desc)=24", "SIZE(prb_desc)=00")
    dump = ring.core([b""], info=info.replace("SIZE(printk_info)=88", "SIZE(printk_info)=00"))
    memory = len(dump) - 7 * 4096
    dump = poke(dump, memory + ring.RING - ring.BASE + 16, "<I", 26)
    return poke(dump, memory + ring.RING - ring.BASE + 40, "<Q", (1 << 40) + (1 << 26))


def test_a_ring_that_promises_millions_of_records_costs_no_more_time_than_allowed() -> None:
    started = time.monotonic()
    log = printk.read(kernel(Buffer(hostile_ring())), seconds=0.2)
    assert time.monotonic() - started < 10
    assert not log.whole


@pytest.mark.parametrize("state", [0, ring.REUSABLE])
def test_a_record_that_is_being_written_or_reused_is_left_out(state: int) -> None:
    assert texts(ring.core([b"one", b"two", b"three"], states={1: state, 2: ring.COMMITTED})) == [
        "one",
        "three",
    ]


def test_a_log_cannot_act_on_a_terminal() -> None:
    assert texts(ring.core([b"\x1b[2J\xff\x07"])) == [r"\x1b[2J\xff\x07"]


@pytest.mark.parametrize(
    "missing", ["SYMBOL(init_top_pgt)", "OFFSET(printk_info.text_len)", "SIZE(prb_desc)"]
)
def test_what_vmcoreinfo_does_not_say_is_named(missing: str) -> None:
    lines = [line for line in ring.INFO.splitlines() if not line.startswith(missing)]
    with pytest.raises(DumpError, match=missing.replace("(", r"\(").replace(")", r"\)")):
        texts(ring.core([b"one"], info="\n".join(lines) + "\n"))


def test_a_page_that_is_not_in_the_dump_is_named_by_its_address() -> None:
    dump = lab_dump()
    with pytest.raises(DumpError, match="does not hold the memory at 0x"):
        texts(dump[: len(dump) * 9 // 10].ljust(len(dump) - 9000, b"\0")[: len(dump) - 12000])


@settings(max_examples=150)
@given(
    dump=st.sampled_from([lab_dump(), flattened(lab_dump()), ring.core([b"one", b"two"])]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=12)), max_size=8
    ),
    length=st.floats(0, 1),
)
def test_damage_raises_nothing_but_dump_error(
    dump: bytes, changes: list[tuple[float, bytes]], length: float
) -> None:
    damaged = bytearray(dump)
    for place, garbage in changes:
        at = int(place * len(dump))
        damaged[at : at + len(garbage)] = garbage
    try:
        look(Buffer(bytes(damaged[: int(length * len(dump)) + 4096])))
    except DumpError as error:
        assert error.message.isprintable()


@given(flags=st.sampled_from([1, 2, 4, 32]), packed=st.binary(max_size=300))
def test_no_page_unpacks_to_more_than_a_page(flags: int, packed: bytes) -> None:
    with contextlib.suppress(DumpError):
        assert len(compression.unpack(flags, packed, 4096)) == 4096


SNAPPY = (
    b"\x80\x20"  # 4096 bytes
    b"\x08abc"  # three literals
    b"\x01\x03"  # four bytes from three before: abca
    b"\x06\x07\x00"  # two bytes from seven before: ab
    b"\x07\x02\x00\x00\x00"  # two bytes from two before
    b"\xf4\xf4\x0f"  # 4085 literals
)


def test_a_snappy_page_is_unpacked() -> None:
    literals = bytes(range(250)) * 16 + bytes(85)
    page = compression.unpack(compression.SNAPPY, SNAPPY + literals, 4096)
    assert page[:11] == b"abcabcaabab"
    assert page[11:] == literals


def lzo_literals(data: bytes) -> bytes:
    """A first instruction that copies these bytes: a run whose length goes on in zeros of 255 each."""
    zeros, last = divmod(len(data) - 18, 255)
    return bytes(1 + zeros) + bytes((last,)) + data


@pytest.mark.parametrize(
    ("literals", "matches", "tail"),
    [
        (2049, b"\x01\x00z" + b"\x04\x00", "abcz" + "cz"),  # 3 bytes from afar after a run; 2 bytes after one
        (100, b"\x20\x00\x00\x05\x00\x00", None),  # a match whose length goes on in two bytes of 255
        (20, b"\x5c\x00" + b"\xe0\x00", None),  # 3 bytes from 8 before; 8 bytes from 1 before
        (16385, b"\x11\x04\x00", "abc"),  # 3 bytes from 16,385 before
        (40_000, b"\x19\x04\x00", None),  # and from 32,769 before
    ],
)
def test_an_lzo_page_is_unpacked(literals: int, matches: bytes, tail: str | None) -> None:
    data = (b"abcdefghijklmnopqrstuvwxyz" * 2000)[:literals]
    wanted = {
        100: data + data[-1:] * (2 + 31 + 2 * 255 + 5),
        20: data + data[-8:-5] + data[-6:-5] * 8,
        40_000: data + data[40_000 - 32_769 :][:3],
    }.get(literals, data + (tail or "").encode())
    packed = lzo_literals(data) + matches + b"\x11\0\0"
    assert compression.unpack(compression.LZO, packed, len(wanted)) == wanted
    with pytest.raises(DumpError):
        compression.unpack(compression.LZO, packed, len(wanted) - 1)


def test_a_descriptor_that_belongs_to_another_record_is_left_out() -> None:
    dump = ring.core([b"one", b"two"])
    other = dump.index(struct.pack("<Q", ring.FINALIZED << 62 | (1 << 40) + 1))
    assert texts(poke(dump, other, "<Q", ring.FINALIZED << 62 | (1 << 40) + 17)) == ["one"]


def test_of_two_records_that_overlap_the_later_counts() -> None:
    stream = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(4096, b"\0")
    for offset, data in ((4, b"cdef"), (2, b"XY"), (0, b"abc"), (20, b"z")):
        stream += struct.pack(">qq", offset, len(data)) + data
    inner = Stream(Buffer(stream + b"\xff" * 16))
    assert inner.read(0, 100) == b"abcYcdef" + bytes(12) + b"z"
    assert [inner.read(at, 1) for at in (3, 20, 21)] == [b"Y", b"z", b""]


def test_zlib_that_unpacks_to_gigabytes_costs_a_page() -> None:
    with pytest.raises(DumpError):
        compression.unpack(compression.ZLIB, zlib.compress(bytes(100))[:-4], 4096)
    assert compression.unpack(compression.ZLIB, zlib.compress(bytes(1 << 20)), 4096) == bytes(4096)


def zstd_dump() -> bytes:
    """The lab's dump with every page packed anew, as `makedumpfile -z` does it."""
    dump = lab_dump()
    sub_blocks, bitmap_blocks = struct.unpack_from("<ii", dump, 0x1B0)
    table = (1 + sub_blocks + bitmap_blocks) * 4096
    (data,) = struct.unpack_from("<q", dump, table)
    front, pages = bytearray(dump[:data]), b""
    struct.pack_into("<I", front, 0x1A8, compression.ZSTD)
    for at in range(table, data, 24):
        offset, size, flags, page_flags = struct.unpack_from("<qIIQ", dump, at)
        page = compression.unpack(flags, dump[offset : offset + size], 4096)
        packed, flags = zstd.compress(page, level=1), compression.ZSTD
        if len(packed) >= len(page):
            packed, flags = page, 0
        struct.pack_into("<qIIQ", front, at, data + len(pages), len(packed), flags, page_flags)
        pages += packed
    return bytes(front) + pages


def test_a_dump_whose_pages_are_packed_with_zstd_is_whole_and_its_log_is_read() -> None:
    dump = zstd_dump()
    report = inspect_source(Buffer(dump))
    assert (report.state, report.identity.details["compression"]) == (State.COMPLETE, "zstd")
    assert texts(dump) == texts(lab_dump())


def test_a_python_that_cannot_read_zstd_says_which_extra_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    assert inspect_source(Buffer(zstd_dump())).complete
    with pytest.raises(DumpError) as refused:
        look(Buffer(zstd_dump()))
    assert "hang-collector[dump]" in refused.value.hint


@pytest.mark.parametrize(("window", "refused"), [(10, False), (14, True)])
def test_zstd_that_asks_for_more_memory_than_a_page_can_need_is_refused(window: int, refused: bool) -> None:
    # RFC 8878, section 3.1.1: no content size, a window of 2^(10 + window), one block of 4096 equal bytes.
    frame = b"\x28\xb5\x2f\xfd\0" + bytes((window << 3,)) + b"\x03\x80\0" + b"x"
    assert zstd.decompress(frame) == b"x" * 4096
    with pytest.raises(DumpError, match="damaged") if refused else contextlib.nullcontext():
        assert compression.unpack(compression.ZSTD, frame, 4096) == b"x" * 4096
