"""The verdict on dumps of big machines: time and memory, beside makedumpfile on the same file.

    python bench/dump_verdict.py [ROUNDS]

Three sparse files: a Windows full dump and a Windows bitmap dump of 64 GiB, and a kdump-compressed dump with
16 million page descriptors, which holds the kernel log of a made-up machine. Each verdict runs in a process
of its own. `makedumpfile --dump-dmesg` opens the kdump file and reads its log; it looks at the descriptors of
the pages that it needs alone, and says nothing of the others. Medians; RSS is the peak in MiB, with the
interpreter and its imports. Needs 0.5 GB of disk.
"""

from __future__ import annotations

import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' generator

GIB = 1 << 30
DESCRIPTORS = 16 << 20
BLOCK = 4096
FILES = ("full.dmp", "bitmap.dmp", "vmcore")
FILLER_BYTES = 64
STEP = 1 << 20
VERDICT = """
import sys
from pathlib import Path
from collector.dump.identify import inspect
report = inspect(Path(sys.argv[1]))
sys.exit(None if report.complete else report.reason)
"""


def write_kdump(path: Path) -> None:
    """Write a dump of DESCRIPTORS pages: those of a small dump with a kernel log, and pages of nothing."""
    from collector.lab import vmcore

    log = [(float(second), f"line {second}") for second in range(100)]
    small = vmcore.kdump("db01", datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC), log, filler_pages=0)
    sub_blocks, bitmap_blocks = struct.unpack_from("<ii", small, 0x1B0)
    front = bytearray(small[: (1 + sub_blocks) * BLOCK])
    table = len(front) + bitmap_blocks * BLOCK
    bitmap = int.from_bytes(small[len(front) : len(front) + bitmap_blocks // 2 * BLOCK], "little")
    pages = [pfn for pfn in range(bitmap.bit_length()) if bitmap >> pfn & 1]

    half = DESCRIPTORS // 8
    struct.pack_into("<ii", front, 0x1B4, 2 * half // BLOCK, DESCRIPTORS)
    struct.pack_into("<Q", front, BLOCK + 0x60, DESCRIPTORS)
    start = len(front) + 2 * half
    data = start + 24 * DESCRIPTORS
    bodies = small[table + 24 * len(pages) :]
    with path.open("wb") as file:
        file.write(front + b"\xff" * (2 * half))
        for first in range(0, DESCRIPTORS, STEP):
            at = data + len(bodies) + first * FILLER_BYTES
            words = array("Q", bytes(24 * STEP))
            words[0::3] = array("Q", range(at, at + STEP * FILLER_BYTES, FILLER_BYTES))
            words[1::3] = array("Q", [FILLER_BYTES | 1 << 32]) * STEP
            file.write(words)
        for number, pfn in enumerate(pages):
            offset, *rest = struct.unpack_from("<qIIQ", small, table + 24 * number)
            file.seek(start + 24 * pfn)
            file.write(struct.pack("<qIIQ", offset - table - 24 * len(pages) + data, *rest))
        file.seek(data)
        file.write(bodies)
        file.truncate(data + len(bodies) + DESCRIPTORS * FILLER_BYTES)


def write(folder: Path) -> None:
    from tests.unit.dump import windows_generator

    windows_generator.write_sparse_full(folder / FILES[0], 64 * GIB)
    windows_generator.write_sparse_bitmap(folder / FILES[1], 64 * GIB)
    write_kdump(folder / FILES[2])


def measure(command: list[str]) -> tuple[float, float, float]:
    """Run `command`; return its wall time and CPU time in seconds, and its peak RSS in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        full, bitmap, kdump = (folder / file for file in FILES)
        # In a process of its own: a child's peak RSS starts at that of its parent.
        subprocess.run([sys.executable, __file__, "write", name], check=True)
        verdict = [sys.executable, "-c", VERDICT]
        commands = {
            "bare Python": [sys.executable, "-c", "pass"],
            "Windows full, 64 GiB": [*verdict, str(full)],
            "Windows bitmap, 64 GiB": [*verdict, str(bitmap)],
            "kdump, 16 M descriptors": [*verdict, str(kdump)],
        }
        if makedumpfile := shutil.which("makedumpfile"):
            commands["makedumpfile --dump-dmesg"] = [
                makedumpfile,
                "--dump-dmesg",
                "-f",
                str(kdump),
                f"{kdump}.log",
            ]
        results: dict[str, list[tuple[float, float, float]]] = {label: [] for label in commands}
        for _ in range(rounds):
            for label, command in commands.items():
                results[label].append(measure(command))
        print(f"{rounds} rounds, medians\n{'':28}{'wall s':>8}{'CPU s':>8}{'RSS MiB':>9}")
        for label, rows in results.items():
            wall, cpu, rss = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{label:28}{wall:8.2f}{cpu:8.2f}{rss:9.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]))
    else:
        main(*(int(word) for word in sys.argv[1:]))
