"""A BMC on a loopback port: RMCP+ sessions, chassis, event log, sensors, watchdog; and things that go wrong.

It is what the demo's NMI is sent to, and the peer that counts how many arrived. Real clients talk to it:
`ipmitool -I lanplus` and pyghmi. Section numbers are of the IPMI 2.0 specification, revision 1.1.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from collector.lab.records import (
    CRITICAL_INTERRUPT,
    EventFilters,
    EventLogMemory,
    WatchdogTimer,
    stop_sensors,
)
from collector.lab.rmcp import RMCP_HEADER, Account, Login, Privilege, Request, RmcpServer

PULSE_DIAGNOSTIC_INTERRUPT = 4
"""Chassis Control's name for the NMI (section 28.3)."""

_OK, _INVALID_COMMAND, _INVALID_LENGTH = 0x00, 0xC1, 0xC7  # completion codes, table 5-2
_NOT_PRESENT, _INVALID_FIELD, _NO_PRIVILEGE = 0xCB, 0xCC, 0xD4
_LAST = 0xFFFF  # record id: the last, or no further one
_MAX_DATAGRAM = 65_535

Reply = tuple[int, bytes]
"""A completion code (table 5-2), and data."""


class Machine(Protocol):
    """What the BMC's wires lead to. Called on the BMC's thread: return at once."""

    def powered_on(self) -> bool:
        """Is the machine on?"""
        ...

    def set_power(self, on: bool) -> None:
        """Power up or down."""
        ...

    def reset(self) -> None:
        """Hard reset."""
        ...

    def nmi(self) -> None:
        """The diagnostic interrupt is pulsed once."""
        ...


@dataclass(slots=True)
class Board:
    """A machine that only remembers what was done to it."""

    on: bool = True
    resets: int = 0
    nmis: int = 0

    def powered_on(self) -> bool:
        """As it was left."""
        return self.on

    def set_power(self, on: bool) -> None:
        """Remember it."""
        self.on = on

    def reset(self) -> None:
        """Count it."""
        self.resets += 1

    def nmi(self) -> None:
        """Count it."""
        self.nmis += 1


@dataclass(slots=True)
class Faults:
    """What goes wrong with Chassis Control; everything else is answered, until `vanish` takes effect.

    `answers` are given to other commands instead of what they ask for.
    """

    lose: float = 0  # so many answers are lost, from the first one on; `math.inf` loses them all
    delay: float = 0.0  # seconds between the act and its answer
    refuse: int | None = None  # a completion code, given instead of acting
    fail: int | None = None  # a completion code, given after acting
    garbage: bool = False  # the answer is noise that looks like RMCP+
    vanish: bool = False  # after acting, the BMC never says a word again
    answers: dict[tuple[int, int], Reply] = field(default_factory=dict)  # by network function and command


@dataclass(frozen=True, slots=True)
class Nmi:
    """An NMI that went to the machine: when (seconds, monotonic clock), in which session, by whom."""

    at: float
    session: int
    user: str


Handler = Callable[[Request], Reply]
ADMIN = Account("admin", "bmc-password")


