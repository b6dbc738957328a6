"""The audit against the lab's server and BMC, over SSH and IPMI, and against hosts that do not answer."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.checks.preflight import nmi_panics
from collector.cli.app import run
from collector.cli.shared import settings
from collector.facts import store
from collector.lab.demo import Lab, lab
from collector.model.audit import HostAudit, Link
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.run.audit import audit


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path / "lab") as running:
        yield running


def change(house: Lab, path: str, text: str) -> None:
    house.host.tree.put(path, text.encode(), time.time())


def audited(house: Lab, *, seconds: float = 30.0) -> HostAudit:
    known = settings(house.settings)
    return audit(
        known.hosts["db01"], Connections(known.credentials, print), known.cases, Deadline.after(seconds)
    )


def command(house: Lab, *arguments: str) -> int:
    return run(["audit", *arguments, "--config", str(house.settings)])


def test_a_host_that_would_dump_is_ok_in_every_link(house: Lab) -> None:
    found = audited(house)
    assert found.level is Level.OK, found.reason
    assert {link.level for link in found.links} == {Level.OK}
    assert found.estimate is not None
    assert [step.outcome for step in found.gathered] == [Outcome.SUCCESS, Outcome.SUCCESS]
    assert house.host.nmis == 0


@pytest.mark.parametrize(
    ("path", "text", "link", "check"),
    [
        ("/sys/kernel/kexec_crash_loaded", "0\n", Link.CAPTURE, "KD-1"),
        ("/proc/mounts", "/dev/mapper/rhel-root / xfs ro,relatime 0 0\n", Link.FITS, "TG-3"),
        ("/sys/module/ipmi_watchdog/parameters/preop", "preop_none\n", Link.CRASH, "NMI-9"),
    ],
)
def test_one_fault_is_the_weakest_link(house: Lab, path: str, text: str, link: Link, check: str) -> None:
    change(house, "/sys/module/ipmi_watchdog/parameters/preaction", "pre_nmi\n")
    change(house, "/sys/module/ipmi_watchdog/parameters/preop", "preop_panic\n")
    change(house, path, text)
    found = audited(house)
    assert found.level is Level.CRITICAL
    assert found.reason.startswith(f"{link}: ")
    assert f"({check})" in found.reason


def test_what_was_read_is_there_in_the_night_when_the_host_is_silent(house: Lab) -> None:
    found = audited(house)
    facts = store.recorded(settings(house.settings).cases, "db01")
    assert nmi_panics(facts, found.time).level is Level.OK


def test_a_host_that_hangs_is_a_row_of_unknown_before_its_deadline(house: Lab) -> None:
    house.host.hang()
    started = time.monotonic()
    found = audited(house, seconds=3)
    assert time.monotonic() - started < 20
    assert found.level is Level.UNKNOWN
    levels = {link.link: link.level for link in found.links}
    assert levels[Link.TRIGGER] is Level.OK
    assert levels[Link.CAPTURE] is Level.UNKNOWN


def test_a_host_that_accepts_and_never_answers_is_a_row(tmp_path: Path, house: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = house.settings.read_text()
        port = silent.getsockname()[1]
        moved = tmp_path / "lab" / "silent.yaml"
        moved.write_text(re.sub(r"port: \d+(?=, credential: root)", f"port: {port}", text))
        known = settings(moved)
        connections = Connections(known.credentials, print)
        found = audit(known.hosts["db01"], connections, known.cases, Deadline.after(3))
    assert found.level is Level.UNKNOWN
    assert found.gathered[-1].outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE)


def test_terminal_escapes_of_a_host_stay_out_of_the_terminal(
    house: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    change(house, "/etc/kdump.conf", "path /var/\x1b[2J\x1b]0;owned\x07crash\n")
    for form in ("table", "nagios"):
        command(house, "db01", "--format", form)
        shown = capsys.readouterr().out
        assert "\x1b[2J" not in shown
        assert "\x07" not in shown


def test_a_plugin_says_one_line_with_figures_and_ends_with_its_level(
    house: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(house, "--all", "--format", "nagios") == 0
    line = capsys.readouterr().out
    assert re.fullmatch(r"OK - db01: [^|\n]+ \| ok=\d+;;;0;\d+ warning=0;0;;0;\d+ .*dump_time=\d+s\n", line)
    change(house, "/sys/kernel/kexec_crash_loaded", "0\n")
    assert command(house, "db01", "-f", "nagios") == 2
    assert capsys.readouterr().out.startswith("CRITICAL - db01: capture armed: no capture kernel is loaded")
    change(house, "/sys/kernel/kexec_crash_loaded", "1\n")
    change(house, "/proc/sys/kernel/panic_on_io_nmi", "0\n")
    assert command(house, "db01", "--format=nagios") == 1


@pytest.mark.parametrize("wrong", [["nobody"], ["db01", "--bogus"], ["db01", "--all"], []])
def test_a_plugin_that_was_called_wrongly_is_unknown(
    house: Lab, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(house, *wrong, "--format", "nagios") == 3
    said = capsys.readouterr().out
    assert said.startswith("UNKNOWN - ")
    assert said.count("\n") == 1


def test_the_other_formats_keep_the_other_exit_codes(house: Lab) -> None:
    assert command(house, "nobody") == 65
    assert command(house, "db01", "--bogus") == 64
    assert command(house, "db01", "--format", "xml") == 64


def test_the_table_shows_the_chain_first_and_what_to_do_last(
    house: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    change(house, "/sys/kernel/kexec_crash_loaded", "0\n")
    assert command(house, "db01") == 2
    shown = capsys.readouterr().out
    assert shown.index("trigger path") < shown.index("NMI-9") < shown.index("Install kdump")


def test_the_commands_are_printed_and_end_with_one_reboot(
    house: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    change(house, "/sys/kernel/kexec_crash_loaded", "0\n")
    change(house, "/sys/kernel/kexec_crash_size", "0\n")
    change(house, "/proc/cmdline", "ro quiet\n")
    assert command(house, "db01", "--remedy", "sh") == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# db01 (linux): critical"
    assert any("grubby" in line for line in lines)
    assert [line for line in lines if line.startswith("reboot")] == ["reboot"]


def test_the_result_is_there_for_scripts_and_in_files(
    house: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "audit.html"
    assert command(house, "db01", "--format", "json", "--report", f"html:{page}") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hang-collector/audit/1"
    assert [row["host"] for row in document["hosts"]] == ["db01"]
    assert "db01" in page.read_text()
    assert command(house, "db01", "--report", "pdf:x") == 64
