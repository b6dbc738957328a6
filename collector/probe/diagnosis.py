"""What the observations and the controller's view mean together. Pure: the same input, the same finding.

The rules err on one side. To call a hung host anything else costs a person one more look; to call a
working host hung costs its users their server. So `hung-software` needs a service that accepted us and
then fell silent, and `hung-kernel-or-network` needs a controller that says that the power is on.

A sensor of the controller that tells of a crash stays asserted on many BMCs until somebody clears it. It is
believed only while no service of the host still has its socket.

Three signs look like a hang and are none:

* *Refused everywhere.* The kernel lives and nobody listens. A rebooting host, a crash kernel that
  writes its dump, and a wrong port all look so; an NMI would destroy the dump or the reboot.
* *Ping answers, every SYN is dropped.* A full accept queue does this, and so does a packet filter in
  front of a healthy host. It is a hang only if the host was hung before: then it was our own probes,
  which nobody accepted, that filled the queue.
* *Closed at once.* A hung service does not close connections; a living one, or a proxy, does.

The vCenter of an ESXi host looks from elsewhere. Where it says connected, the host's agent, in user mode,
sent a heartbeat within the last minute: no dead kernel does. That it says notResponding is no proof of a hang
alone, for heartbeats are lost on the way as well (Broadcom KB 435077), but it is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from collector.adapters.answers import Connection, PowerState
from collector.probe.observation import Observation, Reach


class Diagnosis(StrEnum):
    """What is wrong with the host, as far as it can be seen from outside."""

    RESPONSIVE = "responsive"
    DEGRADED = "degraded"
    HUNG_SOFTWARE = "hung-software"
    HUNG_KERNEL_OR_NETWORK = "hung-kernel-or-network"
    POWERED_OFF = "powered-off"
    ALREADY_CRASHED = "already-crashed"
    UNKNOWN = "unknown"

    @property
    def hung(self) -> bool:
        """True for the two diagnoses that call for an NMI."""
        return self in (Diagnosis.HUNG_SOFTWARE, Diagnosis.HUNG_KERNEL_OR_NETWORK)


@dataclass(frozen=True, slots=True)
class ControllerView:
    """What the controller says of the host.

    `power` is None when no controller could be asked. `crash_seen` holds the words that prove that the
    host crashed after the hang began (a crash screen, a SEL record, a dump in progress), None otherwise.
    `connection` is how the vCenter of an ESXi host gets on with it; None where no vCenter was asked.
    """

    power: PowerState | None = None
    crash_seen: str | None = None
    connection: Connection | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The diagnosis, and why, in one sentence."""

    diagnosis: Diagnosis
    reason: str


def diagnose(
    observations: Iterable[Observation], controller: ControllerView, *, before: Diagnosis | None = None
) -> Finding:
    """Turn one round of observations into exactly one finding; never raises.

    Args:
        observations: of this host. Those of its controller (`rmcp`) are no sign of the host's life and are
            not counted.
        controller: what the controller says.
        before: the diagnosis of the round before this one, if there was one.
    """
    signs = _Signs.of(observations, controller.connection)
    if controller.crash_seen is not None and not signs.serves:
        return Finding(
            Diagnosis.ALREADY_CRASHED,
            f"the host has crashed already ({controller.crash_seen}): leave it alone while it dumps",
        )
    if signs.proved:
        return _alive(signs, controller)
    if controller.power is PowerState.OFF:
        return _powered_off(signs)
    if controller.connection is Connection.CONNECTED:
        return _heard_elsewhere(signs)
    return _unproved(signs, controller, before)


class _Sign(StrEnum):
    """What one service says about user mode."""

    PROVED = "user mode answered"
    HALF_ALIVE = "user mode did something, but gave no proper answer"
    STUCK = "the kernel accepted us, then silence"
    ABSENT = "a living kernel says that nobody serves here"
    LOST = "no answer to the SYN, or no route"

    @classmethod
    def of(cls, seen: Observation) -> _Sign:
        by_kernel = seen.reach is Reach.CONNECTED or (seen.reach is Reach.SPOKE and "kernel" in seen.evidence)
        if seen.reach is Reach.PROVED:
            return cls.PROVED
        if seen.reach is Reach.REFUSED or (by_kernel and "failure" in seen.evidence):
            return cls.ABSENT
        if seen.reach < Reach.CONNECTED:
            return cls.LOST
        return cls.STUCK if by_kernel and "ended" not in seen.evidence else cls.HALF_ALIVE


