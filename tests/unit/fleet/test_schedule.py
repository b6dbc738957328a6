"""The printed units, judged by the programs that would read them where they are installed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from collector.fleet.schedule import KINDS, cron, kubernetes, systemd

HOSTILE = ["/usr/bin/env", "audit", "--report", 'html:/srv/50% of $HOME "a\\b\'s"; x.html', ""]


def echo(folder: Path) -> Path:
    """A program that writes its arguments down, one to a line."""
    program = folder / "echo"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return program


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("peer missing: systemd-analyze (Debian package systemd)")
    files = []
    for name, text in systemd(HOSTILE).items():
        files.append(tmp_path / name)
        files[-1].write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *files], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


def test_systemd_quotes_what_it_would_expand() -> None:
    (line,) = [
        line for line in systemd(HOSTILE)["hang-collector-audit.service"].splitlines() if "Exec" in line
    ]
    assert line == (
        'ExecStart=/usr/bin/env audit --report "html:/srv/50%% of $$HOME \\"a\\\\b\'s\\"; x.html" ""'
    )


def test_the_verdicts_are_no_failure_of_the_service() -> None:
    assert "SuccessExitStatus=1 2 3\n" in systemd(["x"])["hang-collector-audit.service"]


@pytest.mark.skipif(sys.platform == "win32", reason="cron is for POSIX systems")
def test_cron_hands_every_argument_on_as_it_is(tmp_path: Path) -> None:
    (text,) = cron([str(echo(tmp_path)), *HOSTILE]).values()
    *when, user, command = text.split(maxsplit=6)
    assert (when, user) == (["30", "2", "*", "*", "*"], "root")
    assert "%" not in command.replace(r"\%", "")
    # crontab(5): an escaped percent sign is a percent sign to the shell
    done = subprocess.run(
        ["sh", "-c", command.replace(r"\%", "%")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "".join(f"{word}\n" for word in HOSTILE)
    assert shlex.split(command)


def test_kubernetes_reads_the_command_as_it_is() -> None:
    (text,) = kubernetes(HOSTILE).values()
    job = YAML(typ="safe").load(text)
    assert (job["kind"], job["apiVersion"]) == ("CronJob", "batch/v1")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == HOSTILE


def test_the_command_line_prints_each_file_under_its_name(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("cases: cases\nhosts: {}\n")
    script = Path(sys.executable).with_name("hang-collector")
    for kind in KINDS:
        done = subprocess.run(
            [script, "schedule", "print", kind, "--config", settings, "--", "-g", "prod"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.startswith("# hang-collector")
        assert "audit" in done.stdout
        assert "prod" in done.stdout
