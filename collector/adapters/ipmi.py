"""A BMC over IPMI 2.0: power, the NMI, the event log, its clock, the watchdog timer, the stop sensors.

Section numbers are of the IPMI 2.0 specification, revision 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import (
    LogEvent,
    LogRoom,
    NmiAnswer,
    NmiOutcome,
    PowerState,
    StopSensor,
    WatchdogState,
)
from collector.adapters.ipmi_codes import judge_nmi, require
from collector.adapters.ipmi_pef import read_nmi_reactions
from collector.adapters.ipmi_sel import Ask, read_clock, read_room, read_sel
from collector.adapters.ipmi_sensors import decode_watchdog, read_stop_sensors
from collector.adapters.ipmi_session import IpmiSession, Reply, Target
from collector.adapters.limits import Deadline
from collector.errors import AdapterError, InventoryError, UnreachableError
from collector.model.host import Credential, Endpoint

_CHASSIS, _GET_CHASSIS_CAPABILITIES, _GET_CHASSIS_STATUS, _CHASSIS_CONTROL = 0x00, 0x00, 0x01, 0x02
_CAN_INTERRUPT = 0x04  # section 28.1: the chassis provides the diagnostic interrupt
_RESTORE = ("stays off", "as it was", "powers on", "unknown")  # section 28.2, bits 5 and 6
_PULSE_DIAGNOSTIC_INTERRUPT = 0x04  # section 28.3
_APPLICATION, _GET_WATCHDOG_TIMER, _SESSION_PRIVILEGE = 0x06, 0x25, 0x3B
_PRIVILEGES = {"operator": 3, "administrator": 4}  # table 22-28
_LEVELS = {1: "callback", 2: "user", 3: "operator", 4: "administrator", 5: "oem"}

_ACKNOWLEDGES_WITHIN = 30.0
"""Seconds. A BMC acknowledges within milliseconds; longer than this, the answer is lost."""


class IpmiEndpoint(Endpoint):
    """A BMC that speaks IPMI 2.0 over LAN."""

    type: Literal["ipmi"] = Field(default="ipmi", description="A BMC over IPMI 2.0 (RMCP+).")
    port: int = Field(default=623, ge=1, le=65535, description="UDP port.")
    privilege: Literal["operator", "administrator"] = Field(
        default="operator",
        description="Level to log in with. The standard asks for operator; some BMCs want more for an NMI.",
    )


class IpmiController:
    """One session with a BMC between `__enter__` and `__exit__`; it can be entered again.

    A command that stays unanswered costs the session: later ones raise `UnreachableError` until the
    controller is entered again. So does leaving it unused for a minute, after which BMCs end a session.
    """

    settings: ClassVar[type[Endpoint]] = IpmiEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, IpmiEndpoint)
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._session: IpmiSession | None = None

    def __enter__(self) -> Self:
        self._session = IpmiSession(_target(self._endpoint, self._credential), self._deadline)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def power_state(self, deadline: Deadline) -> PowerState:
        """Bit 0 of Get Chassis Status (section 28.2)."""
        status = require(self._ask(_CHASSIS, _GET_CHASSIS_STATUS, b"", deadline), "say if power is on", 1)
        return PowerState.ON if status[0] & 1 else PowerState.OFF

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """One Chassis Control packet that asks for the diagnostic interrupt, and what came of it."""
        session = self._session
        if session is None or not session.alive or deadline.expired:
            why = "the time was up" if deadline.expired else "there is no session with the BMC any more"
            return NmiAnswer(NmiOutcome.NOT_SENT, f"nothing was put on the wire: {why}")
        data = bytes([_PULSE_DIAGNOSTIC_INTERRUPT])
        patience = deadline.within(_ACKNOWLEDGES_WITHIN)
        try:
            reply = session.exchange(_CHASSIS, _CHASSIS_CONTROL, data, patience, once=True)
        except AdapterError as error:
            return NmiAnswer(NmiOutcome.UNCERTAIN, f"the request may be out, and then {error.message}")
        return judge_nmi(reply.code)

    def events(self, deadline: Deadline) -> Sequence[LogEvent]:
        """The System Event Log (section 31)."""
        return read_sel(self._asking(deadline))

    def event_log_room(self, deadline: Deadline) -> LogRoom:
        """How full the System Event Log is."""
        return read_room(self._asking(deadline))

    def clock(self, deadline: Deadline) -> datetime | None:
        """The clock of the System Event Log."""
        return read_clock(self._asking(deadline))

    def offers_nmi(self, deadline: Deadline) -> bool:
        """Get Chassis Capabilities (section 28.1)."""
        reply = self._ask(_CHASSIS, _GET_CHASSIS_CAPABILITIES, b"", deadline)
        return bool(require(reply, "say what its chassis can do", 1)[0] & _CAN_INTERRUPT)

    def nmi_reactions(self, deadline: Deadline) -> Sequence[str]:
        """Platform Event Filtering (section 17)."""
        return read_nmi_reactions(self._asking(deadline))

    def privilege(self, deadline: Deadline) -> str:
        """Set Session Privilege Level with level 0, which changes nothing and tells it (section 22.18)."""
        reply = self._ask(_APPLICATION, _SESSION_PRIVILEGE, b"\0", deadline)
        level = require(reply, "say what this account may do", 1)[0] & 0x0F
        return _LEVELS.get(level, f"level {level}")

    def power_restore(self, deadline: Deadline) -> str:
        """Bits 5 and 6 of Get Chassis Status (section 28.2)."""
        status = require(self._ask(_CHASSIS, _GET_CHASSIS_STATUS, b"", deadline), "say if power is on", 1)
        return _RESTORE[status[0] >> 5 & 0x03]

    def watchdog(self, deadline: Deadline) -> WatchdogState:
        """Get Watchdog Timer (section 27.7)."""
        reply = self._ask(_APPLICATION, _GET_WATCHDOG_TIMER, b"", deadline)
        return decode_watchdog(require(reply, "say how its watchdog timer stands"))

    def stop_sensors(self, deadline: Deadline) -> Sequence[StopSensor]:
        """Discrete sensors of the types OS Critical Stop, Critical Interrupt and Watchdog 2."""
        return read_stop_sensors(self._asking(deadline))

    def _asking(self, deadline: Deadline) -> Ask:
        return lambda netfn, command, data: self._ask(netfn, command, data, deadline)

    def _ask(self, netfn: int, command: int, data: bytes, deadline: Deadline) -> Reply:
        if self._session is None:
            raise UnreachableError(
                "there is no session with the BMC", hint="Log in first: use the controller in a `with` block."
            )
        return self._session.exchange(netfn, command, data, deadline)


def _target(endpoint: IpmiEndpoint, credential: Credential | None) -> Target:
    """Where to log in, and as whom. The password is fetched here and kept by nobody."""
    from collector.config.secrets import reveal

    if credential is None or credential.username is None or credential.password is None:
        raise InventoryError(
            f"the endpoint {endpoint.identity} needs a credential with `username` and `password`",
            hint="Add one under `credentials`, and name it in the endpoint's `credential`.",
        )
    return Target(
        address=endpoint.address,
        port=endpoint.port,
        user=credential.username.encode(),
        password=reveal(credential.password).encode(),
        privilege=_PRIVILEGES[endpoint.privilege],
    )
