from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.probe.hostd import HostdConversation
from collector.probe.observation import Reach
from tests.peers.certificate import make_certificate

CLOSE = b"Connection: close\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n" + CLOSE
ANSWER = (
    b'<?xml version="1.0"?><soapenv:Envelope><soapenv:Body><RetrieveServiceContentResponse xmlns="urn:vim25">'
    b"<returnval></returnval></RetrieveServiceContentResponse></soapenv:Body></soapenv:Envelope>"
)
FAULT = (
    b"<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>busy</faultstring></soapenv:Fault>"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "server.pem")


def whole(data: bytes) -> list[bytes]:
    return [data]


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def serve(
    certificate: Path,
    answer: bytes,
    *,
    closes: bool = True,
    cut: Callable[[bytes], list[bytes]] = whole,
) -> HostdConversation:
    """A reverse proxy in memory that does TLS and gives `answer`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    client = HostdConversation("esx03.example.com")
    incoming.write(client.opening())
    request, answered = b"", False
    for _ in range(10):
        try:
            server.do_handshake()
            if not answered:
                request += server.read(65536)
                answered = True
                server.write(answer) if answer else None
            if closes:
                server.unwrap()
        except ssl.SSLWantReadError:
            pass
        for piece in cut(outgoing.read()):
            incoming.write(client.receive(piece))
        if client.done:
            break
    assert request.startswith(b"POST /sdk HTTP/1.1\r\nHost: esx03.example.com\r\n")
    assert b"RetrieveServiceContent" in request
    assert b"Login" not in request
    return client


@pytest.mark.parametrize("cut", [whole, single])
@pytest.mark.parametrize("closes", [True, False])
def test_the_answer_of_the_api_proves_hostd(
    certificate: Path, cut: Callable[[bytes], list[bytes]], closes: bool
) -> None:
    seen = serve(certificate, HEAD + ANSWER, closes=closes, cut=cut)
    assert (seen.reach, seen.done) == (Reach.PROVED, True)


def test_a_fault_of_the_api_proves_hostd(certificate: Path) -> None:
    seen = serve(certificate, b"HTTP/1.1 500 Internal Server Error\r\n" + CLOSE + FAULT)
    assert seen.reach is Reach.PROVED


@pytest.mark.parametrize("status", [b"503 Service Unavailable", b"404 Not Found", b"301 Moved"])
def test_what_the_proxy_says_in_its_place_proves_nothing(certificate: Path, status: bytes) -> None:
    seen = serve(certificate, b"HTTP/1.1 " + status + b"\r\n" + CLOSE)
    assert (seen.reach, seen.done) == (Reach.SPOKE, True)
    assert seen.evidence["failure"] == f"HTTP {status[:3].decode()}"


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b"<html>Welcome to VMware ESXi</html>"])
def test_a_proxy_whose_hostd_hangs_proves_nothing(certificate: Path, answer: bytes) -> None:
    silent = serve(certificate, answer, closes=False)
    assert (silent.reach, silent.done) == (Reach.SPOKE, False)
    assert silent.evidence["tls"] == "TLSv1.3"
    gone = serve(certificate, answer)
    assert (gone.reach, gone.done) == (Reach.SPOKE, True)
    assert "ended" in gone.evidence


def test_a_page_without_end_comes_to_an_end(certificate: Path) -> None:
    seen = serve(certificate, HEAD + b"x" * 70_000)
    assert (seen.reach, seen.done) == (Reach.SPOKE, True)
    assert seen.evidence["problem"] == "not an answer of the vSphere API"