class Bmc:
    """A BMC that runs in a thread of its own between `start` and `stop`, or inside a `with` block.

    `nmis` are the interrupts that went to the machine; `requests` every command that arrived, whether it
    was obeyed or not; `logins` every attempt to log in. `silent` makes it deaf and dumb.
    """

    def __init__(
        self,
        machine: Machine,
        accounts: Sequence[Account] = (ADMIN,),
        *,
        faults: Faults | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.machine = machine
        self.faults = faults or Faults()
        self.sel = EventLogMemory()
        self.watchdog = WatchdogTimer()
        self.filters = EventFilters()
        self.power_restore = 1  # 0 stays off, 1 as it was, 2 powers on, 3 unknown
        self.offers_nmi = True
        self.sensors = stop_sensors()
        self.nmis: list[Nmi] = []
        self.requests: deque[Request] = deque(maxlen=10_000)
        self.silent = False
        self.address, self.port = address, port
        self._guid = secrets.token_bytes(16)
        self._server = RmcpServer(accounts, self._guid)
        self._commands = self._command_table()
        self._late: list[tuple[float, int, bytes, tuple[str, int]]] = []
        self._chassis_controls = 0
        self._stopping = threading.Event()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def logins(self) -> list[Login]:
        """Every RAKP message 1 and 3 that arrived, oldest first."""
        return self._server.logins

    @property
    def sessions(self) -> int:
        """How many sessions are logged in at this moment."""
        return self._server.sessions

    def arrived(self, netfn: int, command: int) -> int:
        """How many requests of this kind arrived."""
        return sum((r.netfn, r.command) == (netfn, command) for r in list(self.requests))

    def start(self) -> None:
        """Bind the port (`port` then says which) and answer on it."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, self.port))
        self.port = int(self._socket.getsockname()[1])
        self._stopping.clear()
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), name="bmc", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port. Answers that are still due are not sent."""
        if self._thread is None or self._socket is None:
            return
        self._stopping.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alarm:
            alarm.sendto(b"", (self.address, self.port))  # ends the wait for a datagram
        self._thread.join()
        self._socket.close()
        self._socket = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _serve(self, sock: socket.socket) -> None:
        while not self._stopping.is_set():
            sock.settimeout(max(0.001, self._late[0][0] - time.monotonic()) if self._late else None)
            with contextlib.suppress(TimeoutError, ConnectionError):  # Windows reports a client's closed port
                datagram, peer = sock.recvfrom(_MAX_DATAGRAM)
                if not self.silent:
                    self._handle(datagram, peer)
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, packet, peer = heapq.heappop(self._late)
                if not self.silent:
                    sock.sendto(packet, peer)

    def _handle(self, datagram: bytes, peer: tuple[str, int]) -> None:
        received = self._server.receive(datagram)
        if isinstance(received, bytes):
            self._send(received, peer)
        elif received is not None:
            self.requests.append(received)
            if (received.netfn, received.command) == (
                0x00,
                0x02,
            ) and received.privilege >= Privilege.OPERATOR:
                self._control_chassis_faultily(received, peer)
            else:
                self._send(self._server.respond(received, *self._execute(received)), peer)

    def _send(self, packet: bytes, peer: tuple[str, int], delay: float = 0.0) -> None:
        heapq.heappush(self._late, (time.monotonic() + delay, secrets.randbits(32), packet, peer))

    def _execute(self, request: Request) -> Reply:
        needed, handler = self._commands.get(
            (request.netfn, request.command), (Privilege.NONE, self._unknown_command)
        )
        if request.privilege < needed:
            return _NO_PRIVILEGE, b""
        if canned := self.faults.answers.get((request.netfn, request.command)):
            return canned
        try:
            return handler(request)
        except (struct.error, IndexError):
            return _INVALID_LENGTH, b""

    def _control_chassis_faultily(self, request: Request, peer: tuple[str, int]) -> None:
        faults = self.faults
        if faults.refuse is not None:
            return self._send(self._server.respond(request, faults.refuse), peer)
        code, data = self._execute(request)
        self._chassis_controls += 1
        if faults.vanish:
            self.silent = True
        if self._chassis_controls <= faults.lose:
            return None
        packet = self._server.respond(request, code if faults.fail is None else faults.fail, data)
        if faults.garbage:
            packet = RMCP_HEADER + b"\x06" + secrets.token_bytes(40)
        return self._send(packet, peer, faults.delay)

    def _command_table(self) -> Mapping[tuple[int, int], tuple[Privilege, Handler]]:
        """Network function and command, the privilege it needs (appendix G), and what answers it."""
        none, user, operator = Privilege.NONE, Privilege.USER, Privilege.OPERATOR
        return {
            (0x00, 0x00): (user, self._chassis_capabilities),
            (0x00, 0x01): (user, self._chassis_status),
            (0x00, 0x02): (operator, self._chassis_control),
            (0x04, 0x10): (user, self._event_filter_capabilities),
            (0x04, 0x13): (operator, self._event_filters),
            (0x04, 0x2D): (user, self._sensor_reading),
            (0x06, 0x01): (user, self._device_id),
            (0x06, 0x25): (user, self._watchdog_timer),
            (0x06, 0x37): (none, self._system_guid),
            (0x06, 0x38): (none, self._authentication_capabilities),
            (0x06, 0x3B): (user, self._set_session_privilege),
            (0x06, 0x3C): (user, self._close_session),
            (0x06, 0x54): (none, self._cipher_suites),
            (0x0A, 0x20): (user, self._sdr_repository_info),
            (0x0A, 0x22): (user, self._reserve),
            (0x0A, 0x23): (user, self._sdr),
            (0x0A, 0x40): (user, self._sel_info),
            (0x0A, 0x42): (user, self._reserve),
            (0x0A, 0x43): (user, self._sel_entry),
            (0x0A, 0x48): (user, self._sel_time),
        }

    def _unknown_command(self, _request: Request) -> Reply:
        return _INVALID_COMMAND, b""

    # Chassis (section 28)

    def _chassis_capabilities(self, _request: Request) -> Reply:
        return _OK, bytes([0x04 if self.offers_nmi else 0x00, 0x20, 0x20, 0x20, 0x20])

    def _chassis_status(self, _request: Request) -> Reply:
        power = 0x01 if self.machine.powered_on() else 0x00
        return _OK, bytes([power | self.power_restore << 5, 0x00, 0x00])

    def _chassis_control(self, request: Request) -> Reply:
        action = request.data[0] & 0x0F
        if action in (0, 1):
            self.machine.set_power(action == 1)
        elif action in (2, 3):
            self.machine.reset()
        elif action == PULSE_DIAGNOSTIC_INTERRUPT:
            self._pulse(request)
        else:
            return _INVALID_FIELD, b""
        return _OK, b""

    def _pulse(self, request: Request) -> None:
        session = request.session
        user = session.account.name if session and session.account else ""
        self.nmis.append(Nmi(time.monotonic(), session.id if session else 0, user))
        for sensor in self.sensors:
            if sensor.type == CRITICAL_INTERRUPT:
                self.sel.add(sensor, 0)  # offset 0: front panel NMI / diagnostic interrupt
        self.machine.nmi()

    # Application (section 20 to 22, 27)

    def _device_id(self, _request: Request) -> Reply:
        ipmi_version, devices = 0x02, 0b1000_0111  # chassis, SEL, SDR repository, sensors
        return _OK, struct.pack("<BBBBBB3sH", 0x20, 0x81, 1, 0, ipmi_version, devices, bytes(3), 0)

    def _watchdog_timer(self, _request: Request) -> Reply:
        return _OK, self.watchdog.encode()

    def _system_guid(self, _request: Request) -> Reply:
        return _OK, self._guid

    def _authentication_capabilities(self, request: Request) -> Reply:
        channel, _wanted = struct.unpack_from("BB", request.data)
        extended, named_users, rmcp_plus = 0x80, 0x04, 0x02
        return _OK, bytes([channel & 0x0F or 1, extended, named_users, rmcp_plus, 0, 0, 0, 0])

    def _cipher_suites(self, request: Request) -> Reply:
        _channel, _payload, index = struct.unpack_from("BBB", request.data)
        suite_3 = bytes([0xC0, 3, 0x01, 0x41, 0x81])  # a standard record, table 22-18
        return _OK, b"\x01" + (suite_3 if index & 0x3F == 0 else b"")

    def _set_session_privilege(self, request: Request) -> Reply:
        session, wanted = request.session, request.data[0] & 0x0F
        assert session is not None  # the table asks for a privilege
        if wanted > session.limit:
            return 0x81, b""  # exceeds the limit of the channel or the user, section 22.18
        if wanted:
            session.privilege = Privilege(wanted)
        return _OK, bytes([session.privilege])

    def _close_session(self, request: Request) -> Reply:
        (session_id,) = struct.unpack_from("<I", request.data)
        return (_OK if self._server.close(session_id) else 0x87), b""

    # Storage (section 32 and 33) and sensors (section 35)

    def _reserve(self, _request: Request) -> Reply:
        return _OK, struct.pack("<H", 1)  # nothing here ever cancels a reservation

    def _sel_info(self, _request: Request) -> Reply:
        version, reserve_supported, count = 0x51, 0x02, min(len(self.sel.records), _LAST - 1)
        left = self.sel.capacity - count
        free, full = max(left, 0) * 16, 0x80 if left < 0 else 0x00
        return _OK, struct.pack(
            "<BHHIIB", version, count, free, self.sel.last_change, 0xFFFF_FFFF, reserve_supported | full
        )

    def _sel_entry(self, request: Request) -> Reply:
        return self._record(self.sel.records, request.data)

    def _sel_time(self, _request: Request) -> Reply:
        ahead = self.sel.clock_ahead
        return _OK, struct.pack("<I", 86_400 if math.isinf(ahead) else int(time.time() + ahead))

    def _event_filter_capabilities(self, _request: Request) -> Reply:
        return _OK, bytes([0x51, self.filters.actions, len(self.filters.filters)])

    def _event_filters(self, request: Request) -> Reply:
        selector, number, _block = struct.unpack_from("BBB", request.data)
        found = self.filters.parameter(selector & 0x7F, number)
        return (0x80, b"") if found is None else (_OK, found)  # 80h: no such parameter, section 30.4

    def _sdr_repository_info(self, _request: Request) -> Reply:
        version, reserve_supported = 0x51, 0x02
        return _OK, struct.pack("<BHHIIB", version, len(self.sensors), 0, 0, 0, reserve_supported)

    def _sdr(self, request: Request) -> Reply:
        records = [sensor.record(number) for number, sensor in enumerate(self.sensors, 1)]
        return self._record(records, request.data)

    def _record(self, records: list[bytes], data: bytes) -> Reply:
        """A part of a record, after the number of the next one; numbers start at 1 (section 32.3, 33.12)."""
        _reservation, number, offset, length = struct.unpack_from("<HHBB", data)
        index = len(records) if number == _LAST else max(number, 1)
        if index > len(records) or not records:
            return _NOT_PRESENT, b""
        following = index + 1 if index < len(records) else _LAST
        return _OK, struct.pack("<H", following) + records[index - 1][offset : offset + length]

    def _sensor_reading(self, request: Request) -> Reply:
        for sensor in self.sensors:
            if sensor.number == request.data[0]:
                scanning = 0x40
                return _OK, struct.pack("<BBH", 0, scanning, sensor.states | 0x8000)
        return _NOT_PRESENT, b""
