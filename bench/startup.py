"""Start-up beside the peers: `--version` against a bare Python, `--help` against an empty Typer app.

    python bench/startup.py [ROUNDS]

Rounds are interleaved, so that a noisy machine is noisy for both. Target: `--version` at most 1.5 times
`python -c pass`, `--help` at most 1.3 times an empty Typer app with as many commands.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(sys.executable).with_name("hang-collector")


def empty_app(folder: Path) -> Path:
    """A Typer app with as many top level commands as ours, and nothing in them."""
    from collector.cli.app import app

    count = len(app.registered_commands) + len(app.registered_groups)
    lines = ["#!" + sys.executable, "import typer", "app = typer.Typer(pretty_exceptions_enable=False)"]
    for number in range(count):
        lines += ["@app.command()", f"def command{number}() -> None:", '    """Do nothing at all."""']
    path = folder / "empty_app.py"
    path.write_text("\n".join([*lines, "app()", ""]))
    return path


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print the medians and the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "hang-collector --version": [str(SCRIPT), "--version"],
            "empty Typer app --help": [sys.executable, str(empty_app(Path(folder))), "--help"],
            "hang-collector --help": [str(SCRIPT), "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                times[name].append(seconds(command))
    median = {name: statistics.median(each) for name, each in times.items()}
    for name, value in median.items():
        print(f"{name:28} {value * 1000:7.1f} ms")
    for ours, peer in (
        ("hang-collector --version", "python -c pass"),
        ("hang-collector --help", "empty Typer app --help"),
    ):
        print(f"{ours} / {peer}: {median[ours] / median[peer]:.2f}")


if __name__ == "__main__":
    main()
