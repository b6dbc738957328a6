from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from collector.lab.rmcp import RMCP_HEADER, Account, Privilege, Request, RmcpServer, Status

GUID = bytes(range(16))
SUITE_3, SUITE_17 = (1, 1, 1), (3, 4, 1)


def server() -> RmcpServer:
    return RmcpServer([Account("admin", "password"), Account("viewer", "v", Privilege.USER)], GUID)


def plain(payload_type: int, payload: bytes) -> bytes:
    return RMCP_HEADER + struct.pack("<BBIIH", 0x06, payload_type, 0, 0, len(payload)) + payload


def open_request(algorithms: tuple[int, int, int]) -> bytes:
    proposal = b"".join(bytes([kind, 0, 0, 8, code, 0, 0, 0]) for kind, code in enumerate(algorithms))
    return plain(0x10, struct.pack("<BBxxI", 7, 0, 0x1234) + proposal)


def rakp1(session: int, name: bytes, role: int = 0x14) -> bytes:
    return plain(0x12, struct.pack("<B3xI16sB2xB", 8, session, bytes(16), role, len(name)) + name)


def opened(bmc: RmcpServer) -> int:
    answer = bmc.receive(open_request(SUITE_3))
    assert isinstance(answer, bytes)
    tag, status, _, remote, session = struct.unpack_from("<BBBxII", answer, 16)
    assert (tag, status, remote) == (7, Status.OK, 0x1234)
    return int(session)


def status_of(answer: object) -> int:
    assert isinstance(answer, bytes)
    return answer[17]


@given(st.binary(max_size=200))
def test_no_datagram_raises(datagram: bytes) -> None:
    assert server().receive(datagram) is None or datagram.startswith(RMCP_HEADER)


@given(st.sampled_from([0x00, 0x06]), st.binary(max_size=100))
def test_no_datagram_with_a_true_header_raises(form: int, rest: bytes) -> None:
    server().receive(RMCP_HEADER + bytes([form]) + rest)


@given(st.sampled_from([0x00, 0x10, 0x12, 0x14]), st.binary(max_size=100))
def test_no_payload_raises_and_none_logs_in(payload_type: int, payload: bytes) -> None:
    bmc = server()
    opened(bmc)
    bmc.receive(plain(payload_type, payload))
    assert bmc.sessions == 0


@given(st.binary(max_size=100), st.integers(0, 0xFFFF_FFFF))
def test_nothing_passes_into_a_session_that_is_not_logged_in(payload: bytes, sequence: int) -> None:
    bmc = server()
    session = opened(bmc)
    header = struct.pack("<BBIIH", 0x06, 0xC0, session, sequence, len(payload))
    assert bmc.receive(RMCP_HEADER + header + payload) is None


def test_only_suite_3_is_taken() -> None:
    assert status_of(server().receive(open_request(SUITE_17))) == Status.NO_CIPHER_SUITE
    assert status_of(server().receive(open_request((0, 0, 0)))) == Status.NO_CIPHER_SUITE
    assert status_of(server().receive(open_request(SUITE_3))) == Status.OK


def test_rakp_message_2_says_who_may_not_come_in() -> None:
    bmc = server()
    assert status_of(bmc.receive(rakp1(opened(bmc), b"admin"))) == Status.OK
    assert status_of(bmc.receive(rakp1(opened(bmc), b"nobody"))) == Status.UNAUTHORIZED_NAME
    assert status_of(bmc.receive(rakp1(opened(bmc), b"viewer"))) == Status.UNAUTHORIZED_ROLE
    assert [(login.message, login.name) for login in bmc.logins] == [
        (1, "admin"),
        (1, "nobody"),
        (1, "viewer"),
    ]


def test_a_false_proof_in_rakp_message_3_is_refused_and_ends_the_session() -> None:
    bmc = server()
    session = opened(bmc)
    bmc.receive(rakp1(session, b"admin"))
    rakp3 = plain(0x14, struct.pack("<BB2xI", 9, 0, session) + bytes(20))
    assert status_of(bmc.receive(rakp3)) == Status.INVALID_INTEGRITY_CHECK
    assert bmc.receive(rakp3) is None
    assert bmc.sessions == 0


def test_a_command_outside_of_a_session_has_no_privilege() -> None:
    message = bytes([0x20, 0x18, 0xC8, 0x81, 0x04, 0x38, 0x8E, 0x04, 0xB1])
    request = server().receive(RMCP_HEADER + struct.pack("<BIIB", 0, 0, 0, len(message)) + message)
    assert isinstance(request, Request)
    assert (request.netfn, request.command, request.data) == (0x06, 0x38, b"\x8e\x04")
    assert request.privilege is Privilege.NONE


def test_a_damaged_message_is_dropped() -> None:
    message = bytes([0x20, 0x18, 0xC8, 0x81, 0x04, 0x38, 0x8E, 0x04, 0xB2])
    assert server().receive(RMCP_HEADER + struct.pack("<BIIB", 0, 0, 0, len(message)) + message) is None


def test_half_open_sessions_do_not_pile_up() -> None:
    bmc = server()
    first = opened(bmc)
    for _ in range(100):
        opened(bmc)
    assert bmc.receive(rakp1(first, b"admin")) is None
    assert len(bmc._sessions) <= 32


def test_passwords_are_not_shown() -> None:
    assert "correct-horse" not in repr(Account("admin", "correct-horse"))
