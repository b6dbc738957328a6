from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.answers import WatchdogState
from collector.adapters.ipmi_sensors import decode_watchdog, read_stop_sensors
from collector.adapters.ipmi_session import Reply
from collector.errors import AdapterError, PeerFailedError
from collector.lab.records import CRITICAL_INTERRUPT, OS_STOP, WATCHDOG_2, Sensor

LAST = 0xFFFF
SCANNING, UNAVAILABLE = 0x40, 0x20


class Repository:
    """A BMC's answers to Get SDR and Get Sensor Reading."""

    def __init__(self, sensors: list[Sensor], flags: int = SCANNING) -> None:
        self.records = [sensor.record(number) for number, sensor in enumerate(sensors, 1)]
        self.states = {sensor.number: sensor.states for sensor in sensors}
        self.flags = flags
        self.readings = 0

    def __call__(self, netfn: int, command: int, data: bytes) -> Reply:
        if (netfn, command) == (0x04, 0x2D):
            self.readings += 1
            return Reply(0, struct.pack("<BBH", 0, self.flags, self.states[data[0]] | 0x8000))
        assert (netfn, command) == (0x0A, 0x23)
        _, number, offset, length = struct.unpack("<HHBB", data)
        assert offset == 0
        index = max(number, 1)
        if index > len(self.records):
            return Reply(0xCB, b"")
        record = self.records[index - 1]
        if length > len(record):
            return Reply(0xCA, b"")
        following = index + 1 if index < len(self.records) else LAST
        return Reply(0, struct.pack("<H", following) + record[:length])


def found(repository: Repository) -> list[tuple[str, tuple[str, ...]]]:
    return [(sensor.name, sensor.states) for sensor in read_stop_sensors(repository)]


def test_asserted_states_are_named() -> None:
    sensors = [
        Sensor(1, OS_STOP, "os", 0b0010),
        Sensor(2, CRITICAL_INTERRUPT, "nmi", 0b1001),
        Sensor(3, WATCHDOG_2, "dog", 1 << 8),
    ]
    assert found(Repository(sensors)) == [
        ("OS Critical Stop #0x01", ("run-time critical stop",)),
        ("Critical Interrupt #0x02", ("NMI/Diag Interrupt", "software NMI")),
        ("Watchdog 2 #0x03", ("timer interrupt",)),
    ]


def test_states_that_stop_nothing_are_left_out() -> None:
    bus_errors, soft_shutdown = Sensor(1, CRITICAL_INTERRUPT, "bus", 1 << 7), Sensor(2, OS_STOP, "os", 1 << 4)
    assert found(Repository([bus_errors, soft_shutdown])) == []


@pytest.mark.parametrize("flags", [SCANNING | UNAVAILABLE, 0])
def test_a_sensor_that_is_not_being_read_says_nothing(flags: int) -> None:
    assert found(Repository([Sensor(1, OS_STOP, "os", 0b10)], flags)) == []


def test_only_stop_sensors_are_asked() -> None:
    repository = Repository([Sensor(1, 0x01, "temperature", 1), Sensor(2, 0x0C, "memory", 2)])
    assert found(repository) == []
    assert repository.readings == 0


def test_a_sensor_of_another_controller_is_not_ours_to_read() -> None:
    repository = Repository([Sensor(1, OS_STOP, "os", 0b10)])
    repository.records[0] = repository.records[0][:5] + b"\x2c" + repository.records[0][6:]
    assert found(repository) == []


def test_a_record_that_is_too_short_for_a_sensor_is_passed_over() -> None:
    repository = Repository([Sensor(1, OS_STOP, "os", 0b10)])
    repository.records.insert(0, struct.pack("<HBBB", 1, 0x51, 0xC0, 3) + b"oem")
    assert [name for name, _ in found(repository)] == ["OS Critical Stop #0x01"]


def test_an_empty_repository_has_no_sensors() -> None:
    assert found(Repository([])) == []


def test_a_repository_that_loops_is_the_peer_s_failure() -> None:
    record = Sensor(1, 0x01, "temperature").record(1)
    with pytest.raises(PeerFailedError, match="do not end"):
        read_stop_sensors(lambda _netfn, _command, _data: Reply(0, struct.pack("<H", 1) + record[:14]))


@given(st.lists(st.tuples(st.sampled_from([0, 0, 0, 0xCA, 0xCB]), st.binary(max_size=30)), min_size=1))
def test_whatever_a_bmc_answers_reading_ends(answers: list[tuple[int, bytes]]) -> None:
    replies = iter(answers * 20_000)

    def ask(_netfn: int, _command: int, _data: bytes) -> Reply:
        return Reply(*next(replies))

    try:
        read_stop_sensors(ask)
    except AdapterError:
        return


def test_the_watchdog_s_answer_is_read() -> None:
    data = struct.pack("<BBBBHH", 0x44, 0x01, 0, 0, 6000, 1234)
    assert decode_watchdog(data) == WatchdogState(True, "hard reset", 600.0, 123.4)


def test_a_stopped_watchdog_is_not_running() -> None:
    assert decode_watchdog(bytes(8)) == WatchdogState(False, "none", 0.0, 0.0)


@pytest.mark.parametrize(("action", "name"), [(2, "power down"), (3, "power cycle"), (7, "reserved (7)")])
def test_every_action_has_a_name(action: int, name: str) -> None:
    assert decode_watchdog(bytes([0x40, action | 0x30])).action == name  # 0x30: a pre-timeout interrupt


def test_an_answer_without_the_countdowns_leaves_them_unknown() -> None:
    data = struct.pack("<BBBBH", 0x44, 0x01, 0, 0, 6000)
    assert decode_watchdog(data) == WatchdogState(True, "hard reset", 600.0, None)
    assert decode_watchdog(data[:5]).initial_s is None


@given(st.binary(max_size=16))
def test_any_answer_is_a_state_or_an_error_of_the_peer(data: bytes) -> None:
    if len(data) < 2:
        with pytest.raises(PeerFailedError):
            decode_watchdog(data)
    else:
        decode_watchdog(data)
