"""paramiko's transport, bounded: a peer may send what it likes, and we neither fill up nor get stuck.

What paramiko 5.1 leaves open, and is closed here:

- A channel keeps everything the peer sends, whatever the window: `Inbox` has a limit, and is faster too.
- A packet may claim four gigabytes, a greeting may never end its line: `_Packetizer` sets limits.
- A handshake is given up after 15 s, whatever the deadline, and its timer's thread outlives the connection.
- Who sends during a key exchange waits for its end up to 30 s, whatever its deadline. The transport's own
  thread, when a channel closes just then, waits for itself, and the connection is lost.
- A channel that the peer opens after we gave up waiting stays open there, and counts in its MaxSessions.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from paramiko import Transport as ParamikoTransport
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout
from paramiko.channel import Channel
from paramiko.common import MSG_EXT_INFO, MSG_USERAUTH_INFO_REQUEST, cMSG_CHANNEL_CLOSE
from paramiko.message import Message
from paramiko.packet import Packetizer
from paramiko.ssh_exception import SSHException

MAX_PACKET = 256 * 1024
"""Largest SSH packet in bytes, OpenSSH's limit (`packet.c`, PACKET_MAX_SIZE). RFC 4253 section 6.1 asks
for 35,000 at least."""

MAX_GREETING = 64 * 1024
"""Bytes a server may send before its version line (RFC 4253 section 4.2)."""

MAX_UNREAD = 16 * 1024 * 1024
"""Bytes that may wait unread on one channel. Callers open windows, or ask for data, below this."""

MAX_HELD = 1000
"""Messages that may wait for the end of a key exchange. We send some dozen in that time."""

MAX_ITEMS = 64
"""Extensions (RFC 8308 section 2.3) or prompts (RFC 4256 section 3.2) that one message may hold."""

CIPHER = "aes128-gcm@openssh.com"
"""Asked for first: one pass for secrecy and integrity, and the fastest one that paramiko has."""

KEEPALIVE_S = 30
"""Seconds of silence after which a packet is sent, so that no firewall forgets a long quiet command."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # else Python prints its tracebacks


