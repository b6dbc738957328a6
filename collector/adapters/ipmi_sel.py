"""The System Event Log: read it whole, read it bounded, and say what its records mean.

Section numbers are of the IPMI 2.0 specification, revision 1.1. Records are read one by one and decoded
here: pyghmi's own reader first reads every sensor's record, and follows a log that points back to itself
for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from collector.adapters.answers import LogEvent, LogRoom
from collector.adapters.ipmi_codes import NOT_PRESENT, require
from collector.adapters.ipmi_session import Reply
from collector.errors import AdapterError

Ask = Callable[[int, int, bytes], Reply]
"""Network function, command, data; returns the BMC's reply. Raises: AdapterError."""

OS_STOP, CRITICAL_INTERRUPT, WATCHDOG_2 = 0x20, 0x13, 0x23
SENSOR_SPECIFIC = 0x6F
"""Event/reading type code (table 42-1): the states are those of the sensor's type in table 42-3."""

STORAGE = 0x0A
_GET_SEL_INFO, _GET_SEL_ENTRY, _GET_SEL_TIME = 0x40, 0x43, 0x48
_FREE_UNKNOWN, _OVERFLOW = 0xFFFF, 0x80  # section 31.2: FFFFh stands for 65535 bytes or more
_FIRST, _LAST, _WHOLE = 0x0000, 0xFFFF, 0xFF
_RECORD_BYTES = 16
_MAX_RECORDS = 8192
_SINCE_START = 0x2000_0000  # below it, a time counts seconds since the BMC started (section 37.1)
_NO_TIME = 0xFFFF_FFFF

_STANDARD, _OEM_TIMED, _OEM_UNTIMED, _LINUX_PANIC = 0x02, 0xC0, 0xE0, 0xF0

_TYPES = {OS_STOP: "OS Critical Stop", CRITICAL_INTERRUPT: "Critical Interrupt", WATCHDOG_2: "Watchdog 2"}
_STATES: Mapping[int, Mapping[int, str]] = {
    OS_STOP: {
        0: "critical stop while the OS loaded",
        1: "run-time critical stop",
        2: "OS graceful stop",
        3: "OS graceful shutdown",
        4: "soft shutdown by platform event filtering",
        5: "agent not responding",
    },
    CRITICAL_INTERRUPT: {
        0: "NMI/Diag Interrupt",
        1: "bus timeout",
        2: "I/O channel check NMI",
        3: "software NMI",
        4: "PCI PERR",
        5: "PCI SERR",
        6: "EISA fail-safe timeout",
        7: "bus correctable error",
        8: "bus uncorrectable error",
        9: "fatal NMI",
        10: "bus fatal error",
        11: "bus degraded",
    },
    WATCHDOG_2: {
        0: "timer expired",
        1: "hard reset",
        2: "power down",
        3: "power cycle",
        8: "timer interrupt",
    },
}


def read_sel(ask: Ask) -> Sequence[LogEvent]:
    """All records, oldest first.

    Where reading had to stop early, what was read is kept and a last event says so: the log loops, has more
    than 8192 records, is cleared while it is read, or the BMC does not answer any more.

    Raises:
        AdapterError: the BMC gave nothing.
    """
    events: list[LogEvent] = []
    seen: set[int] = set()
    number = _FIRST
    while number != _LAST:
        if number in seen:
            return [*events, _stopped(f"record {number} comes round again")]
        if len(seen) == _MAX_RECORDS:
            return [*events, _stopped(f"there are more than {_MAX_RECORDS} records")]
        seen.add(number)
        try:
            reply = ask(STORAGE, _GET_SEL_ENTRY, struct.pack("<HHBB", 0, number, 0, _WHOLE))
            if reply.code == NOT_PRESENT and not events:
                return []
            data = require(reply, "read its event log", 2)
        except AdapterError as error:
            if not events:
                raise
            return [*events, _stopped(error.message)]
        (number,) = struct.unpack_from("<H", data)
        events.append(decode(data[2 : 2 + _RECORD_BYTES]))
    return events


def read_room(ask: Ask) -> LogRoom:
    """How full the log is: Get SEL Info (section 31.2). Raises: AdapterError."""
    data = require(ask(STORAGE, _GET_SEL_INFO, b""), "say how full its event log is", 14)
    _version, records, free = struct.unpack_from("<BHH", data)
    return LogRoom(records, None if free == _FREE_UNKNOWN else free, overflow=bool(data[13] & _OVERFLOW))


def read_clock(ask: Ask) -> datetime | None:
    """The BMC's clock: Get SEL Time (section 31.10), which knows no time zone; taken for UTC.

    None when it counts from its own start, because nobody has set it. Raises: AdapterError.
    """
    (seconds,) = struct.unpack_from("<I", require(ask(STORAGE, _GET_SEL_TIME, b""), "tell its time", 4))
    return _time(seconds)


def decode(record: bytes) -> LogEvent:
    """One record (section 32.1 to 32.3). What cannot be understood is kept as hex."""
    if len(record) < _RECORD_BYTES:
        return LogEvent("?", None, "damaged record", f"{len(record)} bytes", record.hex())
    number, kind, seconds, _generator, _revision, sensor_type, sensor, event_type, state = struct.unpack_from(
        "<HBIHBBBBB", record
    )
    name, raw = str(number), record.hex()
    if kind == _STANDARD:
        text = describe(sensor_type, event_type & 0x7F, state & 0x0F)
        gone = " (deasserted)" if event_type & 0x80 else ""
        return LogEvent(name, _time(seconds), f"{type_name(sensor_type)} #{sensor:#04x}", text + gone, raw)
    if kind == _LINUX_PANIC:  # written by the kernel's ipmi_msghandler with panic_op=string
        return LogEvent(name, None, "Linux kernel panic", _printable(record[5:].split(b"\0")[0]), raw)
    time = _time(seconds) if _OEM_TIMED <= kind < _OEM_UNTIMED else None
    return LogEvent(name, time, f"record of type {kind:#04x}", record[3:].hex(" "), raw)


def type_name(sensor_type: int) -> str:
    """The name of a sensor type in table 42-3."""
    from pyghmi.ipmi.private.constants import sensor_type_codes

    return str(_TYPES.get(sensor_type) or sensor_type_codes.get(sensor_type) or f"type {sensor_type:#04x}")


def describe(sensor_type: int, event_type: int, state: int) -> str:
    """What a state of a sensor means: tables 42-2 (generic) and 42-3 (by type of sensor)."""
    from pyghmi.ipmi.private import constants

    if event_type != SENSOR_SPECIFIC:
        known = constants.generic_type_offsets.get(event_type, {}).get(state)
    elif state in (own := _STATES.get(sensor_type, {})):
        return own[state]
    else:
        known = constants.sensor_type_offsets.get(sensor_type, {}).get(state)
    return str(known["desc"]) if known else f"state {state} of event type {event_type:#04x}"


def _time(seconds: int) -> datetime | None:
    if seconds <= _SINCE_START or seconds == _NO_TIME:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _printable(text: bytes) -> str:
    return "".join(chr(byte) if chr(byte).isprintable() else f"\\x{byte:02x}" for byte in text)


def _stopped(why: str) -> LogEvent:
    return LogEvent("", None, "event log incomplete", f"reading stopped here: {why}")
