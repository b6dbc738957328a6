"""The triage of a Linux dump, beside `crash` doing ps, log and bt -a on the same file.

    python bench/triage_vmcore.py VMCORE [VMLINUX] [ROUNDS]

A dump to try it on is what `tests/e2e` takes of its guest. Ours needs the dump alone. `crash` refuses to
start without the vmlinux of the kernel's debug package, so it runs only when that is named; on Debian:
`apt-get download linux-image-VERSION-dbg`. Every round runs both, each in a process of its own; medians in
seconds, RSS is the peak in MiB with the interpreter. Beside them, how many tasks each has listed: who sees
fewer has less to do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

OURS = "from collector.cli import main; main()"
CRASH_COMMANDS = b"ps\nlog\nbt -a\nquit\n"


def run(command: list[str], stdin: bytes) -> tuple[float, float, int, bytes]:
    """Seconds, peak MiB, exit status and output of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(stdin)
    process.stdin.close()
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - started, usage.ru_maxrss / 1024, process.returncode, output


def tasks(output: bytes) -> int:
    """How many tasks a tool has listed: ours in its JSON, crash by the rows of ps."""
    if output.startswith(b"{"):
        return len(json.loads(output)["tasks"])
    return len(re.findall(rb"(?m)^>? +\d+ +\d+ +\d+ +[0-9a-f]{16} ", output))


def main() -> None:
    words = sys.argv[1:]
    rounds = int(words.pop()) if words and words[-1].isdecimal() else 5
    if not words:
        sys.exit(__doc__)
    vmcore, *vmlinux = words
    ours = [sys.executable, "-c", OURS, "triage", vmcore, "--format", "json"]
    commands = {"hang-collector triage": (ours, b"")}
    if vmlinux and (crash := shutil.which("crash")):
        commands["crash: ps, log, bt -a"] = ([crash, "-s", *vmlinux, vmcore], CRASH_COMMANDS)
    else:
        print("crash: not run, it needs the vmlinux of the kernel's debug package")

    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    listed = dict.fromkeys(commands, 0)
    for _ in range(rounds):
        for name, (command, stdin) in commands.items():
            seconds, peak, status, output = run(command, stdin)
            if status != 0:
                sys.exit(f"{name} failed with {status}: {output[-400:].decode(errors='replace')}")
            taken[name].append((seconds, peak))
            listed[name] = tasks(output)
    print(f"{Path(vmcore).stat().st_size / (1 << 20):.1f} MiB, medians of {rounds}")
    for name, rows in taken.items():
        seconds, peak = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:24} {seconds:6.2f} s {peak:6.0f} MiB {listed[name]:5} tasks")


if __name__ == "__main__":
    main()