@dataclass(frozen=True, slots=True)
class _Signs:
    """One round's observations: ping, each service that could be asked with its sign, the vCenter's word."""

    ping: Reach
    services: tuple[tuple[_Sign, Observation], ...]
    connection: Connection | None

    @classmethod
    def of(cls, observations: Iterable[Observation], connection: Connection | None) -> _Signs:
        host = [seen for seen in observations if seen.protocol != "rmcp"]
        return cls(
            ping=max((seen.reach for seen in host if seen.protocol == "icmp"), default=Reach.UNTRIED),
            services=tuple(
                (_Sign.of(seen), seen)
                for seen in host
                if seen.protocol != "icmp" and seen.reach is not Reach.UNTRIED
            ),
            connection=connection,
        )

    def those(self, *signs: _Sign) -> tuple[Observation, ...]:
        return tuple(seen for sign, seen in self.services if sign in signs)

    @property
    def proved(self) -> bool:
        return bool(self.those(_Sign.PROVED))

    @property
    def half_alive(self) -> bool:
        return bool(self.those(_Sign.HALF_ALIVE))

    @property
    def serves(self) -> bool:
        """True when a service's socket is still there, which no crash screen and no capture kernel has."""
        return bool(self.those(_Sign.PROVED, _Sign.HALF_ALIVE, _Sign.STUCK))

    @property
    def kernel_lives(self) -> bool:
        return self.ping >= Reach.SPOKE or any(sign is not _Sign.LOST for sign, _ in self.services)

    def story(self) -> str:
        """Name what ping and every service did, and what the vCenter says; the first half of a sentence."""
        parts = [_PING[self.ping]] + [_told(seen) for _, seen in self.services]
        if self.connection is not None:
            parts.append(f"the vCenter says {self.connection}")
        return ", ".join(parts)


def _alive(signs: _Signs, controller: ControllerView) -> Finding:
    failing = [
        seen
        for seen in signs.those(_Sign.HALF_ALIVE, _Sign.STUCK, _Sign.LOST)
        if not (seen.protocol in _OFTEN_SHUT and seen.reach < Reach.CONNECTED)
    ]
    doubt = (
        "; the controller says that the power is off, so it may belong to another host"
        if controller.power is PowerState.OFF
        else ""
    )
    if failing:
        names = " and ".join(dict.fromkeys(_label(seen) for seen in failing))
        return Finding(
            Diagnosis.DEGRADED,
            f"{signs.story()}: user mode lives, and what is stuck is {names}{_mend(failing)}{doubt}",
        )
    if signs.connection is Connection.NOT_RESPONDING:
        return Finding(
            Diagnosis.DEGRADED,
            f"{signs.story()}: user mode lives, and what is stuck is its agent for the vCenter (vpxa), "
            f"or the way between them{doubt}",
        )
    return Finding(Diagnosis.RESPONSIVE, f"{signs.story()}: the host is not hung{doubt}")


def _unproved(signs: _Signs, controller: ControllerView, before: Diagnosis | None) -> Finding:
    """No service answered as it should, and the vCenter does not hear the host, or there is none."""
    if signs.half_alive:
        return Finding(
            Diagnosis.DEGRADED,
            f"{signs.story()}: something above the kernel still runs, so this is no plain hang"
            f"{_mend(signs.those(_Sign.HALF_ALIVE))}",
        )
    if signs.kernel_lives:
        return _kernel_only(signs, before)
    return _nothing_answers(signs, controller, before)


def _powered_off(signs: _Signs) -> Finding:
    if signs.kernel_lives:
        return Finding(
            Diagnosis.UNKNOWN,
            f"the controller says that the power is off, but {signs.story()}: "
            "either the address or the controller belongs to another host",
        )
    return Finding(
        Diagnosis.POWERED_OFF,
        "the controller says that the power is off, and nothing answers: an NMI does nothing",
    )


def _heard_elsewhere(signs: _Signs) -> Finding:
    """No service answers us, and the vCenter hears the host: whatever is dead, it is not the kernel."""
    late = "it notices a dead host after a minute, so ask again before anything else"
    if signs.kernel_lives:
        return Finding(
            Diagnosis.DEGRADED,
            f"{signs.story()}: an agent on the host still answers it, so this is no plain hang; {late}",
        )
    return Finding(
        Diagnosis.UNKNOWN,
        f"{signs.story()}: an agent on the host still answers it, so the way from here is to blame and not "
        f"the kernel; {late}",
    )


def _kernel_only(signs: _Signs, before: Diagnosis | None) -> Finding:
    if signs.those(_Sign.STUCK):
        return Finding(Diagnosis.HUNG_SOFTWARE, f"{signs.story()}: the kernel lives, user mode does not")
    lost = signs.those(_Sign.LOST)
    if before is Diagnosis.HUNG_SOFTWARE and any(seen.reach is Reach.SILENT for seen in lost):
        return Finding(
            Diagnosis.HUNG_SOFTWARE,
            f"{signs.story()}; the host was hung before, and our own connections, "
            "which nobody accepted, have filled the queue: it still hangs",
        )
    if lost:
        meaning = (
            "either the accept queues are full, as on a hung host, or a packet filter keeps us out; "
            "probe from where the services are known to be reachable"
        )
    elif signs.services:
        meaning = (
            "nobody listens, as on a host that reboots, writes its dump, or has its services on other ports"
        )
    else:
        meaning = "no service could be asked"
    return Finding(Diagnosis.UNKNOWN, f"{signs.story()}: the kernel lives, and {meaning}")


