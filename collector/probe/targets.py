"""What to ask of a host: ping, its services, and its BMCs."""

from __future__ import annotations

from collector.model.host import Endpoint, Host, Platform
from collector.probe.observation import Target
from collector.probe.protocols import PROTOCOLS

# What a platform serves when nobody has configured anything.
_SERVICES = {
    Platform.LINUX: ("ssh",),
    Platform.WINDOWS: ("rdp", "winrm", "smb"),
    Platform.ESXI: ("hostd", "authd", "ssh"),  # hostd tells of its reverse proxy as well
}


def targets_for(host: Host) -> list[Target]:
    """List what to ask, ping first; each service once, where the host's channel says, if it has one.

    A channel through a jump host is left out, and so is the platform's default for it: from here that
    service cannot be reached, so its silence would say nothing about the host.
    """
    targets = [Target("icmp", host.address, None)]
    services = {protocol: _target(protocol, host) for protocol in _SERVICES[host.platform]}
    for channel in host.channels:
        protocol = protocol_of(channel)
        if protocol not in PROTOCOLS:
            continue
        if getattr(channel, "proxy_jump", None):
            services.pop(channel.type, None)
        else:
            services[channel.type] = _target(protocol, host, channel)
    targets += services.values()
    targets += [_target("rmcp", host, bmc) for bmc in host.controllers if bmc.type == "ipmi"]
    return list(dict.fromkeys(targets))


def protocol_of(endpoint: Endpoint) -> str:
    """The protocol by which an endpoint is asked; not a key of `PROTOCOLS` where there is none.

    WinRM through TLS is one of its own: to the other one its port would close the connection.
    """
    return "winrm-tls" if endpoint.type == "winrm" and getattr(endpoint, "tls", False) else endpoint.type


def _target(protocol: str, host: Host, endpoint: Endpoint | None = None) -> Target:
    """Ask at the endpoint's address and port; what it does not say is the host's and the protocol's."""
    address = (endpoint.address if endpoint else "") or host.address
    port = getattr(endpoint, "port", None) or PROTOCOLS[protocol].port
    return Target(protocol, address, port)
