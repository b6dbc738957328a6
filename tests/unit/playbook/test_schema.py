from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.playbook.schema import LONGEST, Playbook, format_duration, parse_duration

WHOLE: dict[str, Any] = {
    "name": "linux-kdump",
    "summary": "A hung Linux server.",
    "when": {"platform": "linux", "controllers": ["ipmi"], "channels": ["ssh"]},
    "steps": {
        "probe": {"rounds": 2, "pause": "0s", "deadline": "10s"},
        "preflight": {"deadline": "60s"},
        "evidence": {"deadline": "2m", "collect": ["power", "event-log", "screen"]},
        "trigger": {"deadline": "30s"},
        "wait": {"deadline": "60m", "every": "5s", "grace": "3m"},
        "retrieve": {
            "deadline": "6h",
            "stall": "60s",
            "dumps": ["/var/crash/*/vmcore"],
            "logs": [{"name": "dmesg.txt", "command": "dmesg"}, {"name": "cmdline", "file": "/proc/cmdline"}],
        },
        "validate": {},
    },
}


def changed(value: object, *path: str | int) -> dict[str, Any]:
    """The whole playbook with one value replaced."""
    document = copy.deepcopy(WHOLE)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def test_a_whole_playbook_is_read_in_seconds() -> None:
    steps = Playbook.model_validate(WHOLE).steps
    assert (steps.wait.deadline, steps.wait.every, steps.wait.grace) == (3600, 5, 180)
    assert (steps.retrieve.deadline, steps.retrieve.stall) == (6 * 3600, 60)
    assert [log.deadline for log in steps.retrieve.logs] == [30, 30]


def test_a_playbook_survives_the_way_through_json() -> None:
    playbook = Playbook.model_validate(WHOLE)
    assert Playbook.model_validate_json(playbook.model_dump_json()) == playbook


