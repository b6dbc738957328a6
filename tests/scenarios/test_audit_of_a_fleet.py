"""One living, one dead and one hung host through the command line: reports, history, another try."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from collector.lab.demo import Lab, lab
from tests.scenarios.test_command_line import cli


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path / "lab") as one, socket.create_server(("127.0.0.1", 0)) as hung:
        ssh = "channels: [{type: ssh, port: %d}]"
        dead = f"  db02: {{platform: linux, address: 127.0.0.1, {ssh % 1}}}\n"
        silent = f"  db03: {{platform: linux, address: 127.0.0.1, {ssh % hung.getsockname()[1]}}}\n"
        one.settings.write_text(one.settings.read_text() + dead + silent)
        yield one


def audit(one: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    return cli(one, "audit", "--deadline", "20", *arguments)


def test_every_report_has_every_host_and_the_unanswered_are_asked_again(fleet: Lab, tmp_path: Path) -> None:
    places = {name: tmp_path / f"audit.{name}" for name in ("json", "prometheus", "junit", "html")}
    options = [word for name, place in places.items() for word in ("--report", f"{name}:{place}")]
    done = audit(fleet, "--all", "--format", "json", *options)
    assert done.returncode in (1, 2, 3), done.stderr
    shown = json.loads(done.stdout)
    assert ([row["host"] for row in shown["hosts"]], shown["answered"]) == (["db01", "db02", "db03"], 1)
    for place in places.values():
        assert all(host in place.read_text(encoding="utf-8") for host in ("db01", "db02", "db03"))
    answered = {
        sample.labels["host"]: sample.value
        for family in text_string_to_metric_families(places["prometheus"].read_text())
        for sample in family.samples
        if sample.name == "hang_collector_host_answered"
    }
    assert answered == {"db01": 1, "db02": 0, "db03": 0}
    again = audit(fleet, "--retry-from", str(places["json"]), "--format", "json")
    assert [row["host"] for row in json.loads(again.stdout)["hosts"]] == ["db02", "db03"]


def test_a_group_is_the_hosts_with_its_tag(fleet: Lab) -> None:
    text = fleet.settings.read_text().replace("db03: {", "db03: {tags: [rack1], ").replace(
        "db02: {", "db02: {tags: [rack1, prod], "
    )  # fmt: skip
    fleet.settings.write_text(text)
    for options, hosts in ((["-g", "rack1"], ["db02", "db03"]), (["--group", "prod"], ["db02"])):
        rows = json.loads(audit(fleet, *options, "--format", "json").stdout)["hosts"]
        assert [row["host"] for row in rows] == hosts
    rows = json.loads(cli(fleet, "probe", "-g", "prod", "--format", "json").stdout)["hosts"]
    assert [row["host"] for row in rows] == ["db02"]
    assert cli(fleet, "audit", "-g", "rack").returncode == ExitCode.CONFIG


def test_the_screen_of_a_fleet_is_worst_first_and_counts_who_answered(fleet: Lab) -> None:
    shown = audit(fleet, "--all").stdout
    assert "1 of 3 answered: " in shown
    assert shown.index("critical") < shown.index("db[02-03]") < shown.index("db01") < shown.index("answered")


def test_what_changed_is_shown_and_what_is_recorded_is_believed_for_a_time(fleet: Lab) -> None:
    first = audit(fleet, "db01", "--since", "last", "--changed")
    assert "verdict" in first.stdout, first.stderr
    assert "nothing changed" in audit(fleet, "db01", "--since", "last", "--changed").stdout
    fleet.host.hang()
    recorded = json.loads(audit(fleet, "--all", "--max-age", "1", "--format", "json").stdout)["hosts"]
    assert [(row["host"], bool(row["verdicts"])) for row in recorded] == [
        ("db01", True), ("db02", False), ("db03", False),
    ]  # fmt: skip
    stale = json.loads(audit(fleet, "db01", "--max-age", "0", "--format", "json").stdout)["hosts"]
    assert stale[0]["level"] == "unknown"
    assert "old" in stale[0]["reason"]


def test_too_many_failures_stop_the_rest_and_no_row_is_lost(fleet: Lab) -> None:
    text = fleet.settings.read_text()
    for number in range(10, 60):
        text += f"  db{number}: {{platform: linux, address: 127.0.0.1, channels: [{{type: ssh, port: 1}}]}}\n"
    fleet.settings.write_text(text)
    rows = json.loads(audit(fleet, "--all", "--max-failures", "5%", "--format", "json").stdout)["hosts"]
    assert len(rows) == 53
    assert any("--max-failures 5%" in row["reason"] for row in rows)


@pytest.mark.parametrize(
    "options",
    [
        (), ("db01", "--all"), ("--all", "-g", "rack1"), ("db01", "-g", "rack1"),
        ("db01", "--changed"), ("db01", "--report", "pdf:x"),
        ("db01", "--since", "1h"), ("db01", "--max-failures", "lots"),
        ("db01", "--since", "last", "--max-age", "3"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(options: tuple[str, ...]) -> None:
    assert run(["audit", *options]) == ExitCode.USAGE
