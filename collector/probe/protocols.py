"""Every protocol we can ask: its name, its default port, and how to begin a conversation."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collector.probe.authd import AuthdConversation
from collector.probe.conversation import Conversation, Transport
from collector.probe.hostd import HostdConversation
from collector.probe.https import HttpsConversation
from collector.probe.icmp import IcmpConversation
from collector.probe.rdp import RdpConversation
from collector.probe.rmcp import RmcpConversation
from collector.probe.smb import SmbConversation
from collector.probe.ssh import SshConversation
from collector.probe.winrm import WinrmConversation, WinrmTlsConversation

_IPV6 = 6


@dataclass(frozen=True, slots=True)
class Service:
    """What carries a protocol, its default port (None where it has none), and how to begin.

    `begin` takes the peer's name as configured, and its IP address.
    """

    transport: Transport
    port: int | None
    begin: Callable[[str, str], Conversation]


PROTOCOLS: Mapping[str, Service] = {
    "icmp": Service("icmp", None, lambda _, ip: _icmp(ip)),
    "ssh": Service("tcp", 22, lambda _, __: SshConversation()),
    "rdp": Service("tcp", 3389, lambda _, __: RdpConversation()),
    "winrm": Service("tcp", 5985, lambda name, _: WinrmConversation(name)),
    "winrm-tls": Service("tcp", 5986, lambda name, _: WinrmTlsConversation(name)),
    "https": Service("tcp", 443, lambda name, _: HttpsConversation(name)),
    "hostd": Service("tcp", 443, lambda name, _: HostdConversation(name)),
    "authd": Service("tcp", 902, lambda _, __: AuthdConversation()),
    "smb": Service("tcp", 445, lambda _, __: SmbConversation()),
    "rmcp": Service("udp", 623, lambda _, __: RmcpConversation()),
}


def _icmp(ip: str) -> IcmpConversation:
    return IcmpConversation(os.urandom(8), ipv6=ipaddress.ip_address(ip).version == _IPV6)
