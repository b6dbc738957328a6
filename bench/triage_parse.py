"""Read synthetic `!process 0 ff` text: MB/s on one core and memory.

    python bench/triage_parse.py [MEBIBYTES] [ROUNDS]

The text is in the format of a 64-bit debugger, written to a file first and read from there, in a process of
its own each round. CPU is the reader's user and system time; RSS is the peak in MiB, a bare interpreter's
included. Counting the lines in Python shows what the file and the loop alone cost.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' generator

from tests.unit.triage.generator import KERNEL_WAIT, USER_CODE, PlantedProcess, PlantedThread, Writer

MIB = 1 << 20
THREADS_OF_A_PROCESS = 20
DRIVERS = tuple(f"Driver{number}!Dispatch{number}+0x{number:x}" for number in range(500))


def write(path: Path, size: int) -> None:
    writer = Writer()
    written = number = 0
    with path.open("w", encoding="utf-8", newline="\r\n") as file:
        while written < size:
            number += 1
            text = "\n".join(writer.process(process(number))) + "\n"
            written += len(text) + text.count("\n")
            file.write(text)


def process(number: int) -> PlantedProcess:
    address, image = 0xFFFFFA80_00000000 + number * 0x10000, f"service{number % 200}.exe"
    return PlantedProcess(
        address,
        number * 4,
        image,
        threads=tuple(
            thread(number, address, image, number * THREADS_OF_A_PROCESS + place)
            for place in range(THREADS_OF_A_PROCESS)
        ),
    )


def thread(process_number: int, process_address: int, image: str, number: int) -> PlantedThread:
    drivers = tuple(DRIVERS[(number * 7 + step) % len(DRIVERS)] for step in range(8 + number % 20))
    return PlantedThread(
        0xFFFFFA81_00000000 + number * 0x400,
        process_number * 4,
        number * 4,
        process_address,
        image,
        ticks=number % 100_000,
        waits_on=((0xFFFFFA82_00000000 + number * 0x20, "SynchronizationEvent"),),
        stack=(*KERNEL_WAIT, *drivers, *USER_CODE),
    )


def ours(path: Path) -> str:
    from collector.triage.kdlog import parse
    from collector.triage.text import read_lines

    log = parse(read_lines(path))
    return f"{len(log.threads)} threads kept, {sum(log.dropped.values())} things counted only"


def lines_only(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return f"{sum(1 for _ in file)} lines"


WAYS = {"lines": lines_only, "ours": ours}


def child(way: str, path: Path) -> None:
    began = time.process_time()
    note = WAYS[way](path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.process_time() - began} {peak} {note}")


def main(size: int = 1024, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "process-0-ff.log"
        # In a process of its own: a child's peak RSS starts at that of its parent.
        subprocess.run([sys.executable, __file__, "write", str(path), str(size)], check=True)
        written = path.stat().st_size / MIB
        print(f"{written:.0f} MiB, {rounds} rounds\n{'way':<8}{'CPU s':>8}{'MiB/s':>8}{'RSS MiB':>9}")
        for way in WAYS:
            runs = [run(way, path) for _ in range(rounds)]
            cpu = statistics.median(seconds for seconds, _, _ in runs)
            peak = max(peak for _, peak, _ in runs)
            print(f"{way:<8}{cpu:8.1f}{written / cpu:8.1f}{peak:9.0f}  {runs[-1][2]}")


def run(way: str, path: Path) -> tuple[float, float, str]:
    command = [sys.executable, __file__, way, str(path)]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(None, 2)
    return float(words[0]), float(words[1]), words[2].strip()


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]) * MIB)
    elif sys.argv[1:2] and sys.argv[1] in WAYS:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        main(*(int(word) for word in sys.argv[1:]))
