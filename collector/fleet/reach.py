"""Who answers at all? A cheap look at every endpoint first, so that the dead do not stall the living.

It is the probe's own look: one connection each, and the answer of a living peer, without a login.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.errors import AdapterError, DeadlineError, UnreachableError
from collector.model.host import Endpoint, Host
from collector.probe.observation import Observation, Reach, Target
from collector.probe.protocols import PROTOCOLS
from collector.probe.targets import protocol_of
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


def unreachable(hosts: Sequence[Host], observe: Observe) -> dict[str, AdapterError]:
    """Ask every endpoint of `hosts`; say of those that give no answer why, by their identity.

    An endpoint behind a jump host cannot be asked from here, and is left out.
    """
    asked: dict[Target, list[str]] = {}
    for host in hosts:
        for endpoint in (*host.controllers, *host.channels):
            target = _target(host, endpoint)
            if target is not None:
                asked.setdefault(target, []).append(endpoint.identity)
    seen = _look(list(asked), observe, SECONDS)
    if len(asked) > FEW:
        # So many questions at once can be too much for the way there, or for a server of many addresses.
        silent = [target for target, one in seen.items() if one.reach in _SILENT]
        seen |= _look(silent, observe, 2 * SECONDS)
    found: dict[str, AdapterError] = {}
    for target, observation in seen.items():
        error = _error(observation)
        if error is not None:
            found |= dict.fromkeys(asked[target], error)
    return found


def _look(targets: Sequence[Target], observe: Observe, seconds: float) -> dict[Target, Observation]:
    seen: dict[Target, Observation] = {}
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
