"""What Windows wrote down of its crash comes into the journal once, and only what is of this crash."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from collector.adapters.answers import CommandResult
from collector.adapters.limits import Deadline
from collector.case.folder import CaseFolder
from collector.errors import UnreachableError
from collector.model.host import Endpoint, Host, Platform
from collector.playbook.loader import load, shipped_folder
from collector.run.aftermath import own_words, read_records
from collector.run.incident import Incident, Silent

AGO = 600.0  # seconds since the NMI
AHEAD = 7 * 86_400  # seconds by which the host's clock is wrong


class Windows:
    """Answers the script of the facts."""

    facts: ClassVar[dict[str, object]] = {}
    missing: ClassVar[dict[str, str]] = {}
    asked = 0

    def powershell(
        self, script: str, deadline: Deadline, *, arguments: Mapping[str, str], limit: int = 0
    ) -> CommandResult:
        type(self).asked += 1
        return CommandResult(0, json.dumps({"facts": self.facts, "missing": self.missing}).encode(), b"")


class Doors:
    """Stands for `Connections`."""

    shut = False

    def able(self, endpoints: tuple[Endpoint, ...], capability: type) -> list[Endpoint]:
        return list(endpoints)

    @contextlib.contextmanager
    def open(self, *_: Any) -> Iterator[Windows]:
        if self.shut:
            raise UnreachableError("no route", hint="")
        yield Windows()


@pytest.fixture
def incident(tmp_path: Path) -> Incident:
    now = int(time.time()) + AHEAD
    failed = {"id": 161, "time": now - 60, "values": ["x", "0x53"]}
    older = {"id": 161, "time": now - int(AGO) - 600, "values": []}
    Windows.asked = 0
    Windows.missing = {"bug_checks": "ObjectNotFound NoMatchingEventsFound", "restarts": "PermissionDenied x"}
    Windows.facts = {"clock": now, "dump_events": [failed, older]}
    case = CaseFolder.create(tmp_path, "sql01", datetime.now(UTC))
    host = Host("sql01", Platform.WINDOWS, "192.0.2.1", channels=(Endpoint(type="winrm"),))
    playbook = load(shipped_folder() / "windows-crash-dump.yaml")
    return Incident(host, playbook, case, Doors(), Silent(), lambda *_: [])  # type: ignore[arg-type]


def read(incident: Incident) -> list[dict[str, Any]]:
    read_records(incident, datetime.now(UTC) - timedelta(seconds=AGO))
    return [dict(entry.data) for entry in incident.case.journal.all("host.record")]


def missed(incident: Incident) -> list[str]:
    return [str(entry.data["detail"]) for entry in incident.case.journal.all("artifact.missing")]


def test_records_of_this_crash_are_told_by_the_host_s_own_clock(incident: Incident) -> None:
    (told,) = read(incident)
    assert (told["provider"], told["id"], told["explains"]) == ("volmgr", 161, True)
    assert own_words(incident.case.journal.entries()) == (
        "Windows itself says: a dump could not be written, BugCheckProgress 0x53 (volmgr 161)"
    )
    assert missed(incident) == ["the host did not tell: restarts"]


def test_they_are_asked_for_once_and_again_after_another_nmi(incident: Incident) -> None:
    assert len(read(incident)) == len(read(incident)) == Windows.asked == 1
    incident.case.journal.append("claim", attempt=2)
    assert own_words(incident.case.journal.entries()) == ""
    assert len(read(incident)) == Windows.asked == 2


def test_a_host_that_cannot_be_asked_is_a_row_and_no_error(incident: Incident) -> None:
    incident.connections.shut = True  # type: ignore[attr-defined]
    assert read(incident) == []
    assert missed(incident) == ["no route"]
    assert own_words(incident.case.journal.entries()) == ""


@pytest.mark.parametrize("clock", [None, "now", 10**30, [1, 2]])
def test_without_the_host_s_clock_nothing_is_taken_for_this_crash(incident: Incident, clock: object) -> None:
    Windows.facts["clock"] = clock
    assert read(incident) == []
    assert missed(incident) == ["the host did not tell: clock"]


@pytest.mark.parametrize("when", [10**19, 10**30, -5, "x", None])
def test_a_time_that_makes_no_sense_ends_nothing(incident: Incident, when: object) -> None:
    Windows.facts["dump_events"] = [{"id": 161, "time": when, "values": ["\x1b[2J"]}]
    for told in read(incident):
        assert told["at"] == "in no year that makes sense"


def test_linux_is_not_asked(incident: Incident) -> None:
    linux = replace(incident, host=replace(incident.host, platform=Platform.LINUX))
    assert read(linux) == []
    assert Windows.asked == 0
