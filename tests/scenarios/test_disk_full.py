"""A file system of a few megabytes that really fills up, in a mount namespace of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces")

MOUNT = 'mount -t tmpfs -o size=24m tmpfs "$1" && shift && exec "$@"'

COPY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from collector.case.folder import CaseFolder
from collector.case.partfile import PartFile
from collector.errors import StorageError

folder = Path(sys.argv[1])
ballast = folder / "ballast"
case = CaseFolder.create(folder / "cases", "db01", datetime.now(UTC))
size = 20 * 1024 * 1024
ballast.write_bytes(bytes(8 * 1024 * 1024))


def copy():
    with PartFile.open(case, "dump/vmcore", "vmcore", size=size) as part:
        offset = part.offset
        while part.offset < size:
            part.write(b"x" * min(100_000, size - part.offset))
        return offset, part.finish()


try:
    copy()
except StorageError as error:
    print(error)
try:
    for number in range(10000):
        case.journal.append("sighting", note="x" * 3000)
except StorageError as error:
    print(error)
written = case.journal.entries()
ballast.unlink()
case.journal.append("resumed")
assert case.journal.entries()[: len(written)] == written
offset, artifact = copy()
assert offset > 0 and artifact.bytes == size
print("home", (case.path / artifact.path).stat().st_size)
"""


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(tmp_path)]
    try:
        subprocess.run([*namespace, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount namespace here: {error}")
    command = [*namespace, sys.executable, "-c", COPY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    copy, journal, home = done.stdout.splitlines()
    assert "no space left" in copy and "are missing" in copy
    assert "no space left" in journal and "journal.jsonl" in journal
    assert home == f"home {20 * 1024 * 1024}"
