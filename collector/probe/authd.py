"""authd, which ESXi's consoles and file copies log in to: its banner, on port 902.

It is the first thing that is said, in user mode, by a process of its own:
`220 VMware Authentication Daemon Version 1.10: SSL Required, ...`. Nothing is sent, and nobody logs in.
"""

from __future__ import annotations

from collector.probe.conversation import StreamConversation
from collector.probe.observation import printable

_BANNER = b"220 VMware Authentication Daemon Version "
_LINE_LIMIT = 512  # bytes; the longest that is known has about 150


class AuthdConversation(StreamConversation):
    """PROVED by the banner; the server speaks first."""

    __slots__ = ()

    def _advance(self) -> bytes:
        line, newline, _ = bytes(self._buffer[:_LINE_LIMIT]).partition(b"\n")
        if not line.startswith(_BANNER[: len(line)]):
            self._stop("not the banner of the VMware authentication daemon")
        elif newline and line.startswith(_BANNER):
            self.evidence["banner"] = printable(line.rstrip(b"\r"), 255)
            self._prove()
        elif newline or len(self._buffer) >= _LINE_LIMIT:
            self._stop("the banner does not end as it should")
        return b""
