"""What a real kernel could not finish comes home, is called what it is, and the report says what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.cli.exit_codes import ExitCode
from tests.e2e.lab import GuestLab
from tests.e2e.test_collect import Collector

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FILL = """
    set -- $(stat -f -c '%f %S' /disk)
    fallocate -l $(($1 * $2 - 15000000)) /disk/fill
    sync
"""
"""Leave 5 MB of the disk, for ext4 keeps 10 to itself: enough for the log of the crash, not for the dump."""

IN_THE_MIDDLE = "in the middle of the dump"


@pytest.fixture
def collector(lab: GuestLab, tmp_path: Path) -> Iterator[Collector]:
    yield Collector(lab, tmp_path)
    if lab.ssh_reach() != "banner":
        lab.reset()
    lab.wait_ready()
    lab.run("rm -rf /disk/fill /var/crash/*; sync", timeout=120.0)


def collect(collector: Collector) -> tuple[int, str, str]:
    """Collect: the exit code, the state of the one dump, the first line of the report.

    The guest need not hang for that, and to prove a hang takes longer than the dump.
    """
    nmis = collector.lab.nmi_count()
    done = collector("collect", "guest", "--confirm", "guest", "--no-input", "--even-if-responsive")
    case = collector.case()
    states = [entry.data["state"] for entry in case.journal.entries() if entry.event == "dump.checked"]
    assert len(states) == 1, done.stdout + done.stderr
    assert collector.lab.nmi_count() == nmis + 1
    subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=case.path, check=True)
    return done.returncode, str(states[0]), (case.path / "report.md").read_text().splitlines()[0]


def collect_with_a_second_nmi(collector: Collector) -> tuple[int, str, str]:
    """The same, and once the dump is half done somebody else sends an NMI of their own."""
    lab = collector.lab
    seen = lab.count_words(IN_THE_MIDDLE)

    def second_nmi() -> None:
        lab.wait_for_words(IN_THE_MIDDLE, more_than=seen)
        lab.stray_nmi()

    with ThreadPoolExecutor() as somebody:
        nmi = somebody.submit(second_nmi)
        ended = collect(collector)
        nmi.result()
    return ended


def test_a_full_disk_in_the_guest_leaves_an_incomplete_dump(collector: Collector) -> None:
    collector.lab.run(FILL, timeout=120.0)
    code, state, first = collect(collector)
    assert (code, state) == (ExitCode.NO_DUMP, "incomplete")
    assert "a dump is home, but it is incomplete" in first
    assert "give the dump more room" in first


def test_a_makedumpfile_that_was_killed_leaves_a_truncated_dump_under_its_final_name(
    collector: Collector,
) -> None:
    collector.lab.arm_kdump("DUMP_AS=debian", "DISTURB=KILL")
    code, state, first = collect(collector)
    assert collector.lab.run("ls /var/crash/*").count("dump.2") == 1
    assert (code, state) == (ExitCode.PARTIAL, "truncated")
    assert "a dump is home, but it is truncated" in first
    assert "Keep it" in first


def test_a_second_nmi_that_the_crash_kernel_ignores_does_no_harm(collector: Collector) -> None:
    collector.lab.arm_kdump("DISTURB=NMI")
    code, state, first = collect_with_a_second_nmi(collector)
    assert (code, state) == (ExitCode.COMPLETE, "complete")
    assert "home and complete" in first
    assert "the dump calls its host db01, and the NMI went to guest" in first
    assert (
        "the claim of our NMI, by the two clocks; it was an NMI"
        in (collector.case().path / "report.md").read_text()
    )


def test_a_second_nmi_that_the_crash_kernel_panics_on_leaves_an_incomplete_dump(collector: Collector) -> None:
    collector.lab.arm_kdump("unknown_nmi_panic", "DISTURB=NMI")
    code, state, first = collect_with_a_second_nmi(collector)
    assert (code, state) == (ExitCode.NO_DUMP, "incomplete")
    assert "a dump is home, but it is incomplete" in first
    assert "Keep it" in first
