"""SSH against peers that stop: at every stage there is an end, in time, and the right name for it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.adapters.limits import Deadline
from collector.adapters.ssh import SshChannel, SshEndpoint
from collector.errors import AdapterError, DeadlineError, PeerFailedError, UnreachableError
from collector.model.host import Credential
from tests.contract.credentials import credential_for
from tests.peers.server import free_port
from tests.peers.sshd import Sshd, descendants, sshd, stopped
from tests.peers.tcp_proxy import proxy

SOON = 1.0
AT_ONCE = 0.5
LATE = 8.0
"""An end that comes by itself comes long before; without one the test would wait much longer."""

KNOWN = Credential("oncall", "oncall")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@contextlib.contextmanager
def connected(server: Sshd, port: int | None = None, seconds: float = 20.0) -> Iterator[SshChannel]:
    """A channel to the server, or to a proxy before it."""
    known = server.known_hosts
    if port is not None:
        known = server.known_hosts.parent / f"known_hosts.{port}"
        known.write_text(server.known_hosts.read_text().replace(f":{server.port} ", f":{port} "))
    endpoint = SshEndpoint(address="127.0.0.1", port=port or server.port, known_hosts=known)
    with SshChannel(endpoint, credential_for(server), Deadline.after(seconds)) as channel:
        yield channel


def failure(work: Callable[[], object]) -> AdapterError:
    """The error that `work` ends with, in time and without a thread left behind."""
    before, start = set(threading.enumerate()), time.monotonic()
    with pytest.raises(AdapterError) as raised:
        work()
    assert time.monotonic() - start < LATE
    left = {thread for thread in threading.enumerate() if not thread.daemon} - before
    assert not left
    return raised.value


def enter(port: int, seconds: float = AT_ONCE) -> Callable[[], object]:
    return SshChannel(SshEndpoint(address="127.0.0.1", port=port), KNOWN, Deadline.after(seconds)).__enter__


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that treats one connection with `answer`, and closes it when the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                answer(client)
                while client.recv(4096):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
    thread.join(5)


def test_nobody_listening_is_unreachable() -> None:
    assert type(failure(enter(free_port()))) is UnreachableError


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    endpoint = SshEndpoint(address="db01.invalid")
    error = failure(SshChannel(endpoint, KNOWN, Deadline.after(5)).__enter__)
    assert type(error) is UnreachableError


def test_a_listener_that_never_accepts_is_not_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = failure(enter(listener.getsockname()[1]))
    assert type(error) is DeadlineError
    assert "before its greeting" in str(error)


def test_a_full_backlog_is_unreachable() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        assert isinstance(failure(enter(port)), UnreachableError | DeadlineError)


def drip(client: socket.socket) -> None:
    for _ in range(200):
        client.sendall(b"x")
        time.sleep(0.05)


def lines(client: socket.socket) -> None:
    for _ in range(200):
        client.sendall(b"not yet\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [drip, lines])
def test_a_greeting_that_never_comes_to_its_end_ends_by_the_deadline(
    answer: Callable[[socket.socket], None],
) -> None:
    with answering(answer) as port:
        assert type(failure(enter(port))) is DeadlineError


def test_a_greeting_without_end_is_cut_off_before_the_deadline() -> None:
    def flood(client: socket.socket) -> None:
        while True:
            client.sendall(b"x" * 65_536)

    with answering(flood) as port:
        error = failure(enter(port, 60.0))
    assert type(error) is PeerFailedError
    assert "no version line" in str(error)


def test_a_packet_of_four_gigabytes_is_refused_before_the_deadline() -> None:
    with answering(lambda client: client.sendall(b"SSH-2.0-x\r\n\xff\xff\xff\xfc" + bytes(12))) as port:
        error = failure(enter(port, 60.0))
    assert type(error) is PeerFailedError
    assert "packet of" in str(error)


def test_another_protocol_is_named_in_one_harmless_line() -> None:
    with answering(lambda client: client.sendall(b"\x1b[2J HTTP/1.1 400\r\n" * 200)) as port:
        error = failure(enter(port, 60.0))
    assert type(error) is PeerFailedError
    assert str(error).isprintable()


def test_a_peer_that_hangs_up_is_no_silent_one() -> None:
    with answering(lambda client: client.shutdown(socket.SHUT_RDWR)) as port:
        assert type(failure(enter(port, 60.0))) is PeerFailedError


@pytest.fixture(scope="module")
def login_bytes(server: Sshd) -> int:
    """What sshd sends from its greeting to the end of a login."""
    with proxy(server.port) as counting, connected(server, counting.port):
        return counting.passed


STAGES = [0.0, 0.02, 0.4, 0.7, 0.85, 0.95, 0.99]
"""Parts of the login after which a server stops: greeting, key exchange, service, methods, proof."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_stops_at_any_stage_of_the_login_ends_by_the_deadline(
    server: Sshd, login_bytes: int, stage: float
) -> None:
    with proxy(server.port, after=int(login_bytes * stage)) as stopping:
        error = failure(lambda: connected(server, stopping.port, AT_ONCE).__enter__())
        assert stopping.connections == 1
    assert type(error) is DeadlineError
    assert error.hint


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_hangs_up_at_any_stage_of_the_login_has_not_refused_it(
    server: Sshd, login_bytes: int, stage: float
) -> None:
    with proxy(server.port, after=int(login_bytes * stage), hang_up=True) as stopping:
        error = failure(lambda: connected(server, stopping.port).__enter__())
        assert stopping.connections == 1
    assert isinstance(error, PeerFailedError | UnreachableError)


