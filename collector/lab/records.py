"""What a BMC remembers: its sensors, its event log, its watchdog timer.

Section numbers are of the IPMI 2.0 specification, revision 1.1.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field

OS_STOP, CRITICAL_INTERRUPT, WATCHDOG_2 = 0x20, 0x13, 0x23
"""Sensor types (table 42-3) that tell that the operating system stopped."""

SENSOR_SPECIFIC = 0x6F
"""Event/reading type code (table 42-1): the states are those of the sensor's type."""


@dataclass(slots=True)
class WatchdogTimer:
    """Get Watchdog Timer's fields (section 27.7). Countdowns in seconds."""

    running: bool = False
    action: int = 0  # 0 none, 1 hard reset, 2 power down, 3 power cycle
    initial: float = 0.0
    present: float = 0.0

    def encode(self) -> bytes:
        """Eight bytes: use (SMS/OS), actions, pre-timeout interval, expirations, and two countdowns."""
        use = 0x04 | (0x40 if self.running else 0)
        return struct.pack("<BBBBHH", use, self.action, 0, 0, int(self.initial * 10), int(self.present * 10))


@dataclass(slots=True)
class Sensor:
    """A discrete sensor. `states` is a bit mask: bit n is the offset n of its type in table 42-3."""

    number: int
    type: int
    name: str
    states: int = 0

    def record(self, number: int) -> bytes:
        """The compact sensor record (table 43-2) of this sensor, as record `number` of the repository."""
        name = self.name.encode("ascii")[:16]
        body = struct.pack(
            "<BBB BBBB BB HHH BBB BB BB 3xB",
            0x20, 0x00, self.number,  # owner (the BMC itself), channel and LUN, number
            0x07, 0x01, 0x67, 0x40,  # entity: system board 1; scanning on after reset; no thresholds
            self.type, SENSOR_SPECIFIC,
            0x7FFF, 0x7FFF, 0x7FFF,  # events and readings that there may be
            0xC0, 0x00, 0x00,  # no unit
            0x01, 0x00,  # one sensor has this record
            0x00, 0x00,  # no hysteresis
            0x00,  # nothing of the manufacturer's
        )  # fmt: skip
        body += bytes([0xC0 | len(name)]) + name
        return struct.pack("<HBBB", number, 0x51, 0x02, len(body)) + body


@dataclass(slots=True)
class EventFilters:
    """Platform Event Filtering (section 17): is it on, what may it do, and its filters of 20 bytes."""

    on: bool = False
    actions: int = 0x3F  # all that section 30.4 knows
    filters: list[bytes] = field(default_factory=list)

    def add(self, sensor_type: int, action: int, *, enabled: bool = True) -> None:
        """Add a filter for the first state of sensors of that type (table 17-2)."""
        self.filters.append(
            struct.pack(
                "<BBBB BBBBB H 9x",
                0x80 if enabled else 0x00, action, 0, 0x10,  # no alert policy; severity critical
                0xFF, 0xFF, sensor_type, 0xFF, SENSOR_SPECIFIC,  # whoever says it, by whatever sensor
                0x0001,
            )
        )  # fmt: skip

    def parameter(self, selector: int, number: int) -> bytes | None:
        """One parameter with its revision before it (table 30-6); None for one that is not there."""
        known = {
            1: bytes([self.on]),
            2: bytes([self.actions]),
            5: bytes([len(self.filters)]),
        }
        if selector == 6 and 1 <= number <= len(self.filters):  # noqa: PLR2004
            return bytes([0x11, number]) + self.filters[number - 1]
        return b"\x11" + known[selector] if selector in known else None


@dataclass(slots=True)
class EventLogMemory:
    """The SEL: records of 16 bytes, numbered from 1 (section 32)."""

    records: list[bytes] = field(default_factory=list)
    last_change: int = 0  # seconds since the epoch
    capacity: int = 1000  # records
    clock_ahead: float = 0.0  # seconds; minus infinity stands for a clock that nobody set

    def add(self, sensor: Sensor, state: int) -> None:
        """Log that `state`, an offset of the sensor's type, was asserted now."""
        now, revision = int(time.time()), 0x04
        self.add_raw(
            struct.pack(
                "<BIHBBBBBBB", 0x02, now, 0x0020, revision, sensor.type, sensor.number,
                SENSOR_SPECIFIC, state, 0xFF, 0xFF,
            )
        )  # fmt: skip

    def add_raw(self, record: bytes) -> None:
        """Append 14 bytes: a record from its type on, without its number."""
        self.records.append(struct.pack("<H", len(self.records) + 1) + record)
        self.last_change = int(time.time())


def stop_sensors() -> list[Sensor]:
    """One sensor of each type, with nothing asserted."""
    return [
        Sensor(0x01, OS_STOP, "OS Stop"),
        Sensor(0x02, CRITICAL_INTERRUPT, "NMI"),
        Sensor(0x03, WATCHDOG_2, "Watchdog"),
    ]
