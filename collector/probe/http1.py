"""The head of an HTTP/1 answer, as far as WinRM and HTTPS need it (RFC 9112)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

HEAD_LIMIT = 16384  # bytes; more than any server takes for a head by default

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")  # RFC 9112 section 4
_END = re.compile(rb"\r?\n\r?\n")
_BEGINNING = b"HTTP/1."
_IPV6 = 6


@dataclass(frozen=True, slots=True)
class Head:
    """Status and header fields; names in lower case, values as they came, the last of a name counts."""

    status: int
    fields: Mapping[str, bytes]


class NotHttpError(ValueError):
    """The bytes cannot be the beginning of an HTTP/1 answer."""


def read_head(data: bytes | bytearray) -> Head | None:
    """Read the head of the final answer; None while it is incomplete. Interim answers (1xx) are passed over.

    Raises:
        NotHttpError: this is no HTTP/1 answer, or its head is longer than `HEAD_LIMIT`.
    """
    at = 0
    while True:
        end = _END.search(data, at, HEAD_LIMIT)
        if end is None:
            if not data.startswith(_BEGINNING[: len(data) - at], at) or len(data) >= HEAD_LIMIT:
                raise NotHttpError("not an HTTP/1 answer")
            return None
        line = _STATUS_LINE.match(data, at)
        if line is None:
            raise NotHttpError("not an HTTP/1 answer")
        status = int(line[1])
        if status >= 200:  # noqa: PLR2004 - the first final status, RFC 9110 section 15
            return Head(status, _fields(bytes(data[line.end() : end.start()])))
        at = end.end()


def _fields(lines: bytes) -> dict[str, bytes]:
    pairs = (line.partition(b":") for line in lines.split(b"\n") if b":" in line)
    return {name.strip().lower().decode("latin-1"): value.strip() for name, _, value in pairs}


def host_field(name: str) -> str:
    """Write a host name or an IP address as the Host field wants it (RFC 9110 section 7.2).

    Raises:
        UnicodeError: no host can have this name.
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.encode("idna").decode("ascii")
    return f"[{address.compressed.partition('%')[0]}]" if address.version == _IPV6 else str(address)
