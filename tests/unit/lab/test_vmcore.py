"""The lab's vmcore is read back by the product's own readers; tests/peers lets real tools read it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.dump.identify import inspect
from collector.dump.report import DumpFormat
from collector.lab import vmcore

CRASHED = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)


@pytest.mark.parametrize("flat", [False, True])
def test_it_is_whole_and_of_this_crash(tmp_path: Path, flat: bool) -> None:
    dump = vmcore.kdump("db01", CRASHED, [(1.5, "hello")], filler_pages=20)
    path = tmp_path / "vmcore"
    path.write_bytes(vmcore.flattened(dump) if flat else dump)
    report = inspect(path)
    assert report.complete, report.reason
    assert report.format == (DumpFormat.FLATTENED if flat else DumpFormat.KDUMP)
    of = report.identity
    assert (of.hostname, of.kernel_release, of.crash_time) == ("db01", vmcore.RELEASE, CRASHED)


def test_filler_pages_give_the_file_its_size() -> None:
    small, large = (len(vmcore.kdump("db01", CRASHED, [], filler_pages=n)) for n in (0, 100))
    assert large - small == pytest.approx(100 * 4096, rel=0.01)


def test_a_log_that_is_too_long_is_cut_and_the_dump_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(vmcore.kdump("d" * 200, CRASHED, [(0.0, "x" * 5000)] * 1000, filler_pages=0))
    report = inspect(path)
    assert report.complete
    assert report.identity.hostname == "d" * 64


def test_a_size_beyond_the_made_up_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="filler_pages"):
        vmcore.kdump("db01", CRASHED, [], filler_pages=10**9)
