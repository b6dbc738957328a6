"""Messages between processes: `!lpc message` (to Windows Server 2003), `!alpc /m` (since Vista).

Source: Microsoft, "!lpc", "!alpc".
"""

from __future__ import annotations

import re
from typing import Any

from collector.triage.gather import Gathered
from collector.triage.kd_stack import address
from collector.triage.model import LpcMessage
from collector.triage.openings import HEX, opening
from collector.triage.text import Lines

_SEARCHING = re.compile(r"\s*Searching message ([0-9a-fA-F][0-9a-fA-F`]{0,16}) in")
_SERVER = re.compile(rf"\s*Server thread ({HEX}) is working on message ([0-9a-fA-F][0-9a-fA-F`]{{0,16}})")
_CLIENT = re.compile(rf"\s*Client thread ({HEX}) waiting a reply from ([0-9a-fA-F][0-9a-fA-F`]{{0,16}})")
_SERVER_PROCESS = re.compile(rf"\s*Server process\s*: ({HEX}) \(([^)]*)\)")
_PORT_NAME = re.compile(r"\s*Server connection port\s*:? (?:0x)?[0-9a-fA-F][0-9a-fA-F`]{0,16}\s+Name: (\S.*)")

_ALPC_HEADER = re.compile(rf"\s*Message (?:@ )?({HEX})")
_ALPC_FIELD = re.compile(rf"\s*(\w+)\s+: (?:0x)?({HEX})(?: \(([^)]*)\)| \[([^\]]*)\])?")


def read_lpc_message(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!lpc message`: who works on it, and who waits for the reply."""
    fields: dict[str, Any] = {"line": lines.number}
    while (line := lines.line) is not None:
        taken = _take_lpc(line, fields)
        if not taken and opening(line):
            break
        lines.advance()
    if "message" in fields:
        gathered.add("lpc_messages", LpcMessage(**fields))


def _take_lpc(line: str, fields: dict[str, Any]) -> bool:
    """Take a line; False when it is none of these, or speaks of another message."""
    for form, name in ((_SERVER, "server_thread"), (_CLIENT, "client_thread")):
        if found := form.match(line):
            message = address(found[2])
            if fields.setdefault("message", message) != message:
                return False
            fields[name] = address(found[1])
            return True
    if found := _SEARCHING.match(line):
        message = address(found[1])
        return bool(fields.setdefault("message", message) == message)
    if found := _SERVER_PROCESS.match(line):
        fields["server_process"], fields["server_image"] = address(found[1]), found[2]
        return True
    if found := _PORT_NAME.match(line):
        fields["port"] = found[1]
        return True
    return False


def read_alpc_message(lines: Lines, gathered: Gathered) -> None:
    """Read the answer of `!alpc /m`: who waits, whose queue it is in, who works on it."""
    header = _ALPC_HEADER.match(lines.line or "")
    fields: dict[str, Any] = {"line": lines.number, "alpc": True}
    while (line := lines.advance()) is not None and not opening(line):
        found = _ALPC_FIELD.match(line)
        if found is None or not address(found[2]):
            continue
        if found[1] == "WaitingThread":
            fields["client_thread"] = address(found[2])
        elif found[1] == "ServerThread":
            fields["server_thread"] = address(found[2])
        elif found[1] == "QueuePortOwnerProcess":
            fields["server_process"], fields["server_image"] = address(found[2]), found[3] or ""
        elif found[1] == "QueuePort":
            fields["port"] = found[2]
    if header is not None:
        gathered.add("lpc_messages", LpcMessage(message=address(header[1]), **fields))
