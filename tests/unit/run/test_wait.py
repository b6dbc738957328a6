from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from collector.adapters.answers import FileKind, RemoteFile
from collector.model.host import Platform
from collector.run.inside import LANGUAGES
from collector.run.wait import Look, _Watch

DUMP = RemoteFile("/var/crash/127.0.0.1-2026-11-21-03:12:00/vmcore", FileKind.FILE, 4096, 1.0)
GRACE = 60.0


def test_a_host_that_answered_a_moment_longer_has_its_grace_from_its_boot_on() -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    assert watch.judge(Look(uptime=86400.0), 1.0, GRACE) is None
    assert watch.judge(Look(uptime=20.0), 300.0, GRACE) is None
    assert watch.judge(Look(uptime=40.0, dumps=(DUMP,)), 320.0, GRACE) is None
    ended = watch.judge(Look(uptime=45.0, dumps=(DUMP,)), 325.0, GRACE)
    assert ended is not None
    assert ended.dumps == (DUMP,)


def test_a_host_that_rebooted_without_a_dump_is_given_its_grace_and_no_more() -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    assert watch.judge(Look(uptime=20.0), 300.0, GRACE) is None
    ended = watch.judge(Look(uptime=81.0), 361.0, GRACE)
    assert ended is not None
    assert "without leaving a dump" in ended.reason


def test_a_host_that_goes_on_after_the_nmi_ignored_it() -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    assert watch.judge(Look(uptime=86400.0), 1.0, GRACE) is None
    ended = watch.judge(Look(uptime=86470.0), 71.0, GRACE)
    assert ended is not None
    assert "has not rebooted" in ended.reason
    assert "kernel.unknown_nmi_panic=0?" in ended.reason


@pytest.mark.parametrize("platform", [Platform.WINDOWS, Platform.ESXI])
def test_a_setting_of_linux_is_blamed_on_linux_alone(platform: Platform) -> None:
    watch = _Watch(LANGUAGES[platform])
    assert watch.judge(Look(uptime=86400.0), 1.0, GRACE) is None
    ended = watch.judge(Look(uptime=86470.0), 71.0, GRACE)
    assert ended is not None
    assert "kernel." not in ended.reason


WHO = "the vCenter says that the host"


def test_a_boot_time_that_moves_on_tells_that_the_host_was_started_anew() -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    long_ago = datetime.now(UTC) - timedelta(days=90)
    watch.booted(long_ago, WHO, 20.0)
    assert "nothing changed" in watch.give_up().reason
    watch.booted(long_ago + timedelta(days=1), WHO, 30.0)  # by a clock that is wrong by months
    assert watch.give_up().reason == f"{WHO} was started anew, and nothing in it answers yet"


@pytest.mark.parametrize("jitter", [-30.0, 30.0])
def test_a_boot_time_that_trembles_tells_nothing(jitter: float) -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    booted = datetime.now(UTC) - timedelta(days=90)
    for when in (booted, booted + timedelta(seconds=jitter), None, booted):
        watch.booted(when, WHO, 4000.0)
    assert "nothing changed" in watch.give_up().reason


def test_a_resumed_run_knows_a_boot_after_the_nmi_at_its_first_look() -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    watch.booted(datetime.now(UTC) - timedelta(seconds=60), WHO, 3600.0)
    assert "started anew" in watch.give_up().reason


@pytest.mark.parametrize(
    ("beats", "said"),
    [
        (["red", "red", "green"], "was lost and is green again"),
        (["green", "green"], "green all the while"),
        (["green", "red"], "is red"),
        (["gray"], ""),
        ([], ""),
    ],
)
def test_the_heartbeat_of_a_guest_is_part_of_what_is_said_at_the_end(beats: list[str], said: str) -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    for each in beats:
        watch.beat(each)
    reason = watch.give_up().reason
    assert said in reason
    assert ("heartbeat" in reason) is bool(said)


def test_a_host_that_stays_down_is_not_to_be_reset_while_it_may_be_writing() -> None:
    watch = _Watch(LANGUAGES[Platform.ESXI])
    watch.ping_gap = True
    assert "do not reset it before it says 'FileDump: Successful'" in watch.give_up().reason


def test_a_dump_that_stayed_in_its_slot_is_not_called_none() -> None:
    watch = _Watch(LANGUAGES[Platform.LINUX])
    assert watch.judge(Look(uptime=20.0, in_slot="it lies in X: do Y"), 300.0, GRACE) is None
    ended = watch.judge(Look(uptime=81.0, in_slot="it lies in X: do Y"), 361.0, GRACE)
    assert ended is not None
    assert ended.reason.endswith("its dump is not in its place: it lies in X: do Y")
    assert "without leaving" not in ended.reason


def blind(*dumps: RemoteFile, older: RemoteFile | None = None) -> Look:
    return Look(uptime=None, asked=False, dumps=dumps, older=older)


def test_a_dump_of_a_host_that_runs_no_commands_must_lie_still_for_the_grace() -> None:
    watch = _Watch(LANGUAGES[Platform.WINDOWS])
    growing = replace(DUMP, size=2048)
    assert watch.judge(blind(growing), 600.0, GRACE) is None
    assert watch.judge(blind(DUMP), 650.0, GRACE) is None
    assert watch.judge(blind(DUMP), 700.0, GRACE) is None
    ended = watch.judge(blind(DUMP), 710.0, GRACE)
    assert ended is not None
    assert ended.dumps == (DUMP,)


def test_a_host_that_runs_no_commands_has_its_grace_from_its_return_on() -> None:
    watch = _Watch(LANGUAGES[Platform.WINDOWS])
    assert watch.judge(blind(), 1.0, GRACE) is None
    watch.gone()
    assert watch.judge(blind(), 3600.0, GRACE) is None
    ended = watch.judge(blind(older=DUMP), 3660.0, GRACE)
    assert ended is not None
    assert ended.reason.startswith(
        "the host answers, and no new dump is there; the newest dump there, /var/crash"
    )
    assert "rebooted" not in ended.reason


def test_where_nobody_looks_inside_services_that_answer_again_tell_that_it_is_back() -> None:
    watch = _Watch(LANGUAGES[Platform.ESXI], blind=True)
    watch.answers(2.0)
    assert watch.blind_since is None, "it has not been seen to go"
    watch.ping_gap = True
    watch.answers(600.0)
    assert watch.blind_since == 600.0
    ended = watch.give_up()
    assert ended.back
    assert "say that the host was started anew, and nobody looks inside" in ended.reason


def test_of_a_host_that_crashed_by_itself_nothing_is_said_of_an_nmi() -> None:
    def told(look: Look) -> str:
        watch = _Watch(LANGUAGES[Platform.LINUX], sent=False)
        assert watch.judge(look, 86400.0, GRACE) is None
        ended = watch.judge(look, 86400.0 + GRACE, GRACE)
        assert ended is not None
        return ended.reason

    reasons = [told(Look(uptime=1e6, older=DUMP)), told(Look(uptime=60.0)), told(blind(older=DUMP))]
    assert (
        "the host did not crash: it runs since before the time that was asked for; the newest" in reasons[0]
    )
    assert reasons[1] == "the host rebooted without leaving a dump"
    reasons.append(_Watch(LANGUAGES[Platform.LINUX], sent=False).give_up().reason)
    assert not [reason for reason in reasons if "NMI" in reason]
