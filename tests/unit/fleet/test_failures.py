from __future__ import annotations

from collections import Counter

import pytest

from collector.adapters.limits import Deadline
from collector.errors import UnreachableError
from collector.fleet.failures import MaxFailures, stop_after
from collector.fleet.local import LocalEngine
from collector.model.host import Host, Platform
from collector.model.result import Outcome


def unreachable(_host: Host, _deadline: Deadline) -> None:
    raise UnreachableError("nothing answers", hint="look")


@pytest.mark.parametrize(
    ("text", "failed", "hosts", "exceeded"),
    [
        ("0", 0, 10, False),
        ("0", 1, 10, True),
        ("3", 3, 10, False),
        ("3", 4, 10, True),
        ("10%", 1, 10, False),
        ("10%", 2, 10, True),
        ("33%", 1, 3, True),
        ("100%", 10, 10, False),
    ],
)
def test_the_limit_may_be_reached_and_not_exceeded(
    text: str, failed: int, hosts: int, exceeded: bool
) -> None:
    limit = MaxFailures.parse(text)
    assert limit.exceeded(failed, hosts) is exceeded
    assert str(limit) == text


@pytest.mark.parametrize("text", ["", "-1", "ten", "5 %", "%", "1e3", "٣"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a count"):
        MaxFailures.parse(text)


def test_unreachable_hosts_count_and_the_rest_is_skipped_not_lost() -> None:
    hosts = [Host(f"db{number}", Platform.LINUX, "192.0.2.1") for number in range(20)]
    batch = LocalEngine(60, workers=1).submit(hosts, unreachable)
    limit = MaxFailures(2)
    rows = list(stop_after(batch, 20, limit, lambda row: row.outcome is Outcome.UNREACHABLE))
    assert len({row.host for row in rows}) == 20
    assert Counter(row.outcome for row in rows) == {Outcome.UNREACHABLE: 3, Outcome.SKIPPED: 17}
    assert rows[-1].detail == "not asked: 3 of 20 hosts failed, more than --max-failures 2"
