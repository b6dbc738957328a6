"""I/O: `!irp`, `!irpfind`, `!devstack`, `!storunit`. Source: Microsoft, the pages of these commands."""

from __future__ import annotations

import dataclasses
import re

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.machine import DeviceStack, StorageUnit
from collector.triage.model import Irp, IrpLocation
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

MOST_LOCATIONS = 64
MOST_DEVICES = 64

_IRP_COMMAND = re.compile(r"!irp (?:0x)?([0-9a-fA-F][0-9a-fA-F`]{7,16})")
_IRP_THREAD = re.compile(rf"Thread ({HEX})")
_LOCATION = re.compile(r"\s*(?P<current>>)?\s*\[\s*(?P<major>[^,\]]+),[^\]]*\](?P<rest>.*)")
_COLUMNS = re.compile(rf"\s*[0-9a-f]+\s+[0-9a-f]+\s+({HEX})\s+{HEX}\s+(\S+)(.*)")
_DRIVER = re.compile(r"\s*(\\(?:Driver|FileSystem)\\\S+)(?:\s+(\S+![^\s]+))?")
_IRP_ROW = re.compile(rf"\s*({HEX}) \[({HEX})\] irpStack: \(\s*(\w+),\s*\w+\)\s+({HEX}) \[\s*([^\]]*?)\s*\]")
_DEVICE = re.compile(rf">?\s*({HEX})\s+(\\(?:Driver|FileSystem)\\\S+|\S+)\s")
_UNIT = re.compile(
    rf"(?P<product>\S.*?)\s+\d+\s+\d+\s+\d+\s+(?P<address>{HEX})\s+{HEX}\s+\d+\s+(?P<out>\d{{1,9}})\s+\d+\s+(?P<state>\w+)"
)


def read_irp(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!irp`. Its address is in the command only."""
    number = lines.number
    thread: int | None = None
    locations: list[IrpLocation] = []
    line = lines.line
    while line is not None:
        if thread is None and (found := _IRP_THREAD.search(line)):
            thread = address(found[1])
        _take_location(line, lines.number, locations)
        line = lines.advance()
        if line is not None and opening(line) and not _LOCATION.match(line):
            break
    command = _IRP_COMMAND.match(gathered.command)
    if command is not None:
        gathered.add("irps", Irp(number, address(command[1]), thread, tuple(locations)))


def _take_location(line: str, number: int, locations: list[IrpLocation]) -> None:
    found = _LOCATION.match(line)
    if found is not None:
        if len(locations) < MOST_LOCATIONS:
            place = IrpLocation(number, found["major"].strip(), current=found["current"] is not None)
            locations.append(_with_columns(place, found["rest"]))
    elif not locations:
        return
    elif driver := _DRIVER.match(line):
        completion = driver[2] or locations[-1].completion
        locations[-1] = dataclasses.replace(locations[-1], driver=driver[1], completion=completion)
    elif locations[-1].device is None:
        locations[-1] = _with_columns(locations[-1], line)


def _with_columns(place: IrpLocation, columns: str) -> IrpLocation:
    found = _COLUMNS.match(columns)
    if found is None:
        return place
    completion = found[2] if "!" in found[2] else ""
    pending = "pending" in found[3].lower()
    return dataclasses.replace(place, device=address(found[1]), pending=pending, completion=completion)


def read_irp_row(lines: Lines, gathered: Gathered) -> None:
    """Read one row of `!irpfind`."""
    row = _IRP_ROW.match(lines.line or "")
    if row is not None:
        place = IrpLocation(lines.number, row[3], address(row[4]), row[5], current=True)
        gathered.add("irps", Irp(lines.number, address(row[1]), address(row[2]) or None, (place,)))
    lines.advance()


def read_device_stack(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!devstack`."""
    number = lines.number
    devices: list[int] = []
    drivers: list[str] = []
    while (line := lines.advance()) is not None and (row := _DEVICE.match(line)):
        if len(devices) < MOST_DEVICES:
            devices.append(address(row[1]))
            drivers.append(row[2])
    gathered.add("device_stacks", DeviceStack(number, tuple(devices), tuple(drivers)))


def read_storage_units(lines: Lines, gathered: Gathered) -> None:
    """Read the table of disks of `!storunit`."""
    while (line := lines.advance()) is not None and not opening(line):
        if row := _UNIT.match(line.strip()):
            unit = StorageUnit(
                lines.number, row["product"], address(row["address"]), int(row["out"]), row["state"]
            )
            gathered.add("storage_units", unit)
