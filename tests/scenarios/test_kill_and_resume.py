"""`kill -9` at every critical line of a real run, then `resume`: never a second NMI, nothing lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.case.folder import CaseFolder, find
from collector.case.manifest import verify
from collector.cli.exit_codes import ExitCode
from collector.lab.bmc import Faults
from collector.lab.crash import Script
from collector.lab.demo import Lab, lab

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path / "lab", Script(dump_pages=8192)) as one:
        hurry(one)
        one.host.hang()
        yield one


def hurry(one: Lab) -> None:
    """Shorter rounds than the demo's: these tests look at what happens, not at how long a host is silent."""
    playbook = one.settings.parent / "playbooks" / "linux-kdump.yaml"
    text = playbook.read_text().replace("pause: 1s, deadline: 3s", "pause: 0s, deadline: 1s")
    playbook.write_text(text.replace("wait:      {deadline: 60s", "wait:      {deadline: 12s"))


def command(one: Lab, *arguments: str, die_at: str = "") -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "tests.scenarios.killed_cli", die_at] if die_at else [_script()]
    config = ["--config", str(one.settings)]
    return subprocess.run(
        [*start, *arguments, *config],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def _script() -> str:
    return str(Path(sys.executable).with_name("hang-collector"))


def the_case(one: Lab) -> CaseFolder:
    (path,) = find(one.settings.parent / "cases")
    return CaseFolder.open(path)


@pytest.mark.parametrize(
    ("moment", "nmis_when_killed", "code"),
    [
        ("before:claim", 0, ExitCode.COMPLETE),
        ("after:claim", 0, ExitCode.UNCERTAIN),
        ("before:trigger", 1, ExitCode.COMPLETE),
        ("after:trigger", 1, ExitCode.COMPLETE),
        ("after:sighting", 1, ExitCode.COMPLETE),
        ("copied:9000000", 1, ExitCode.COMPLETE),
        ("before:artifact", 0, ExitCode.COMPLETE),
        ("before:case.closed", 1, ExitCode.COMPLETE),
        ("after:case.closed", 1, ExitCode.COMPLETE),
    ],
)
def test_killed_at_any_line_it_goes_on_and_never_sends_a_second_nmi(
    running: Lab, moment: str, nmis_when_killed: int, code: ExitCode
) -> None:
    killed = command(running, "collect", "db01", "--confirm", "db01", die_at=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert running.bmc.arrived(0, 2) == nmis_when_killed
    case = the_case(running)

    resumed = command(running, "resume", str(case.path), "--confirm", "db01")
    assert resumed.returncode == code, resumed.stdout + resumed.stderr
    sent = 0 if code is ExitCode.UNCERTAIN else 1
    assert running.bmc.arrived(0, 2) == sent
    assert running.host.nmis == sent
    assert verify(case.path).ok
    claims = [entry for entry in case.journal.entries() if entry.event == "claim"]
    assert len(claims) == 1
    dumps = list(case.path.glob("data/dump/*/vmcore"))
    assert len(dumps) == sent


def test_a_copy_goes_on_from_the_last_verified_byte(running: Lab) -> None:
    command(running, "collect", "db01", "--confirm", "db01", die_at="copied:20000000")
    case = the_case(running)
    assert command(running, "resume", str(case.path)).returncode == ExitCode.COMPLETE
    copies = [entry.data for entry in case.journal.entries() if entry.event == "copy.started"]
    offsets = [copy["offset"] for copy in copies if str(copy["path"]).endswith("/vmcore")]
    assert len(offsets) == 2
    assert offsets[0] == 0
    assert int(str(offsets[1])) >= 8 * 1024 * 1024


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_says_how_to_go_on(running: Lab, stop: signal.Signals) -> None:
    running.host.script = Script(dump_seconds=4)
    process = subprocess.Popen(
        [_script(), "collect", "db01", "--confirm", "db01", "--config", str(running.settings)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not running.host.nmis and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(stop)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "resume" in stderr
    case = the_case(running)
    assert case.journal.last("interrupted") is not None
    assert command(running, "resume", str(case.path)).returncode == ExitCode.COMPLETE
    assert running.host.nmis == 1


def test_a_bmc_that_loses_every_answer_gets_one_nmi_and_the_dump_comes_home(running: Lab) -> None:
    running.bmc.faults = Faults(lose=float("inf"))
    done = command(running, "collect", "db01", "--confirm", "db01", "--format", "json")
    assert done.returncode == ExitCode.COMPLETE, done.stderr
    assert json.loads(done.stdout)["code"] == ""
    assert running.bmc.arrived(0, 2) == 1
    trigger = the_case(running).journal.last("trigger")
    assert trigger is not None
    assert trigger.data["outcome"] == "uncertain"


def test_no_secret_is_in_anything_that_is_left_behind(running: Lab) -> None:
    done = command(running, "collect", "db01", "--confirm", "db01")
    secret = (running.settings.parent / "bmc-password").read_text()
    assert done.returncode == ExitCode.COMPLETE
    assert secret not in done.stdout + done.stderr
    for file in the_case(running).path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
