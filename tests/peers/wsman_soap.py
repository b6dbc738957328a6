"""SOAP as WS-Management uses it, seen from the server: requests are read, answers and faults are written.

DSP0226 (WS-Management), MS-WSMV (its extensions: shells, commands, faults of Windows).
"""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.sax.saxutils import escape

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"

OPERATION_TIMEOUT = 2150858793
SHELL_NOT_FOUND = 2150858843
ACCESS_DENIED = 5
ENVELOPE_TOO_LARGE = 2150858898
"""Codes of WSManFault; winerror.h, wsmerror.h."""

_SECONDS = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


@dataclass(frozen=True)
class Request:
    """One envelope. `operation` is the last word of the action's URI; Identify has no action."""

    operation: str
    message_id: str
    shell_id: str
    timeout: float
    max_envelope: int
    body: ET.Element
    options: dict[str, str]

    def text(self, name: str) -> str:
        """The text of an element of the body, by its name in the shell's name space."""
        return self.body.findtext(f".//{{{SHELL}}}{name}") or ""


@dataclass(frozen=True)
class WsmanFault(Exception):  # noqa: N818 - the protocol's word
    """What the server refuses, with its code."""

    code: int
    subcode: str
    reason: str


def parse(data: bytes) -> Request:
    """Read an envelope. Raises: ET.ParseError, KeyError."""
    root = ET.fromstring(data)
    header, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    assert body is not None
    if body.find(f"{{{IDENTITY}}}Identify") is not None:
        return Request("Identify", "", "", 60.0, 153_600, body, {})
    assert header is not None
    selectors = header.findall(f".//{{{WSMAN}}}Selector")
    hours, minutes, seconds = _duration(header.findtext(f"{{{WSMAN}}}OperationTimeout") or "PT60S")
    return Request(
        operation=(header.findtext(f"{{{ADDRESSING}}}Action") or "").rpartition("/")[2],
        message_id=header.findtext(f"{{{ADDRESSING}}}MessageID") or "",
        shell_id=next((s.text or "" for s in selectors if s.get("Name") == "ShellId"), ""),
        timeout=hours * 3600 + minutes * 60 + seconds,
        max_envelope=int(header.findtext(f"{{{WSMAN}}}MaxEnvelopeSize") or "153600"),
        body=body,
        options={
            option.get("Name", ""): option.text or "" for option in header.findall(f".//{{{WSMAN}}}Option")
        },
    )


def answer(request: Request, body: str) -> bytes:
    """The envelope that answers `request`."""
    spaces = f'xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}"'
    action = f"{SHELL}/{request.operation}Response"
    return (
        f"<s:Envelope {spaces}><s:Header><a:Action>{action}</a:Action>"
        f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{escape(request.message_id)}</a:RelatesTo>"
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def identity(
    vendor: str = "Microsoft Corporation", product: str = "OS: 10.0.20348 SP: 0.0 Stack: 3.0"
) -> str:
    """The body of an answer to Identify (DSP0226 section 11)."""
    return (
        f'<i:IdentifyResponse xmlns:i="{IDENTITY}"><i:ProtocolVersion>{WSMAN}</i:ProtocolVersion>'
        f"<i:ProductVendor>{vendor}</i:ProductVendor><i:ProductVersion>{product}</i:ProductVersion>"
        "</i:IdentifyResponse>"
    )


def fault(why: WsmanFault) -> bytes:
    """The envelope of a fault (MS-WSMV 2.2.4.43)."""
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:w="{WSMAN}" xmlns:a="{ADDRESSING}"><s:Header>'
        f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID></s:Header><s:Body><s:Fault><s:Code>"
        f"<s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{why.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(why.reason)}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{FAULT}" Code="{why.code}"><f:Message>{escape(why.reason)}</f:Message>'
        "</f:WSManFault></s:Detail></s:Fault></s:Body></s:Envelope>"
    ).encode()


def _duration(text: str) -> tuple[float, float, float]:
    match = _SECONDS.fullmatch(text)
    assert match is not None, text
    return float(match[1] or 0), float(match[2] or 0), float(match[3] or 0)
