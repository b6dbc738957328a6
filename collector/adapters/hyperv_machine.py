"""What Hyper-V's answers mean. Nothing here is read from a text that Windows translates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.adapters.answers import GuestState, LogEvent, NmiAnswer, NmiOutcome, PowerState
from collector.errors import AdapterError, ForbiddenError, PeerFailedError, UnsupportedError

MAX_WORDS = 500
"""Characters of a message of the host that are shown."""

DENIED = "PermissionDenied"
"""The category of an error (System.Management.Automation.ErrorCategory) that says: you may not."""

_ON = ("Running", "Paused", "Starting", "Stopping", "Pausing", "Resuming", "Saving", "Reset", "Other")
_OFF = ("Off", "Saved", "FastSaved")
"""Names of Microsoft.HyperV.PowerShell.VMState; each may end in `Critical`: its storage is gone."""

_HEARTBEATS = {
    "OkApplicationsHealthy": "green",
    "OkApplicationsUnknown": "green",
    "OkApplicationsCritical": "yellow",
    "LostCommunication": "red",
    "Error": "red",
}
"""Names of Microsoft.HyperV.PowerShell.VMHeartbeatStatus; all others tell that nobody listens: gray."""

_FILETIME_UNIX = 11_644_473_600


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A machine as Hyper-V sees it. `uptime` in seconds; `services` are (name, enabled, status)."""

    state: str
    heartbeat: str
    uptime: int
    services: tuple[tuple[str, bool, str], ...]

    @property
    def power(self) -> PowerState:
        """A paused machine has power; a saved one has none."""
        state = self.state.removesuffix("Critical")
        if state in _ON:
            return PowerState.ON
        return PowerState.OFF if state in _OFF else PowerState.UNKNOWN

    def guest(self, now: datetime, runs_on: str) -> GuestState:
        """The same in the words that all hypervisors share."""
        services = ", ".join(f"{name} {status}" for name, enabled, status in self.services if enabled)
        return GuestState(
            power=self.power,
            heartbeat=_HEARTBEATS.get(self.heartbeat, "gray"),
            tools=services or "none enabled",
            boot_time=now - timedelta(seconds=self.uptime) if self.power is PowerState.ON else None,
            question=None,
            connection="connected",
            runs_on=runs_on,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Where the machine is: its id on this host, or the name of the node that owns it."""

    id: str = ""
    owner: str = ""


def found_in(answer: Mapping[str, Any], vm: str) -> Found:
    """What `hyperv_find.ps1` answered.

    Raises:
        UnsupportedError: there is no Hyper-V module, or it is too old for NMIs.
        PeerFailedError: there is no such machine, or there are several; or Hyper-V failed.
        ForbiddenError: the account may not ask.
    """
    if answer.get("failed") == "module":
        raise UnsupportedError(
            "the host has no Debug-VM",
            hint="It needs Windows Server 2012 R2 or later, and `Install-WindowsFeature Hyper-V-PowerShell`.",
        )
    require(answer)
    machines, owners = answer.get("machines") or [], sorted(set(map(str, answer.get("owners") or [])))
    if len(machines) == 1:
        return Found(id=str(machines[0]["id"]))
    if machines or len(owners) > 1:
        raise PeerFailedError(
            f"{len(machines) or len(owners)} machines are named {vm!r}",
            hint="Give them different names; an NMI must hit one machine.",
        )
    if not owners:
        raise PeerFailedError(
            f"there is no machine {vm!r} on {answer.get('node')}, nor in its cluster",
            hint="Correct `vm`: it is the name that Get-VM shows; and does this account see it there?",
        )
    return Found(owner=owners[0])


def judge(answer: Mapping[str, Any]) -> NmiAnswer:
    """What `hyperv_nmi.ps1` answered, and what that proves.

    Once Debug-VM has been called, only a lack of rights is believed to be a refusal: Hyper-V looks at those
    first. Everything else may have come after the act.
    """
    words = shown(answer.get("words"))
    match answer:
        case {"outcome": "sent"}:
            return NmiAnswer(NmiOutcome.SENT, "Debug-VM injected the NMI")
        case {"outcome": "refused", "state": str(state)}:
            return NmiAnswer(NmiOutcome.NOT_SENT, f"Debug-VM was not called: the machine is {shown(state)}")
        case {"outcome": "failed", "asked": False}:
            return NmiAnswer(NmiOutcome.NOT_SENT, f"Debug-VM was not called: {words}")
        case {"outcome": "failed", "category": "PermissionDenied"}:
            return NmiAnswer(NmiOutcome.NOT_SENT, f"this account may not inject an NMI: {words}")
    return NmiAnswer(NmiOutcome.UNCERTAIN, f"Debug-VM failed, and may have acted: {words}")


def machine_in(answer: Mapping[str, Any]) -> VirtualMachine:
    """What `hyperv_state.ps1` answered. Raises: ForbiddenError, PeerFailedError."""
    require(answer)
    try:
        return VirtualMachine(
            state=str(answer["state"]),
            heartbeat=str(answer["heartbeat"]),
            uptime=int(answer["uptime"]),
            services=tuple(
                (str(s["name"]), bool(s["enabled"]), str(s["status"])) for s in answer["services"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise nonsense() from error


def events_in(answer: Mapping[str, Any]) -> list[LogEvent]:
    """What `hyperv_events.ps1` answered, oldest first. Raises: PeerFailedError."""
    try:
        return sorted((_event(event) for event in answer["events"]), key=lambda event: str(event.time))
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise nonsense() from error


def require(answer: Mapping[str, Any]) -> None:
    """Raises: ForbiddenError, PeerFailedError: the script could not ask Hyper-V."""
    if answer.get("failed") is None:
        return
    words = shown(answer.get("words"))
    if answer.get("category") == DENIED:
        raise ForbiddenError(
            f"this account may not ask Hyper-V: {words}",
            hint="Make it a member of Hyper-V Administrators on the host.",
        )
    raise PeerFailedError(f"Hyper-V failed: {words}", hint="Ask it on the host, by Get-VM, as this user.")


def nonsense() -> AdapterError:
    """The answer is not what the script writes."""
    return PeerFailedError("Hyper-V's answer makes no sense", hint="Ask it on the host, by Get-VM.")


def shown(words: object) -> str:
    """Text of the host for a person: one line, of bearable length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(words or "")).split())
    return line[:MAX_WORDS] or "without a word"


def _event(event: Mapping[str, Any]) -> LogEvent:
    time = datetime.fromtimestamp(int(event["time"]) / 1e7 - _FILETIME_UNIX, UTC)
    text = f"{int(event['code'])}: {shown(event['text'])}"
    return LogEvent(id=str(event["id"]), time=time, sensor=str(event["log"]), text=text)
