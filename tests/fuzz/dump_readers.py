"""Fuzz every dump reader with atheris: no input may end in anything but a report or a `DumpError`.

    pip install hang-collector[fuzz]
    python tests/fuzz/dump_readers.py [-max_total_time=600] [FOLDER]

The inputs start from a small dump of every format. FOLDER keeps what reached new code; libFuzzer's options
work as usual. An input that takes more than 5 seconds, or 256 MiB of memory, is a finding as well.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["collector.dump"]):
    from collector.dump.first_look import look
    from collector.dump.identify import glance, inspect_source
    from collector.dump.report import Buffer

from collector.errors import DumpError
from collector.lab import vmcore
from tests.unit.dump import dumps, minidump_generator, ring, vmware_generator, windows_generator


def seeds() -> list[bytes]:
    """A small dump of every format and type."""
    windows = [
        make
        for bits in (32, 64)
        for make in (
            windows_generator.full(bits),
            windows_generator.bitmap(bits=bits),
            windows_generator.summary(bits),
            windows_generator.with_blobs(windows_generator.triage(bits)),
        )
    ]
    return [
        *(dump.data for dump in windows),
        *(dumps.kdump(order) for order in "<>"),
        *(dumps.elf(order) for order in "<>"),
        dumps.flattened(dumps.kdump()),
        vmcore.kdump("db01", datetime(2026, 11, 21, tzinfo=UTC), [(1.5, "a line")], filler_pages=0),
        ring.core([b"one", b"two"], hostname=b"db01"),
        minidump_generator.user_dump(full_memory=(100,)),
        minidump_generator.offline(),
        vmware_generator.checkpoint()[0],
    ]


def one_input(data: bytes) -> None:
    """Read `data` as a dump, both ways, and its kernel log."""
    for read in (inspect_source, glance):
        try:
            report = read(Buffer(data))
        except DumpError:
            continue
        assert report.reason.isprintable()
        assert report.missing.isprintable()
    with contextlib.suppress(DumpError):
        look(Buffer(data), seconds=1)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        for number, seed in enumerate(seeds()):
            Path(name, str(number)).write_bytes(seed)
        folders = [word for word in sys.argv[1:] if not word.startswith("-")] or [tempfile.mkdtemp()]
        options = [word for word in sys.argv[1:] if word.startswith("-")]
        limits = ["-timeout=5", "-rss_limit_mb=256", "-max_len=65536"]
        atheris.Setup([sys.argv[0], *limits, *options, *folders, name], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
