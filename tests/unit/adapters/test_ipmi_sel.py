from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.ipmi_sel import decode, describe, read_sel, type_name
from collector.adapters.ipmi_session import Reply
from collector.errors import DeadlineError, ForbiddenError, PeerFailedError

TIME = 1_795_237_920
LAST = 0xFFFF


def record(
    *,
    number: int = 1,
    kind: int = 0x02,
    seconds: int = TIME,
    sensor_type: int = 0x20,
    event: int = 0x6F,
    state: int = 1,
) -> bytes:
    return struct.pack(
        "<HBIHBBBBBBB", number, kind, seconds, 0x20, 0x04, sensor_type, 0x07, event, state, 0xFF, 0xFF
    )


class Log:
    """A BMC's answers to Get SEL Entry: record number asked for, to number of the next one and record."""

    def __init__(self, links: dict[int, tuple[int, bytes]]) -> None:
        self.links = links
        self.asked = 0

    def __call__(self, netfn: int, command: int, data: bytes) -> Reply:
        assert (netfn, command) == (0x0A, 0x43)
        self.asked += 1
        _, number, offset, length = struct.unpack("<HHBB", data)
        assert (offset, length) == (0, 0xFF)
        if number not in self.links:
            return Reply(0xCB, b"")
        following, body = self.links[number]
        return Reply(0, struct.pack("<H", following) + body)


def test_a_standard_record_is_read() -> None:
    event = decode(record())
    assert event.id == "1"
    assert event.time == datetime.fromtimestamp(TIME, UTC)
    assert event.sensor == "OS Critical Stop #0x07"
    assert event.text == "run-time critical stop"
    assert bytes.fromhex(event.raw) == record()


@pytest.mark.parametrize(
    ("sensor_type", "state", "text"),
    [
        (0x13, 0, "NMI/Diag Interrupt"),
        (0x13, 3, "software NMI"),
        (0x20, 0, "critical stop while the OS loaded"),
        (0x23, 1, "hard reset"),
        (0x23, 8, "timer interrupt"),
    ],
)
def test_states_that_tell_of_a_stop_have_their_names(sensor_type: int, state: int, text: str) -> None:
    assert decode(record(sensor_type=sensor_type, state=state)).text == text


def test_other_sensors_have_names_too() -> None:
    assert type_name(0x0C) == "Memory"
    assert "ncorrectable" in describe(0x0C, 0x6F, 1)
    assert "critical" in describe(0x01, 0x01, 9).lower()


def test_what_has_no_name_keeps_its_number() -> None:
    assert type_name(0xEE) == "type 0xee"
    assert describe(0xEE, 0x6F, 5) == "state 5 of event type 0x6f"
    assert describe(0x20, 0x7E, 5) == "state 5 of event type 0x7e"


def test_the_end_of_a_state_is_said() -> None:
    assert decode(record(event=0xEF)).text == "run-time critical stop (deasserted)"


@pytest.mark.parametrize("seconds", [0, 60, 0x2000_0000, 0xFFFF_FFFF])
def test_a_clock_that_was_not_set_gives_no_time(seconds: int) -> None:
    assert decode(record(seconds=seconds)).time is None


def test_a_linux_panic_is_told_in_its_own_words() -> None:
    event = decode(struct.pack("<HBBB", 3, 0xF0, 0x20, 0) + b"Oops: fatal")
    assert (event.sensor, event.text, event.time) == ("Linux kernel panic", "Oops: fatal", None)


def test_a_panic_s_words_cannot_steer_a_terminal() -> None:
    event = decode(struct.pack("<HBBB", 3, 0xF0, 0x20, 0) + b"\x1b[2J\xff\n56789")
    assert event.text.isprintable()


def test_a_maker_s_record_is_kept_as_it_is() -> None:
    timed, untimed = decode(record(kind=0xC1)), decode(record(kind=0xE1))
    assert timed.time is not None
    assert untimed.time is None
    assert timed.sensor == "record of type 0xc1"
    assert timed.text.startswith(f"{TIME & 0xFF:02x} ")


@given(st.binary(max_size=40))
def test_any_bytes_make_an_event(data: bytes) -> None:
    event = decode(data)
    assert event.raw == data.hex()
    assert event.text.isprintable()
    assert event.sensor.isprintable()


def test_a_log_is_read_from_its_first_record_to_its_last() -> None:
    log = Log({0: (7, record(number=3)), 7: (9, record(number=7)), 9: (LAST, record(number=9))})
    assert [event.id for event in read_sel(log)] == ["3", "7", "9"]
    assert log.asked == 3


def test_an_empty_log_has_no_events() -> None:
    assert read_sel(Log({})) == []


def test_a_record_that_points_to_itself_ends_the_reading() -> None:
    log = Log({0: (1, record(number=1)), 1: (1, record(number=1))})
    events = read_sel(log)
    assert log.asked == 2
    assert "comes round again" in events[-1].text


def test_a_log_that_is_cleared_meanwhile_keeps_what_was_read() -> None:
    events = read_sel(Log({0: (2, record(number=1))}))
    assert [event.id for event in events] == ["1", ""]
    assert "not present" in events[-1].text


def test_a_log_without_end_is_cut() -> None:
    log = Log({number: ((number + 1) & 0xFFFF, record(number=number)) for number in range(20_000)})
    events = read_sel(log)
    assert log.asked == len(events) - 1 == 8192
    assert "more than 8192" in events[-1].text


def test_when_the_bmc_falls_silent_what_was_read_is_kept() -> None:
    log = Log({0: (2, record(number=1)), 2: (LAST, record(number=2))})

    def ask(netfn: int, command: int, data: bytes) -> Reply:
        if log.asked == 1:
            raise DeadlineError("the BMC did not answer within 5 s", hint="")
        return log(netfn, command, data)

    events = read_sel(ask)
    assert [event.id for event in events] == ["1", ""]
    assert "did not answer" in events[-1].text


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(0xD4, b""), ForbiddenError),
        (Reply(0xFF, b""), PeerFailedError),
        (Reply(0, b"x"), PeerFailedError),
    ],
)
def test_a_bmc_that_gives_nothing_is_an_error(reply: Reply, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_sel(lambda _netfn, _command, _data: reply)


@given(st.lists(st.binary(max_size=30), min_size=1))
def test_whatever_a_bmc_answers_reading_ends(answers: list[bytes]) -> None:
    replies = iter(answers * 10_000)

    def ask(_netfn: int, _command: int, _data: bytes) -> Reply:
        return Reply(0, next(replies))

    try:
        events = read_sel(ask)
    except PeerFailedError:
        return
    assert len(events) <= 8193
