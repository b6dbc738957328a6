from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from collector.adapters.answers import NmiOutcome
from collector.adapters.hyperv import HypervEndpoint
from collector.adapters.hyperv_machine import Found, events_in, found_in, judge, machine_in
from collector.errors import ForbiddenError, PeerFailedError, UnsupportedError

EVENT = {"id": "12", "code": 18590, "time": 133_769_088_000_000_000, "log": "Worker", "text": "a\r\nb\x1b[2J"}


def test_one_machine_is_found_by_its_id() -> None:
    answer = {"node": "HV02", "machines": [{"id": "abc", "state": "Running"}], "owners": []}
    assert found_in(answer, "SQL01") == Found(id="abc")


def test_an_owner_is_a_node() -> None:
    assert found_in({"node": "HV02", "machines": [], "owners": ["HV03", "HV03"]}, "x") == Found(owner="HV03")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"node": "HV02", "machines": [], "owners": []}, "there is no machine"),
        ({"node": "HV02", "machines": None, "owners": None}, "there is no machine"),
        ({"node": "HV02", "machines": [{"id": "a"}, {"id": "b"}]}, "2 machines are named"),
        ({"node": "HV02", "machines": [], "owners": ["HV03", "HV04"]}, "2 machines are named"),
        (
            {"failed": "error", "category": "NotSpecified", "words": "VMMS \x1b]0;x\x07 broke"},
            "VMMS ]0;x broke",
        ),
    ],
)
def test_anything_else_is_said(answer: dict[str, Any], words: str) -> None:
    with pytest.raises(PeerFailedError) as caught:
        found_in(answer, "SQL01")
    assert words in caught.value.message


def test_a_right_and_a_module_that_lack_are_told_apart() -> None:
    with pytest.raises(UnsupportedError):
        found_in({"failed": "module"}, "SQL01")
    with pytest.raises(ForbiddenError):
        found_in({"failed": "error", "category": "PermissionDenied", "words": "Zugriff"}, "SQL01")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"outcome": "sent"}, NmiOutcome.SENT),
        ({"outcome": "refused", "state": "Saved"}, NmiOutcome.NOT_SENT),
        ({"outcome": "failed", "asked": False, "words": "gone"}, NmiOutcome.NOT_SENT),
        ({"outcome": "failed", "asked": True, "category": "PermissionDenied"}, NmiOutcome.NOT_SENT),
        ({"outcome": "failed", "asked": True, "category": "InvalidOperation"}, NmiOutcome.UNCERTAIN),
        ({"outcome": "failed", "asked": None, "category": "NotSpecified"}, NmiOutcome.UNCERTAIN),
        ({"outcome": "refused"}, NmiOutcome.UNCERTAIN),
        ({"outcome": True}, NmiOutcome.UNCERTAIN),
        ({}, NmiOutcome.UNCERTAIN),
    ],
)
def test_only_what_is_proved_is_certain(answer: dict[str, Any], outcome: NmiOutcome) -> None:
    assert judge(answer).outcome is outcome
    assert judge(answer).detail


def test_events_are_lines_with_their_time() -> None:
    (event,) = events_in({"events": [EVENT]})
    assert event.time == datetime(2024, 11, 24, 8, 0, tzinfo=UTC)
    assert event.text == "18590: a b [2J"


@pytest.mark.parametrize(
    "answer",
    [{}, {"events": 3}, {"events": [{}]}, {"events": [{**EVENT, "time": 10**30}]}, {"events": ["x"]}],
)
def test_events_that_make_no_sense_are_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(PeerFailedError):
        events_in(answer)


@pytest.mark.parametrize("answer", [{}, {"state": "Running", "heartbeat": "", "uptime": "x", "services": []}])
def test_a_machine_that_makes_no_sense_is_an_error(answer: dict[str, Any]) -> None:
    with pytest.raises(PeerFailedError):
        machine_in(answer)


def test_machines_of_one_host_are_claimed_apart_and_share_its_sessions() -> None:
    one, two = (HypervEndpoint(address="hv02", vm=name) for name in ("SQL01", "SQL02"))
    assert one.identity == two.identity == "hyperv://hv02:5986"
    assert one.nmi_target != two.nmi_target
    assert one.nmi_target == HypervEndpoint(address="hv02", vm="sql01").nmi_target
