from __future__ import annotations

import pytest

from collector.probe.conversation import StreamConversation
from collector.probe.observation import Reach
from collector.probe.protocols import PROTOCOLS

OVER_TCP = [name for name, service in PROTOCOLS.items() if service.transport == "tcp"]
GARBAGE = (
    b"\x00",
    b"\n",
    b"\xff",
    b"HTTP/1.1 ",
    b"\x16\x03\x03\x40\x00",
    b"SSH-2.0-x\r\n\x00\x00\x80\x00\x04",
)


@pytest.mark.parametrize("protocol", OVER_TCP)
@pytest.mark.parametrize("spam", GARBAGE)
def test_endless_garbage_ends_every_conversation_and_fills_no_memory(protocol: str, spam: bytes) -> None:
    conversation = PROTOCOLS[protocol].begin("db01.example.com", "192.0.2.10")
    assert isinstance(conversation, StreamConversation)
    conversation.opening()
    chunk = spam * (8192 // len(spam))
    for _ in range(64):
        conversation.receive(chunk)
    assert (conversation.reach, conversation.done) == (Reach.SPOKE, True)
    assert len(conversation._buffer) <= conversation.limit


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("ip", ["192.0.2.10", "2001:db8::10", "fe80::1%eth0"])
def test_every_conversation_begins_for_both_families_with_nothing_reached(protocol: str, ip: str) -> None:
    conversation = PROTOCOLS[protocol].begin(ip, ip)
    service = PROTOCOLS[protocol]
    assert conversation.reach is (Reach.CONNECTED if service.transport == "tcp" else Reach.SILENT)
    assert not conversation.done
    assert len(conversation.opening()) < 1500
