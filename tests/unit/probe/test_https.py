from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from collector.probe.https import HttpsConversation
from collector.probe.observation import Reach
from tests.peers.certificate import make_certificate
from tests.unit.probe.script import near, pieces, play, survives

ALERT = bytes.fromhex("15 03 03 00 02 02 28")  # handshake failure, RFC 8446 section 6


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate that expired, with its key."""
    return make_certificate(tmp_path_factory.mktemp("tls") / "server.pem", days=-30)


def serve(
    certificate: Path, answer: bytes, *, cut: Callable[[bytes], list[bytes]] = lambda b: [b]
) -> HttpsConversation:
    """Let the conversation talk to a TLS server in memory that gives `answer` to the request, and closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    client = HttpsConversation("db01.example.com")
    incoming.write(client.opening())
    request = b""
    for _ in range(10):
        try:
            server.do_handshake()
            request += server.read(65536)
            server.write(answer)
            server.unwrap()
        except ssl.SSLWantReadError:
            pass
        for piece in cut(outgoing.read()):
            incoming.write(client.receive(piece))
        if client.done:
            break
    assert not request or request.startswith(b"GET / HTTP/1.1\r\nHost: db01.example.com\r\n")
    return client


OK = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("cut", [lambda data: [data], byte_by_byte])
def test_an_http_answer_through_tls_proves_user_mode(
    certificate: Path, cut: Callable[[bytes], list[bytes]]
) -> None:
    seen = serve(certificate, OK, cut=cut)
    assert (seen.reach, seen.done) == (Reach.PROVED, True)
    assert (seen.evidence["http_status"], seen.evidence["server"]) == ("200", "nginx")
    assert seen.evidence["tls"] == "TLSv1.3"
    assert len(seen.evidence["certificate_sha256"]) == 64


def test_a_redirect_and_a_not_found_are_answers(certificate: Path) -> None:
    for status in (b"301 Moved", b"404 Not Found", b"401 Unauthorized"):
        assert serve(certificate, b"HTTP/1.1 " + status + b"\r\n\r\n").reach is Reach.PROVED


def test_a_proxy_in_front_of_a_dead_service_proves_nothing(certificate: Path) -> None:
    seen = serve(certificate, b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert (seen.reach, seen.done, seen.evidence["failure"]) == (Reach.SPOKE, True, "HTTP 503")


def test_another_protocol_through_tls_proves_nothing(certificate: Path) -> None:
    seen = serve(certificate, b"220 mail.example.com ESMTP\r\n")
    assert (seen.reach, seen.done) == (Reach.SPOKE, True)
    assert "problem" in seen.evidence


def test_a_server_that_leaves_after_the_handshake_proves_nothing(certificate: Path) -> None:
    seen = serve(certificate, b"")
    assert (seen.reach, seen.done) == (Reach.SPOKE, True)
    assert "ended" in seen.evidence


@pytest.mark.parametrize("stream", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", ALERT, bytes(64)])
def test_no_tls_proves_nothing(stream: bytes) -> None:
    ending = play(HttpsConversation("192.0.2.1"), [stream])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert ending.evidence["problem"].startswith("TLS: ")


def test_an_ip_address_is_no_server_name() -> None:
    assert b"192.0.2.1" not in HttpsConversation("192.0.2.1").opening()
    assert b"db01.example.com" in HttpsConversation("db01.example.com").opening()


def test_endless_garbage_inside_tls_comes_to_an_end(certificate: Path) -> None:
    seen = serve(certificate, b"HTTP/1.1 200 OK\r\n" + b"x" * 300_000)
    assert (seen.reach, seen.done) == (Reach.SPOKE, True)


@given(pieces(near(ALERT, bytes.fromhex("16 03 03 00 04 02 00 00 00"), bytes.fromhex("17 03 03 00 01 00"))))
def test_no_bytes_in_any_pieces_upset_it(cut: list[bytes]) -> None:
    survives(lambda: HttpsConversation("db01.example.com"), cut)
