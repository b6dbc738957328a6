"""Turns each case of the YAML files beside this one into a test: facts of a host in, chosen steps out."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from ruamel.yaml import YAML

from collector.errors import PlaybookError
from collector.model.host import Endpoint, Host, Platform
from collector.playbook.loader import load_all, shipped_folder
from collector.playbook.schema import Playbook, parse_duration
from collector.playbook.select import select

FOLDER = Path(__file__).parent

# Programs that only look, whatever their arguments say; and the ones that only look with these arguments.
LOOKS = {"df", "dmesg", "journalctl", "last", "ls", "tail", "uname", "uptime"}
LOOKS_WITH = {
    "esxcli": r"[a-z ]+ (list|get)",
    "ras-mc-ctl": r"--errors",
    "sysctl": r"[a-z.]+",
    "systemctl": r"list-units .*",
    "vmkdump_extract": r"-l -L /dev/stdout /var/core/[a-z.*-]+",
    "vm-support": r"-s",
    "vmware": r"-vl?",
}

POWERSHELL_LOOKS_WITH = {
    "bcdedit": r"/enum all",
    "driverquery": r"/v /fo csv",
    "fltmc": r"(filters|instances)",
}


class HostFacts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    platform: Platform
    controllers: list[str]
    channels: list[str]


class Case(BaseModel):
    model_config = ConfigDict(extra="forbid")

    case: str
    host: HostFacts
    chosen: str | None = None
    refused: str | None = None
    steps: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    dumps: list[str] = Field(default_factory=list)
    unfinished: list[str] = Field(default_factory=list)
    beside: list[str] = Field(default_factory=list)
    ignored: list[str] = Field(default_factory=list)
    logs: list[str] = Field(default_factory=list)
    exported: dict[str, str] = Field(default_factory=dict)  # logs that Windows writes out, and how far back


def cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case.case}")
        for path in sorted(FOLDER.glob("*.yaml"))
        for case in TypeAdapter(list[Case]).validate_python(YAML(typ="safe").load(path))
    ]


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """True when a pattern fits the path segment by segment, as a shell's glob does."""
    segments = path.split("/")
    return any(
        len(segments) == len(pattern.split("/")) and all(map(fnmatchcase, segments, pattern.split("/")))
        for pattern in patterns
    )


@pytest.mark.parametrize("case", cases())
def test_playbook(case: Case) -> None:
    host = Host(
        name="db01",
        platform=case.host.platform,
        address="192.0.2.10",
        controllers=tuple(Endpoint(type=word) for word in case.host.controllers),
        channels=tuple(Endpoint(type=word) for word in case.host.channels),
    )
    assert (case.chosen is None) != (case.refused is None), "a case says either `chosen` or `refused`"
    if case.refused is not None:
        with pytest.raises(PlaybookError, match=re.escape(case.refused)):
            select(host, load_all())
        return
    playbook = select(host, load_all()).playbook
    assert playbook.name == case.chosen
    steps = playbook.model_dump(mode="json")["steps"]
    for step, expected in case.steps.items():
        if expected is None:
            assert steps[step] is None
        else:
            assert {key: steps[step][key] for key in expected} == expected
    retrieve = playbook.steps.retrieve
    for path in case.dumps:
        assert matches(path, retrieve.dumps), path
        assert not matches(path, retrieve.unfinished), path
    for path in case.unfinished:
        assert matches(path, retrieve.unfinished), path
        assert not matches(path, retrieve.dumps), path
    for path in case.ignored:
        assert not matches(path, retrieve.dumps + retrieve.unfinished), path
    for name in case.beside:
        assert matches(name, retrieve.beside), name
    assert set(case.logs) <= {log.name for log in retrieve.logs}
    exported = {log.name: log.before for log in retrieve.logs if log.event_log or log.cluster_log}
    for name, before in case.exported.items():
        assert exported.get(name) == parse_duration(before), name


def only_looks_in_powershell(command: str) -> None:
    """A pipeline of cmdlets that read, or one program that looks; nothing is nested or redirected."""
    assert not re.search(r"[&<>`$()\n]", command), command
    for part in re.sub(r"'[^']*'|@{[^}]*}|\"[^\"]*\"", "", command).split("|"):
        verb, _, arguments = part.strip().partition(" ")
        reads = re.fullmatch(r"(Get|Select|ConvertTo)-[A-Za-z]+", verb) is not None
        assert reads or re.fullmatch(POWERSHELL_LOOKS_WITH[verb], arguments), part


def shipped() -> list[Any]:
    return [pytest.param(file.playbook, id=file.playbook.name) for file in load_all()]


def test_every_shipped_playbook_has_its_cases_beside_it() -> None:
    playbooks = {path.stem for path in shipped_folder().glob("*.yaml")}
    assert playbooks
    assert {path.stem for path in FOLDER.glob("*.yaml")} == playbooks


@pytest.mark.parametrize("playbook", shipped())
def test_every_shipped_playbook_is_chosen_by_a_case_and_refused_by_another(playbook: Playbook) -> None:
    own = TypeAdapter(list[Case]).validate_python(YAML(typ="safe").load(FOLDER / f"{playbook.name}.yaml"))
    assert any(case.chosen == playbook.name for case in own)
    assert any(case.refused for case in own)


@pytest.mark.parametrize("playbook", shipped())
def test_a_shipped_playbook_only_reads(playbook: Playbook) -> None:
    for log in playbook.steps.retrieve.logs:
        if log.command is None:
            continue
        if Platform.WINDOWS in playbook.when.platforms:
            only_looks_in_powershell(log.command)
            continue
        assert not re.search(r"[;&|<>`$\\()\n]", log.command), (
            f"{log.name}: one plain command, no shell syntax"
        )
        program, _, arguments = log.command.partition(" ")
        assert program in LOOKS or re.fullmatch(LOOKS_WITH[program], arguments), log.command
        assert "--vacuum" not in arguments and "--rotate" not in arguments and "--clear" not in arguments