def test_a_command_that_never_ends_ends_by_the_deadline(server: Sshd) -> None:
    with connected(server) as channel:
        assert type(failure(lambda: channel.run("sleep 60", Deadline.after(SOON)))) is DeadlineError
        assert channel.run("echo on", Deadline.after(20)).stdout == b"on\n"


@pytest.mark.parametrize("command", ["cat /dev/zero", "cat /dev/zero >&2", "exec >&- 2>&-; sleep 60"])
def test_a_command_that_talks_for_ever_or_closes_its_output_ends_by_the_deadline(
    server: Sshd, command: str
) -> None:
    with connected(server) as channel:
        error = failure(lambda: channel.run(command, Deadline.after(SOON), limit=1000))
        assert type(error) is DeadlineError


def test_much_output_on_both_streams_blocks_neither(server: Sshd) -> None:
    command = "for i in 1 2 3 4 5 6; do head -c 2000000 /dev/zero; head -c 2000000 /dev/zero >&2; done"
    with connected(server) as channel:
        result = channel.run(command, Deadline.after(60))
    assert (len(result.stdout), len(result.stderr), result.exit_status) == (12_000_000, 12_000_000, 0)
    assert not result.truncated


def test_a_stopped_sshd_ends_every_call_by_its_deadline(server: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000))
    with connected(server) as channel:
        reader = channel.read(str(path), 0, SOON)
        assert next(reader)
        with stopped(server.pid):
            assert type(failure(lambda: channel.run("echo", Deadline.after(SOON)))) is DeadlineError
            assert type(failure(lambda: channel.stat("/", Deadline.after(SOON)))) is DeadlineError
            assert type(failure(lambda: channel.list("/", Deadline.after(SOON)))) is DeadlineError
            assert type(failure(lambda: list(channel.read("/etc/passwd", 0, SOON)))) is DeadlineError
            assert type(failure(lambda: list(reader))) is DeadlineError
            assert type(failure(enter_stopped(server))) is DeadlineError
        assert channel.run("echo on", Deadline.after(20)).stdout == b"on\n"


def test_sessions_that_the_server_opens_too_late_are_not_left_open_there(server: Sshd) -> None:
    # sshd allows ten in one connection (MaxSessions).
    with connected(server) as channel:
        for _ in range(2):
            with stopped(server.pid):
                for _ in range(6):
                    error = failure(lambda: channel.run("echo", Deadline.after(AT_ONCE)))
                    assert type(error) is DeadlineError
            assert channel.run("echo on", Deadline.after(20)).stdout == b"on\n"


def enter_stopped(server: Sshd) -> Callable[[], object]:
    return lambda: connected(server, seconds=AT_ONCE).__enter__()


def test_a_host_that_stops_in_a_key_exchange_ends_every_call_by_its_deadline(
    server: Sshd, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000))
    with connected(server) as channel:
        reader = channel.read(str(path), 0, SOON)
        assert next(reader)
        with stopped(server.pid):
            assert channel._transport is not None
            channel._transport._send_kex_init()  # type: ignore[attr-defined]
            assert type(failure(lambda: channel.run("echo", Deadline.after(SOON)))) is DeadlineError
            assert type(failure(lambda: channel.stat("/", Deadline.after(SOON)))) is DeadlineError
            assert type(failure(lambda: list(reader))) is DeadlineError


def test_a_command_during_which_the_host_dies_is_a_lost_connection(server: Sshd) -> None:
    others = set(descendants(server.pid))

    def kill() -> None:
        for pid in set(descendants(server.pid)) - others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    with connected(server) as channel:
        killer = threading.Timer(0.5, kill)
        killer.start()
        error = failure(lambda: channel.run("sleep 60", Deadline.after(60)))
        killer.join()
        assert type(error) is UnreachableError
        assert type(failure(lambda: channel.run("echo", Deadline.after(SOON)))) is UnreachableError


def test_a_network_that_goes_silent_in_a_copy_is_noticed(server: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000))
    with proxy(server.port) as dying, connected(server, dying.port) as channel:
        reader = channel.read(str(path), 0, SOON)
        assert next(reader)
        dying.dead.set()
        error = failure(lambda: list(reader))
    assert type(error) is DeadlineError
    assert "resume" in error.hint


def test_a_server_without_room_for_a_session_has_failed_and_not_refused_us(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd", "MaxSessions=0") as server, connected(server) as channel:
        assert type(failure(lambda: channel.run("echo", Deadline.after(20)))) is PeerFailedError


def test_a_closed_channel_says_so(server: Sshd) -> None:
    with connected(server) as channel:
        pass
    assert type(failure(lambda: channel.run("echo", Deadline.after(SOON)))) is UnreachableError


def test_nothing_is_printed_when_a_peer_misbehaves(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []  # as in a program that has set up no logging
    try:
        with answering(lambda client: client.sendall(b"SSH-2.0-x\r\n\xff\xff\xff\xfc" + bytes(12))) as port:
            failure(enter(port, 60.0))
    finally:
        root.handlers = handlers
    assert capfd.readouterr() == ("", "")