@pytest.mark.parametrize(
    "text", ["30", "30 s", "s", "-1s", "1e9s", "1d", "1h30m", "٣s", "1.2345s", "169h", "nans"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("number", [30, 30.0, True, None, ["30s"]])
def test_a_number_without_a_unit_is_no_duration(number: object) -> None:
    with pytest.raises(ValidationError, match="a number with its unit"):
        Playbook.model_validate(changed(number, "steps", "trigger", "deadline"))


@given(st.integers(0, int(LONGEST * 1000)))
def test_a_duration_is_written_as_it_is_read(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    "path",
    [
        ("steps", "probe", "deadline"),
        ("steps", "preflight", "deadline"),
        ("steps", "evidence", "deadline"),
        ("steps", "trigger", "deadline"),
        ("steps", "wait", "deadline"),
        ("steps", "wait", "every"),
        ("steps", "retrieve", "deadline"),
        ("steps", "retrieve", "stall"),
        ("steps", "retrieve", "logs", 0, "deadline"),
    ],
)
def test_no_stage_goes_without_a_deadline(path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError, match="longer than 0s"):
        Playbook.model_validate(changed("0s", *path))


@pytest.mark.parametrize(
    "name",
    ["../passwd", "a/b", "a\\b", ".hidden", "", "a\nb", "é", "x" * 101, "a\u202eb"],
)
def test_a_log_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Playbook.model_validate(changed(name, "steps", "retrieve", "logs", 0, "name"))


@pytest.mark.parametrize(
    "logs",
    [
        [{"name": "a"}],
        [{"name": "a", "command": "dmesg", "file": "/proc/cmdline"}],
        [{"name": "a", "command": ""}],
        [{"name": "a", "command": "dmesg\nreboot"}],
        [{"name": "a", "command": "\x1b[2Jdmesg"}],
        [{"name": "a", "file": "relative"}],
        [{"name": "a", "file": "/var/log/*"}],
        [{"name": "a", "command": "dmesg"}, {"name": "A", "command": "dmesg"}],
        [{"name": "a", "event_log": "System"}],
        [{"name": "a", "cluster_log": True}],
        [{"name": "a", "command": "dmesg", "before": "72h"}],
    ],
)
def test_a_log_without_one_clear_source_is_refused(logs: list[dict[str, str]]) -> None:
    with pytest.raises(ValidationError):
        Playbook.model_validate(changed(logs, "steps", "retrieve", "logs"))


def on_windows(*logs: dict[str, object]) -> Playbook:
    document = changed(list(logs), "steps", "retrieve", "logs")
    document["when"]["platform"] = "windows"
    return Playbook.model_validate(document)


@pytest.mark.parametrize(
    "name",
    [
        "System",
        "Windows PowerShell",
        "Microsoft-Windows-Kernel-WHEA/Operational",
        "Microsoft-Windows-Kernel-PnP/Device Configuration",
    ],
)
def test_an_event_log_of_windows_has_its_full_name_and_begins_a_day_before(name: str) -> None:
    (log,) = on_windows({"name": "a.evtx", "event_log": name}).steps.retrieve.logs
    assert (log.event_log, log.before) == (name, 24 * 3600)
    cluster = on_windows({"name": "a", "cluster_log": True, "before": "2h"})
    assert Playbook.model_validate_json(cluster.model_dump_json()) == cluster


@pytest.mark.parametrize(
    "log",
    [
        {"event_log": ""},
        {"event_log": "/System"},
        {"event_log": "../Logs"},
        {"event_log": "System\n"},
        {"event_log": "a\\b"},
        {"event_log": "a'b"},
        {"event_log": 'a"b'},
        {"event_log": "a%4b"},
        {"event_log": "*"},
        {"event_log": "System", "file": "/C:/x"},
        {"event_log": "System", "stream": True},
        {"event_log": "System", "before": "0s"},
        {"cluster_log": False},
        {"cluster_log": True, "event_log": "System"},
    ],
)
def test_an_event_log_that_has_no_such_name_is_refused(log: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        on_windows({"name": "a", **log})


@pytest.mark.parametrize("pattern", ["vmcore", "/var/../etc/shadow", "/**/vmcore", "/a\0b", "/a\nb", ""])
def test_a_dump_pattern_that_wanders_is_refused(pattern: str) -> None:
    for key in ("dumps", "unfinished"):
        with pytest.raises(ValidationError):
            Playbook.model_validate(changed([pattern], "steps", "retrieve", key))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("unknown", ("colour",)),
        ("solaris", ("when", "platform")),
        ([], ("when", "controllers")),
        ([], ("when", "channels")),
        (["os.system"], ("when", "controllers")),
        ([], ("steps", "retrieve", "dumps")),
        (["dir/file"], ("steps", "retrieve", "beside")),
        (["memory"], ("steps", "evidence", "collect")),
        (0, ("steps", "probe", "rounds")),
        (10**6, ("steps", "probe", "rounds")),
        ({"deadline": "1m"}, ("steps", "reboot")),
        ("Linux Kdump", ("name",)),
        ("two\nlines", ("summary",)),
    ],
)
def test_what_the_schema_does_not_know_is_refused(value: object, path: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        Playbook.model_validate(changed(value, *path))


@pytest.mark.parametrize("step", list(WHOLE["steps"]))
def test_a_playbook_names_every_stage(step: str) -> None:
    document = copy.deepcopy(WHOLE)
    del document["steps"][step]
    with pytest.raises(ValidationError, match=step):
        Playbook.model_validate(document)


def test_a_playbook_does_not_change() -> None:
    playbook = Playbook.model_validate(WHOLE)
    with pytest.raises(ValidationError, match="frozen"):
        playbook.steps.wait.deadline = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ({"name": "a.tgz", "bundle": True, "command": "x"}, "exactly one"),
        ({"name": "a.tgz", "bundle": False}, "True"),
        ({"name": "a.tgz", "bundle": True, "stream": True}, "only the output"),
        ({"name": "a.tgz", "bundle": True, "unless": "b.tgz"}, "no log before"),
        ({"name": "a.tgz", "bundle": True, "unless": "a.tgz"}, "no log before"),
    ],
)
def test_a_bundle_is_a_log_of_its_own_kind(log: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Playbook.model_validate(changed([log], "steps", "retrieve", "logs"))


def test_a_playbook_that_looks_for_no_dump_fetches_a_bundle() -> None:
    document = changed([], "steps", "retrieve", "dumps")
    with pytest.raises(ValidationError, match="where the 'dumps' lie, or fetch a 'bundle'"):
        Playbook.model_validate(document)
    document["steps"]["retrieve"]["logs"] = [{"name": "a.tgz", "bundle": True}]
    assert Playbook.model_validate(document).steps.retrieve.dumps == ()
