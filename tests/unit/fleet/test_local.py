"""The engine on this machine: no row may vanish, none may come twice, and none may stall the rest."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.limits import Deadline
from collector.errors import LoginRefusedError, UnreachableError
from collector.fleet import local
from collector.fleet.local import LocalEngine
from collector.model.host import Host, Platform
from collector.model.result import Outcome


def fleet(count: int) -> list[Host]:
    return [Host(f"db{number:04}", Platform.LINUX, "192.0.2.1") for number in range(count)]


def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "GRACE", 0.1)


FATES: Sequence[BaseException | None] = (
    None,
    UnreachableError("nothing answers", hint="look"),
    LoginRefusedError("no", hint="look"),
    ValueError("hunter2"),
    SystemExit(3),
    KeyboardInterrupt(),
)


@given(st.lists(st.sampled_from(range(len(FATES))), max_size=40), st.integers(1, 9))
def test_every_host_is_one_row_whatever_its_work_does(fates: list[int], workers: int) -> None:
    def work(host: Host, _deadline: Deadline) -> str:
        fate = FATES[fates[int(host.name[2:])]]
        if fate is not None:
            raise fate
        return host.name.upper()

    hosts = fleet(len(fates))
    rows = list(LocalEngine(30, workers).submit(hosts, work).rows())
    assert Counter(row.host for row in rows) == Counter(host.name for host in hosts)
    for row in rows:
        fate = FATES[fates[int(row.host[2:])]]
        assert (row.outcome is Outcome.SUCCESS) == (fate is None)
        assert row.value == (row.host.upper() if fate is None else None)
        assert "hunter2" not in row.detail


def test_the_word_for_each_failure_is_its_own() -> None:
    def work(host: Host, _deadline: Deadline) -> None:
        raise FATES[1 + int(host.name[2:])] or AssertionError

    rows = {row.host: row for row in LocalEngine(30).submit(fleet(3), work).rows()}
    assert [rows[name].outcome for name in sorted(rows)] == [
        Outcome.UNREACHABLE, Outcome.DENIED, Outcome.FAILED,
    ]  # fmt: skip
    assert rows["db0000"].hint == "look"
    assert "ValueError at test_local.py" in rows["db0002"].detail


def test_work_that_ignores_its_deadline_is_given_up_and_stalls_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brief(monkeypatch)
    stuck = threading.Event()

    def work(host: Host, _deadline: Deadline) -> str:
        if int(host.name[2:]) % 2:
            stuck.wait(60)
        return "done"

    started = time.monotonic()
    rows = list(LocalEngine(0.3, workers=4).submit(fleet(12), work).rows())
    stuck.set()
    assert time.monotonic() - started < 20
    assert Counter(row.outcome for row in rows) == {Outcome.SUCCESS: 6, Outcome.TIMEOUT: 6}
    assert len({row.host for row in rows}) == 12


def test_a_result_that_comes_after_its_host_was_given_up_is_no_second_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "GRACE", 0.0)
    chance = random.Random(7)
    naps = {host.name: chance.uniform(0.0, 0.1) for host in fleet(60)}

    def work(host: Host, _deadline: Deadline) -> None:
        time.sleep(naps[host.name])

    rows = list(LocalEngine(0.05, workers=6).submit(fleet(60), work).rows())
    assert Counter(row.host for row in rows) == Counter(naps.keys())
    assert {row.outcome for row in rows} == {Outcome.SUCCESS, Outcome.TIMEOUT}


def test_a_slow_reader_makes_nobody_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "GRACE", 0.0)
    rows = []
    for row in LocalEngine(5.0, workers=4).submit(fleet(4), lambda host, _deadline: host.name).rows():
        rows.append(row)
        monkeypatch.setattr(time, "monotonic", lambda base=time.monotonic: base() + 3.0)
    assert [row.outcome for row in rows] == [Outcome.SUCCESS] * 4


def test_rows_come_while_others_are_still_at_work() -> None:
    last = threading.Event()

    def work(host: Host, _deadline: Deadline) -> None:
        if host.name == "db0000":
            assert last.wait(30)

    rows = LocalEngine(60, workers=2).submit(fleet(5), work).rows()
    assert {next(rows).host for _ in range(4)} == {"db0001", "db0002", "db0003", "db0004"}
    last.set()
    assert [(row.host, row.outcome) for row in rows] == [("db0000", Outcome.SUCCESS)]


def test_no_more_hosts_are_at_work_than_the_limit_allows() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(_host: Host, _deadline: Deadline) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    assert len(list(LocalEngine(60, workers=3).submit(fleet(20), work).rows())) == 20
    assert 1 < most <= 3


def test_after_a_cancel_the_started_end_and_the_rest_are_skipped() -> None:
    begun: list[str] = []

    def work(host: Host, _deadline: Deadline) -> None:
        begun.append(host.name)

    batch = LocalEngine(60, workers=1).submit(fleet(10), work)
    rows = batch.rows()
    first = next(rows)
    batch.cancel("enough")
    rest = list(rows)
    assert first.outcome is Outcome.SUCCESS
    assert {row.host for row in rest if row.outcome is Outcome.SKIPPED}.isdisjoint(begun)
    assert {row.detail for row in rest if row.outcome is Outcome.SKIPPED} == {"enough"}
    assert len({first.host, *(row.host for row in rest)}) == 10


def test_the_program_ends_although_a_thread_is_stuck() -> None:
    script = (
        "import time\n"
        "from collector.fleet import local\n"
        "from collector.model.host import Host, Platform\n"
        "local.GRACE = 0.1\n"
        "batch = local.LocalEngine(0.1).submit(\n"
        "    [Host('db01', Platform.LINUX, 'x')], lambda host, deadline: time.sleep(600))\n"
        "print([str(row.outcome) for row in batch.rows()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    )
    assert done.stdout == "['timeout']\n"