def _nothing_answers(signs: _Signs, controller: ControllerView, before: Diagnosis | None) -> Finding:
    if not signs.services:
        return Finding(
            Diagnosis.UNKNOWN, f"{signs.story()}, and no service could be asked: nothing is known of the host"
        )
    if controller.power is not PowerState.ON:
        view = (
            "no controller could be asked"
            if controller.power is None
            else "the controller does not tell the power state"
        )
        return Finding(
            Diagnosis.UNKNOWN, f"{signs.story()}, and {view}: the host may hang, be off, or be cut off"
        )
    if signs.ping is Reach.UNTRIED and before is Diagnosis.HUNG_SOFTWARE:
        return Finding(
            Diagnosis.HUNG_SOFTWARE,
            f"{signs.story()}; the power is on and the host was hung before, "
            "and unaccepted connections fill the queue of a hung host: it still hangs",
        )
    if signs.connection is Connection.NOT_RESPONDING:
        meaning = "seen from here and from there nothing answers: the kernel is dead, or its own network is"
    else:
        meaning = "the kernel is dead or the path is"
    return Finding(
        Diagnosis.HUNG_KERNEL_OR_NETWORK,
        f"the power is on, and {signs.story()}: {meaning}; "
        "a neighbour on the same network that answers tells which",
    )


_LABELS = {
    "ssh": "SSH",
    "rdp": "RDP",
    "winrm": "WinRM",
    "winrm-tls": "WinRM",
    "https": "HTTPS",
    "smb": "SMB",
    "hostd": "hostd (443)",
    "authd": "authd (902)",
}

_OFTEN_SHUT = frozenset({"authd"})
"""Packet filters keep them shut in front of healthy hosts, for few need them: no answer is no sign."""

_PING = {
    Reach.UNTRIED: "ping could not be asked",
    Reach.NO_ROUTE: "ping finds no route",
    Reach.SILENT: "ping gets no answer",
    Reach.REFUSED: "ping gets no answer",
    Reach.CONNECTED: "ping gets no answer",
    Reach.SPOKE: "ping answers",
    Reach.PROVED: "ping answers",
}

_DEEDS = {
    Reach.UNTRIED: "could not be asked",
    Reach.NO_ROUTE: "has no route",
    Reach.SILENT: "does not answer the SYN",
    Reach.REFUSED: "is refused",
    Reach.CONNECTED: "completes the handshake but sends no",
    Reach.SPOKE: "begins to answer and does not get to the end",
    Reach.PROVED: "answers",
}

# What the service owes us once the handshake stands.
_OWED = {
    "ssh": "banner",
    "rdp": "connection confirm",
    "winrm": "HTTP answer",
    "winrm-tls": "TLS answer",
    "https": "TLS answer",
    "hostd": "TLS answer",
    "authd": "banner",
    "smb": "negotiate answer",
}


def _told(seen: Observation) -> str:
    """Say what one service did, for example `SSH completes the handshake but sends no banner`."""
    deed = _DEEDS[seen.reach]
    if _behind_its_proxy(seen):
        failure = f" (it says {seen.evidence['failure']})" if "failure" in seen.evidence else ""
        deed = f"gives no answer behind its reverse proxy, which lives{failure}"
    elif seen.reach is Reach.SPOKE and "failure" in seen.evidence:
        deed = f"answers with a failure ({seen.evidence['failure']})"
    elif seen.reach is Reach.SPOKE and "ended" in seen.evidence:
        deed = "breaks off in the middle of its answer"
    elif seen.reach is Reach.SPOKE and "kernel" in seen.evidence:
        deed = "answers only what its kernel can"
    elif seen.reach is Reach.CONNECTED and "ended" in seen.evidence:
        deed = "closes the connection without a word"
    elif seen.reach is Reach.CONNECTED:
        deed = f"{deed} {_OWED.get(seen.protocol, 'answer')}"
    return f"{_label(seen)} {deed}"


def _behind_its_proxy(seen: Observation) -> bool:
    """True when ESXi's reverse proxy completed TLS, and hostd said nothing."""
    return seen.protocol == "hostd" and seen.reach is Reach.SPOKE and "tls" in seen.evidence


def _mend(seen: Iterable[Observation]) -> str:
    """What to do where a service of a living kernel hangs that can be restarted by itself."""
    if any(_behind_its_proxy(each) for each in seen):
        return "; hostd hangs and the kernel is alive: restart hostd rather than crash the host"
    return ""


def _label(seen: Observation) -> str:
    return _LABELS.get(seen.protocol, seen.protocol)
