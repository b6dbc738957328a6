"""What a BMC senses of the operating system: its stop sensors, and its watchdog timer.

Section numbers are of the IPMI 2.0 specification, revision 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from collector.adapters.answers import StopSensor, WatchdogState
from collector.adapters.ipmi_codes import COMPLETED, NOT_PRESENT, require
from collector.adapters.ipmi_sel import (
    CRITICAL_INTERRUPT,
    OS_STOP,
    SENSOR_SPECIFIC,
    STORAGE,
    WATCHDOG_2,
    Ask,
    describe,
    type_name,
)
from collector.adapters.ipmi_session import Reply
from collector.errors import PeerFailedError

_SENSOR_EVENT, _GET_SENSOR_READING, _GET_SDR = 0x04, 0x2D, 0x23
_FIRST, _LAST = 0x0000, 0xFFFF
_HEADER_BYTES, _NEEDED_BYTES = 5, 14  # of a sensor record: its header; up to the event/reading type
_FULL_RECORD, _COMPACT_RECORD = 0x01, 0x02
_BMC, _BMC_LUN = 0x20, 0x00
_UNAVAILABLE, _SCANNING = 0x20, 0x40  # second byte of Get Sensor Reading, section 35.14
_MAX_RECORDS = 4096

_STOPS: Mapping[int, frozenset[int]] = {
    OS_STOP: frozenset({0, 1, 2, 3}),
    CRITICAL_INTERRUPT: frozenset({0, 2, 3, 9}),  # the NMIs; bus errors do not stop a system by themselves
    WATCHDOG_2: frozenset({0, 1, 2, 3, 8}),
}
"""The states, by sensor type, that tell that the system stopped or was interrupted (table 42-3)."""

_ACTIONS = ("none", "hard reset", "power down", "power cycle")
_WATCHDOG_BYTES, _WITH_INITIAL, _RUNNING = 8, 6, 0x40


def read_stop_sensors(ask: Ask) -> Sequence[StopSensor]:
    """The sensors on the BMC itself of which a state is asserted that tells of a stop.

    Names are type and number: reading a sensor's own name takes further round trips for each.

    Raises:
        AdapterError: the sensor data repository cannot be read, or has no end.
    """
    found: list[StopSensor] = []
    for record in _sensor_records(ask):
        kind, owner, lun, number = record[3], record[5], record[6] & 0x03, record[7]
        sensor_type, reading_type = record[12], record[13]
        if kind not in (_FULL_RECORD, _COMPACT_RECORD) or (owner, lun) != (_BMC, _BMC_LUN):
            continue
        if sensor_type not in _STOPS or reading_type != SENSOR_SPECIFIC:
            continue
        states = sorted(_STOPS[sensor_type] & _asserted(ask, number))
        if states:
            name = f"{type_name(sensor_type)} #{number:#04x}"
            found.append(StopSensor(name, tuple(describe(sensor_type, reading_type, s) for s in states)))
    return found


def _sensor_records(ask: Ask) -> Iterator[bytes]:
    """The first bytes of each record of the repository that is long enough to be a sensor's."""
    seen: set[int] = set()
    number = _FIRST
    while number != _LAST:
        if number in seen or len(seen) == _MAX_RECORDS:
            raise PeerFailedError(
                f"the BMC's sensor records do not end: after {len(seen)} of them comes {number} again",
                hint="The BMC's firmware is at fault; look for an update.",
            )
        seen.add(number)
        reply = _read_record(ask, number, _NEEDED_BYTES)
        if reply.code != COMPLETED:
            reply = _read_record(ask, number, _HEADER_BYTES)  # it may be shorter than what we need
        if reply.code == NOT_PRESENT and number == _FIRST:
            return
        data = require(reply, "list its sensors", 2)
        (number,) = struct.unpack_from("<H", data)
        if len(data) >= 2 + _NEEDED_BYTES:
            yield data[2:]


def _read_record(ask: Ask, number: int, length: int) -> Reply:
    """Get SDR (section 33.12). Reading from the start of a record needs no reservation."""
    return ask(STORAGE, _GET_SDR, struct.pack("<HHBB", 0, number, 0, length))


def _asserted(ask: Ask, number: int) -> frozenset[int]:
    """Offsets of the states that are asserted; none where the sensor is not being read (section 35.14)."""
    reply = ask(_SENSOR_EVENT, _GET_SENSOR_READING, bytes([number]))
    if reply.code != COMPLETED or len(reply.data) < 3:  # noqa: PLR2004 - reading, flags, states
        return frozenset()
    flags = reply.data[1]
    if flags & _UNAVAILABLE or not flags & _SCANNING:
        return frozenset()
    mask = int.from_bytes(reply.data[2:4], "little") & 0x7FFF
    return frozenset(offset for offset in range(15) if mask >> offset & 1)


def decode_watchdog(data: bytes) -> WatchdogState:
    """Get Watchdog Timer's answer (section 27.7); some BMCs leave out the countdowns at its end.

    Raises:
        PeerFailedError: there are not even the first two bytes.
    """
    if len(data) < 2:  # noqa: PLR2004 - use and actions
        raise PeerFailedError(
            f"the BMC's answer about its watchdog timer has {len(data)} bytes, not {_WATCHDOG_BYTES}",
            hint="Read it by `ipmitool mc watchdog get`, or look in the BMC's web pages.",
        )
    action = data[1] & 0x07
    return WatchdogState(
        running=bool(data[0] & _RUNNING),
        action=_ACTIONS[action] if action < len(_ACTIONS) else f"reserved ({action})",
        initial_s=_countdown(data[4:_WITH_INITIAL]),
        present_s=_countdown(data[_WITH_INITIAL:_WATCHDOG_BYTES]),
    )


def _countdown(field: bytes) -> float | None:
    """Seconds, from a field that counts 100 ms; None where the answer was cut."""
    return int.from_bytes(field, "little") / 10 if len(field) == 2 else None  # noqa: PLR2004 - a word
