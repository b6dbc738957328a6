from __future__ import annotations

from pathlib import Path

import pytest

from collector.adapters.fake import MACHINES, FakeChannel, FakeEndpoint, FakeMachine, Life
from collector.adapters.limits import Deadline
from collector.run.remote import find


@pytest.fixture
def channel(tmp_path: Path) -> FakeChannel:
    key = str(tmp_path)
    MACHINES[key] = FakeMachine("db01", life=Life.RUNNING)
    MACHINES[key].files = {
        "/var/crash/127.0.0.1-2026-11-21-03:12:45/vmcore": b"x",
        "/var/crash/127.0.0.1-2026-11-21-03:12:45/vmcore-dmesg.txt": b"x",
        "/var/crash/202611210312/dump.202611210312": b"x",
        "/var/crash/kexec_cmd": b"x",
    }
    return FakeChannel(FakeEndpoint(machine=key), None, Deadline.after(5))


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["/var/crash/*/vmcore"], ["/var/crash/127.0.0.1-2026-11-21-03:12:45/vmcore"]),
        (["/var/crash/*/dump.*"], ["/var/crash/202611210312/dump.202611210312"]),
        (["/var/crash/kexec_cmd", "/var/crash/kexec*"], ["/var/crash/kexec_cmd"]),
        (["/var/crash/*"], ["/var/crash/kexec_cmd"]),
        (["/srv/*/vmcore", "/var/crash/vmcore"], []),
    ],
)
def test_patterns_match_within_one_component(
    channel: FakeChannel, patterns: list[str], found: list[str]
) -> None:
    assert [file.path for file in find(channel, patterns, Deadline.after(5))] == found
