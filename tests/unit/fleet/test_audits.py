"""The audit of many hosts: a scripted fleet goes in, and as many rows come out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from collector.adapters.fake import MACHINES, FakeEndpoint, FakeMachine, Life, Script
from collector.adapters.registry import Connections
from collector.adapters.ssh import SshEndpoint
from collector.errors import InventoryError
from collector.fleet.audits import audit_all, recorded, unanswered
from collector.fleet.failures import MaxFailures
from collector.fleet.local import LocalEngine
from collector.model.host import Host, Platform
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.probe.observation import Observation, Reach, Target
from collector.render.reports import Report
from tests.unit.fleet.audits import MIDNIGHT, audit


def silent(targets: Sequence[Target], _seconds: float) -> list[Observation]:
    return [Observation(t.protocol, t.address, t.port, Reach.SILENT, 3.5, {}) for t in targets]


def machine(folder: Path, name: str, script: Script, life: Life = Life.RUNNING) -> Host:
    key = f"{folder}/{name}"
    MACHINES[key] = FakeMachine(name, script, life)
    endpoint = FakeEndpoint(machine=key, address=name)
    # Only the controller of the scripted machine refuses logins.
    channels = () if script.refuse_login else (endpoint,)
    return Host(name, Platform.LINUX, "192.0.2.10", (endpoint,), channels)


def test_every_host_is_one_row_the_dead_too(tmp_path: Path) -> None:
    hosts = [
        machine(tmp_path, "db01", Script()),
        machine(tmp_path, "db02", Script(refuse_login=True)),
        Host("db03", Platform.LINUX, "192.0.2.3", (), (SshEndpoint(address="192.0.2.3"),)),
        Host("db04", Platform.LINUX, "192.0.2.4"),
    ]
    connections = Connections({}, print)
    rows = audit_all(hosts, connections, tmp_path, engine=LocalEngine(20), observe=silent)
    found = {row.host: row for row in rows}
    assert sorted(found) == ["db01", "db02", "db03", "db04"]
    assert found["db01"].answered
    assert not found["db02"].answered
    assert not found["db03"].answered
    assert "does not answer" in " ".join(step.detail for step in found["db03"].gathered)
    assert {found[name].level for name in ("db03", "db04")} <= {Level.UNKNOWN, Level.CRITICAL}


def test_hosts_that_do_not_answer_count_as_failures(tmp_path: Path) -> None:
    hosts = [machine(tmp_path, f"db{number}", Script(refuse_login=True)) for number in range(9)]
    rows = list(
        audit_all(
            hosts, Connections({}, print), tmp_path,
            engine=LocalEngine(20, workers=1), observe=silent, limit=MaxFailures(2),
        )
    )  # fmt: skip
    assert len(rows) == 9
    assert sum("3 of 9 hosts failed, more than --max-failures 2" in row.reason for row in rows) == 6


def test_what_is_recorded_is_believed_for_a_time_and_no_host_is_lost() -> None:
    hosts = [Host(name, Platform.LINUX, "192.0.2.1") for name in ("db01", "db02", "db03")]
    last = {"db01": audit("db01"), "db02": audit("db02", nights=-9)}
    rows = recorded(hosts, last, MIDNIGHT, timedelta(hours=26))
    assert [(row.host, row.level) for row in rows] == [
        ("db01", Level.OK), ("db02", Level.UNKNOWN), ("db03", Level.UNKNOWN),
    ]  # fmt: skip


def test_the_hosts_to_ask_again_are_those_that_did_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    Report("json", path).write([audit("db01"), audit("db02", outcome=Outcome.TIMEOUT), audit("db03")])
    assert unanswered(path) == ["db02"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"hosts": 3}', '{"hosts": [1]}', '{"hosts": [{}]}', "[" * 100_000, "\xff"],
)
def test_what_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "last.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InventoryError, match="no JSON report"):
        unanswered(path)
    with pytest.raises(InventoryError, match="cannot be read"):
        unanswered(tmp_path / "none.json")


def test_a_report_of_probe_is_no_report_of_an_audit(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    path.write_text(json.dumps({"hosts": [{"host": "db01", "diagnosis": "unknown"}]}))
    with pytest.raises(InventoryError):
        unanswered(path)
