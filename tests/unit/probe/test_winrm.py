"""No Windows is at hand: the answers are those that http.sys and WinRM are documented to give."""

from __future__ import annotations

import pytest
from hypothesis import given

from collector.probe.observation import Reach
from collector.probe.winrm import WinrmConversation
from tests.unit.probe.script import near, pieces, play, survives

IDENTIFY = (
    b"HTTP/1.1 200 \r\nContent-Type: application/soap+xml;charset=UTF-8\r\n"
    b"Server: Microsoft-HTTPAPI/2.0\r\nContent-Length: 7\r\n\r\n<s:Env>"
)
UNAUTHORIZED = (
    b"HTTP/1.1 401 \r\nServer: Microsoft-HTTPAPI/2.0\r\nWWW-Authenticate: Negotiate\r\n"
    b"WWW-Authenticate: Kerberos\r\nContent-Length: 0\r\n\r\n"
)
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=us-ascii\r\n"
    b"Server: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nServer: Microsoft-HTTPAPI/2.0\r\n\r\n"


def winrm() -> WinrmConversation:
    return WinrmConversation("db01.example.com")


def test_the_request_asks_for_identify_without_a_login() -> None:
    head, _, body = winrm().opening().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /wsman HTTP/1.1"
    assert b"Host: db01.example.com" in lines
    assert b"WSMANIDENTIFY: unauthenticated" in lines
    assert f"Content-Length: {len(body)}".encode() in lines
    assert b"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd" in body
    assert b"Authorization" not in head


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert b"\r\nHost: [2001:db8::1]\r\n" in WinrmConversation("2001:db8::1").opening()
    assert b"\r\nHost: [fe80::1]\r\n" in WinrmConversation("fe80::1%eth0").opening()


@pytest.mark.parametrize("answer", [IDENTIFY, UNAUTHORIZED])
def test_an_answer_of_winrm_itself_proves_user_mode(answer: bytes) -> None:
    ending = play(winrm(), [answer])
    assert (ending.reach, ending.done) == (Reach.PROVED, True)
    assert "kernel" not in ending.evidence


def test_a_continue_before_the_answer_is_passed_over() -> None:
    assert play(winrm(), [b"HTTP/1.1 100 Continue\r\n\r\n" + IDENTIFY]).reach is Reach.PROVED


@pytest.mark.parametrize(("answer", "failure"), [(UNAVAILABLE, "HTTP 503"), (NOT_FOUND, "HTTP 404")])
def test_what_http_sys_answers_by_itself_proves_no_more_than_a_kernel(answer: bytes, failure: str) -> None:
    ending = play(winrm(), [answer])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert ending.evidence["failure"] == failure
    assert "kernel" in ending.evidence


@pytest.mark.parametrize(
    "stream",
    [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 200 " + b"x" * 20000],
)
def test_anything_else_proves_nothing_and_is_not_taken_for_the_kernel(stream: bytes) -> None:
    ending = play(winrm(), [stream])
    assert (ending.reach, ending.done) == (Reach.SPOKE, True)
    assert "problem" in ending.evidence
    assert "kernel" not in ending.evidence


def test_endless_interim_answers_come_to_an_end() -> None:
    assert play(winrm(), [b"HTTP/1.1 102 Processing\r\n\r\n" * 5000]).done


@given(pieces(near(IDENTIFY, UNAUTHORIZED, UNAVAILABLE, b"HTTP/1.1 100 \r\n\r\n" + NOT_FOUND)))
def test_no_bytes_in_any_pieces_upset_it(cut: list[bytes]) -> None:
    survives(winrm, cut)
