"""Network adapters: `!ndiskd.miniports`, `.miniport`, `.oid`, `.minidriver -handlers`.

Source: Microsoft, "NDIS Extensions (Ndiskd.dll)".
"""

from __future__ import annotations

import re

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.machine import Minidriver, Miniport, OidRequest
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

MOST_FIELDS = 100

_ROW = re.compile(rf"\s*({HEX})\s+({HEX})\s+(\S.*)")
_HANDLE = re.compile(rf"\s*Ndis handle\s+({HEX})")
_DRIVER = re.compile(rf"\s*Miniport driver\s+({HEX})(?:\s+-\s+(\S.*))?")
_NAMES = (
    "Ndis API version",
    "Network interface",
    "Media type",
    "Device instance",
    "Miniport",
    "Device PnP",
    "Datapath",
    "NBL status",
    "Interface",
    "Media",
    "Power",
    "References",
    "User handles",
    "Automatic resets",
    "Resets requested",
    "Pending OID",
    "Flags",
    "PnP flags",
    "More flags",
)
_FIELD = re.compile(rf"\s*({'|'.join(sorted(_NAMES, key=len, reverse=True))})\s+(\S.*)")
_FLAGS = re.compile(r"[A-Z][A-Z0-9_]+")
_ONLY_FLAGS = re.compile(r"\s*[A-Z0-9_]+(?:, ?[A-Z0-9_]+)*,?\s*$")
_ARGUMENT = re.compile(rf"!ndiskd\.\w+ (?:0x)?({HEX})")
_OID = re.compile(r"\s*(OID_[A-Z0-9_]+)")
_COMPLETED = re.compile(r"\s*Completed:?\s+(\S.*)")
_HANDLER = re.compile(rf"\s*\w+\s+{HEX}\s+(?:\w+\s+)?([A-Za-z_]\w*)[+!]")


def _asked_for(gathered: Gathered) -> int | None:
    found = _ARGUMENT.match(gathered.command)
    return address(found[1]) if found else None


def read_miniports(lines: Lines, gathered: Gathered) -> None:
    """Read the table of adapters."""
    while (line := lines.advance()) is not None:
        if row := _ROW.match(line):
            port = Miniport(lines.number, address(row[2]), row[3].strip(), address(row[1]))
            gathered.add("miniports", port)
        elif line and opening(line):
            return


def read_miniport(lines: Lines, gathered: Gathered) -> None:
    """Read one adapter: its driver, its state, its flags, the OID request that it works on."""
    number = lines.number
    where, driver, name, driver_name = _asked_for(gathered), None, "", ""
    fields: dict[str, str] = {}
    field_lines: dict[str, int] = {}
    flags: list[str] = []
    in_flags = False
    while (line := lines.advance()) is not None and not opening(line):
        if handle := _HANDLE.match(line):
            where = address(handle[1])
        elif found := _DRIVER.match(line):
            driver, driver_name = address(found[1]), found[2] or ""
        elif found := _FIELD.match(line):
            fields.setdefault(found[1], found[2].strip())
            field_lines.setdefault(found[1], lines.number)
            in_flags = found[1].lower().endswith("flags")
            flags += _FLAGS.findall(found[2]) if in_flags else ()
        elif in_flags and len(flags) < MOST_FIELDS and _ONLY_FLAGS.match(line):
            flags += _FLAGS.findall(line)
        elif not name and line.strip():
            name = line.strip()
    if where is not None:
        pending = _OID.match(fields.get("Pending OID", ""))
        port = Miniport(
            line=number,
            address=where,
            name=name,
            driver=driver,
            driver_name=driver_name,
            fields=fields,
            field_lines=field_lines,
            flags=tuple(flags[:MOST_FIELDS]),
            pending_oid=pending[1] if pending else "",
        )
        gathered.add("miniports", port)


def read_oid_request(lines: Lines, gathered: Gathered) -> None:
    """Read one OID request."""
    number, where = lines.number, _asked_for(gathered)
    name, completed = "", None
    while (line := lines.advance()) is not None and not opening(line):
        if not name and (found := _OID.match(line)):
            name = found[1]
        elif found := _COMPLETED.match(line):
            completed = not found[1].lower().startswith(("not", "no"))
    gathered.add("oid_requests", OidRequest(number, where, name, completed))


def read_minidriver(lines: Lines, gathered: Gathered) -> None:
    """Read the handlers of a network driver: their symbols name its module."""
    number, where = lines.number, _asked_for(gathered)
    modules: dict[str, None] = {}
    line = lines.line
    while line is not None:
        if len(modules) < MOST_FIELDS and (found := _HANDLER.match(line)):
            modules.setdefault(found[1])
        line = lines.advance()
        if line is not None and (following := opening(line)) and following["minidriver"] is None:
            break
    gathered.add("minidrivers", Minidriver(number, where, tuple(modules)))