class Inbox:
    """What the peer has sent on a channel and nobody has read; takes the place of paramiko's pipe.

    Pieces are handed on as they came. paramiko's own pipe copies everything behind a read to the front.
    """

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()
        self._event: threading.Event | None = None

    def set_event(self, event: threading.Event) -> None:
        """Set `event` whenever there is something to read, and at the end. Who waits for it clears it."""
        with self._changed:
            self._event = event
            event.set()

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises `SSHException`, which ends the connection, when too much waits."""
        with self._changed:
            self._size += len(data)
            if self._size > MAX_UNREAD:
                raise SSHException("the peer sent more than it was asked for")
            self._pieces.append(data)
            self._wake()

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        """Return up to `nbytes` bytes, or nothing at the end.

        Raises:
            PipeTimeout: nothing came in `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._pieces or self._closed, timeout):
                raise PipeTimeout
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > nbytes:
                self._pieces.appendleft(piece[nbytes:])
                piece = piece[:nbytes]
            self._size -= len(piece)
            return piece

    def read_ready(self) -> bool:
        """True if `read` would return bytes at once."""
        return bool(self._pieces)

    @property
    def ended(self) -> bool:
        """True once nothing is left and nothing more will come."""
        with self._changed:
            return self._closed and not self._pieces

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._closed = True
            self._wake()

    def __len__(self) -> int:
        return self._size

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._event is not None:
            self._event.set()


def at_end(channel: Channel) -> bool:
    """True once everything that the peer sent on either stream is read, and nothing more will come."""
    boxes: tuple[object, ...] = (channel.in_buffer, channel.in_stderr_buffer)
    return all(isinstance(box, Inbox) and box.ended for box in boxes)


class _Packetizer(Packetizer):
    """Refuses what no server has reason to send."""

    _greeting = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read exactly `n` bytes."""
        if n > MAX_PACKET:
            raise SSHException(f"the peer announced a packet of {n} bytes")
        return super().read_all(n, check_rekey)

    def read_message(self) -> tuple[int, Message]:
        """Read one message; refuse a count that paramiko would loop over for hours."""
        kind, message = super().read_message()
        if kind in (MSG_EXT_INFO, MSG_USERAUTH_INFO_REQUEST):
            for _ in range(3 if kind == MSG_USERAUTH_INFO_REQUEST else 0):
                message.get_binary()  # name, instruction and language tag, RFC 4256 section 3.2
            if message.get_int() > MAX_ITEMS:
                raise SSHException("the peer announced more items than a message can hold")
            message.rewind()
        return kind, message

    def start_handshake(self, timeout: float) -> None:
        """Start no timer: who connects has a deadline, and closes the transport by it."""

    def _read_timeout(self, timeout: float) -> bytes:
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeting += len(data)
        if self._greeting > MAX_GREETING:
            raise SSHException(f"no version line in the first {MAX_GREETING} bytes")
        return data


class _Gate(threading.Event):
    """Open while no key exchange is under way. Who opens it holds `clear_to_send_lock`."""

    def __init__(self, let_out: Callable[[], None]) -> None:
        super().__init__()
        self._let_out = let_out

    def set(self) -> None:
        """Open it, after those who came before have gone through."""
        self._let_out()
        super().set()


class Transport(ParamikoTransport):
    """One SSH connection over a connected socket, or over a channel through another one.

    `farewell` is the reason that the peer gave when it hung up, empty if it gave none.
    """

    def __init__(self, sock: socket.socket | Channel) -> None:
        super().__init__(sock, packetizer_class=_Packetizer)
        self.farewell = ""
        self._held: deque[Message] = deque()
        self.clear_to_send = _Gate(self._let_out)
        options = self.get_security_options()
        options.ciphers = (CIPHER, *(name for name in options.ciphers if name != CIPHER))

    def prefer_host_keys(self, kinds: set[str]) -> None:
        """Ask for host keys of these kinds first: a host with several keys shows the one that is known."""
        options = self.get_security_options()
        options.key_types = sorted(
            options.key_types, key=lambda name: ("ssh-rsa" if name.startswith("rsa-") else name) not in kinds
        )

    def keep_alive(self) -> None:
        """Send something now and then from here on; before the login a server would not expect it."""
        self.set_keepalive(KEEPALIVE_S)

    def end(self) -> None:
        """Close the connection and its socket, and wait a moment for the thread that reads it."""
        self.close()
        self.sock.close()
        if self.is_alive():
            self.join(2.0)

    def _send_user_message(self, data: Message) -> None:
        """Send now, or after the key exchange that is under way; in order, and without waiting for it."""
        with self.clear_to_send_lock:
            if self.clear_to_send.is_set():
                self._send_message(data)  # type: ignore[attr-defined]
            elif len(self._held) < MAX_HELD:
                self._held.append(data)
            else:
                raise SSHException("a key exchange does not come to its end")

    def _let_out(self) -> None:
        while self._held:
            self._send_message(self._held.popleft())  # type: ignore[attr-defined]

    def _parse_channel_open_success(self, m: Message) -> None:
        """Give the channel its inboxes in the thread that fills them, before its first byte arrives.

        One that nobody waits for any longer is closed at the peer.
        """
        if self._channels.get(m.get_int()) is None:  # type: ignore[attr-defined]
            farewell = Message()
            farewell.add_byte(cMSG_CHANNEL_CLOSE)
            farewell.add_int(m.get_int())
            self._send_user_message(farewell)
            return
        m.rewind()
        channels: list[Channel] = self._channels.values()  # type: ignore[attr-defined]
        for channel in channels:
            if not isinstance(channel.in_buffer, Inbox):
                channel.in_buffer = cast("BufferedPipe[Any]", Inbox())
                channel.in_stderr_buffer = cast("BufferedPipe[Any]", Inbox())
        super()._parse_channel_open_success(m)  # type: ignore[misc]

    def _parse_disconnect(self, m: Message) -> None:
        m.get_int()  # the reason code, which OpenSSH does not distinguish
        self.farewell = m.get_text() or "no reason given"
