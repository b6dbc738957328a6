"""Who answers at all? A cheap look at every endpoint first, so that the dead do not stall the living.

It is the probe's own look: one connection each, and the answer of a living peer, without a login.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from collector.errors import AdapterError, DeadlineError, UnreachableError
from collector.model.host import Endpoint, Host
from collector.probe.observation import Observation, Reach, Target
from collector.probe.protocols import PROTOCOLS
from collector.probe.targets import protocol_of
from collector.run.beside import beside
from collector.run.incident import Observe

AT_ONCE = 400
"""Endpoints that are asked at once: select(2), which Windows waits with, takes 512 sockets."""

SECONDS = 5.0
"""What each of them gets: longer than a lost SYN needs to be sent again twice."""

FEW = 32
"""Endpoints that are no burst; of more, those that were silent are asked once more."""

_PROTOCOLS: Mapping[str, str] = {
    "ssh": "ssh",
    "winrm": "winrm",
    "winrm-tls": "winrm-tls",
    "smb": "smb",
    "ipmi": "rmcp",
}
"""How to ask an endpoint, by its type and TLS. Other types are asked by their adapters alone."""

_SILENT = (Reach.SILENT, Reach.CONNECTED)


@dataclass(frozen=True, slots=True)
class Wave:
    """Hosts to be asked now, and why some of their endpoints, by identity, are not worth a login."""

    hosts: Sequence[Host]
    unreachable: Mapping[str, AdapterError]


def waves(hosts: Sequence[Host], observe: Observe) -> Iterator[Wave]:
    """The hosts in groups to be asked now; the next group is looked at while the caller has one at work.

    Those that were silent come last, looked at a second time: so many questions at once can be too much for
    the way there, or for a server of many addresses.
    """
    groups = _groups(hosts)
    burst = len({target for host in hosts for target, _ in _targets(host)}) > FEW
    seen: dict[Target, Observation] = {}
    silent: list[Host] = []
    looking = beside(partial(_look, groups[0], seen, observe, SECONDS))
    for number, group in enumerate(groups):
        seen |= looking()
        quiet = {host.name for host in group if burst and _is_silent(host, seen)}
        silent += [host for host in group if host.name in quiet]
        if number + 1 < len(groups):
            looking = beside(partial(_look, groups[number + 1], seen, observe, SECONDS))
        else:
            answered = {target: one for target, one in seen.items() if one.reach not in _SILENT}
            looking = beside(partial(_look, silent, answered, observe, 2 * SECONDS))
        yield _wave([host for host in group if host.name not in quiet], seen)
    if silent:
        yield _wave(silent, seen | looking())


def _groups(hosts: Sequence[Host]) -> list[list[Host]]:
    """Hosts in their order, each group with about as many endpoints as are asked at once."""
    groups: list[list[Host]] = [[]]
    room = AT_ONCE
    for host in hosts:
        needed = len(_targets(host))
        if needed > room and groups[-1]:
            groups.append([])
            room = AT_ONCE
        groups[-1].append(host)
        room -= needed
    return groups


def _wave(hosts: Sequence[Host], seen: Mapping[Target, Observation]) -> Wave:
    errors = {
        identity: error
        for host in hosts
        for target, identity in _targets(host)
        if (error := _error(seen[target])) is not None
    }
    return Wave(hosts, errors)


def _is_silent(host: Host, seen: Mapping[Target, Observation]) -> bool:
    return any(seen[target].reach in _SILENT for target, _ in _targets(host))


def _targets(host: Host) -> list[tuple[Target, str]]:
    """What to ask, and the identity of the endpoint that it is; one behind a jump host cannot be asked."""
    endpoints = (*host.controllers, *host.channels)
    return [(target, end.identity) for end in endpoints if (target := _target(host, end)) is not None]


def _look(
    hosts: Sequence[Host], known: Mapping[Target, Observation], observe: Observe, seconds: float
) -> dict[Target, Observation]:
    """Ask every endpoint of the hosts that is not known yet."""
    asked = dict.fromkeys(target for host in hosts for target, _ in _targets(host) if target not in known)
    targets, seen = list(asked), dict[Target, Observation]()
    for begin in range(0, len(targets), AT_ONCE):
        batch = targets[begin : begin + AT_ONCE]
        seen |= zip(batch, observe(batch, seconds), strict=True)
    return seen


def _target(host: Host, endpoint: Endpoint) -> Target | None:
    protocol = _PROTOCOLS.get(protocol_of(endpoint))
    if protocol is None or getattr(endpoint, "proxy_jump", None):
        return None
    port = getattr(endpoint, "port", None) or PROTOCOLS[protocol].port
    return Target(protocol, endpoint.address or host.address, port)


def _error(seen: Observation) -> AdapterError | None:
    """Why there is no use in a login; None when there may be one."""
    place = f"{seen.address} port {seen.port}"
    if seen.reach is Reach.CONNECTED:
        return DeadlineError(
            f"{place} accepts connections and says nothing for {seen.seconds:.3g} s: does it hang?",
            hint="Ask `hang-collector probe`.",
        )
    if seen.reach in (Reach.NO_ROUTE, Reach.SILENT, Reach.REFUSED):
        return UnreachableError(
            f"{place} does not answer ({seen.reach})",
            hint="Check the address, the way there, and whether the service runs.",
        )
    return None
