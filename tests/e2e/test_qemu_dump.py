"""What QEMU writes of a kernel that runs is read as it is, and mended for makedumpfile."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from collector.dump.report import DumpFormat, State
from collector.run.inspect import inspect_file
from collector.run.repair import repair_file
from tests.e2e.lab import GuestLab
from tests.peers.server import tool

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def dump_dmesg(dump: Path) -> subprocess.CompletedProcess[bytes]:
    makedumpfile = tool("makedumpfile", package="makedumpfile")
    command = [makedumpfile, "--dump-dmesg", "-f", str(dump), str(dump.with_suffix(".log"))]
    return subprocess.run(command, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize(("kind", "read"), [("elf", DumpFormat.ELF), ("kdump-zlib", DumpFormat.FLATTENED)])
def test_a_dump_of_a_running_kernel_by_qemu(
    lab: GuestLab, tmp_path: Path, kind: str, read: DumpFormat
) -> None:
    lab.run("echo 'this very line' > /dev/kmsg")
    dump = lab.dump_memory(tmp_path / "dump", kind)
    before = dump.stat()

    found = inspect_file(dump)
    report = found.verdict.report
    assert (report.format, report.state) == (read, State.COMPLETE), report.reason
    assert (report.identity.hostname, report.identity.cause) == ("db01", None)
    assert found.look is not None
    assert found.look.log[-1].text == "this very line"

    assert dump_dmesg(dump).returncode != 0
    mended = tmp_path / "mended"
    assert repair_file(dump, mended)
    assert (dump.stat().st_size, dump.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    done = dump_dmesg(mended)
    assert done.returncode == 0, done.stderr[-500:] + done.stdout[-500:]
    ours = [str(record) for record in found.look.log]
    assert mended.with_suffix(".log").read_text(errors="replace").splitlines() == ours
