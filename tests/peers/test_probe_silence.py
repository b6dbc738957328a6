"""The probe against peers that behave as no server should: the deadline holds and no row is lost."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.adapters.answers import PowerState
from collector.probe.diagnosis import ControllerView, Diagnosis, diagnose
from collector.probe.io import observe
from collector.probe.observation import Observation, Reach, Target
from tests.unit.probe.test_rmcp import CAPABLE

LOOPBACK = "127.0.0.1"
OVER_TCP = ("ssh", "rdp", "winrm", "winrm-tls", "https", "smb")
ON = ControllerView(power=PowerState.ON)
PING = Observation("icmp", LOOPBACK, None, Reach.SPOKE, 0.0, {})


@contextlib.contextmanager
def listening(backlog: int = 64) -> Iterator[socket.socket]:
    """A socket that listens and that nobody accepts on, as in a hung process."""
    with socket.create_server((LOOPBACK, 0), backlog=backlog) as listener:
        yield listener


@contextlib.contextmanager
def serving(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server whose every connection behaves so, in a thread of its own; yields the port."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            behave(connection, over)

    def accept(listener: socket.socket) -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(10)
                threads.append(threading.Thread(target=handle, args=(connection,)))
                threads[-1].start()

    with listening() as listener:
        listener.settimeout(0.05)
        accepting = threading.Thread(target=accept, args=(listener,))
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            accepting.join()
            for thread in threads:
                thread.join()


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Something that might become a banner, one byte a second."""
    while not over.wait(1.0):
        connection.sendall(b"S")


def flood(connection: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        connection.sendall(b"\xa5" * 65536)


def close(connection: socket.socket, _: threading.Event) -> None:
    """Close at once."""


def reset(connection: socket.socket, _: threading.Event) -> None:
    """Reset at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def banner_then_nothing(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    over.wait()


def test_a_listener_that_nobody_accepts_on_is_hung_and_gets_one_connection_a_service() -> None:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listening()) for _ in OVER_TCP]
        targets = [
            Target(name, LOOPBACK, each.getsockname()[1])
            for name, each in zip(OVER_TCP, listeners, strict=True)
        ]
        began = time.monotonic()
        seen = observe(targets, 4.0)
        took = time.monotonic() - began
        for listener in listeners:
            listener.setblocking(False)
            listener.accept()[0].close()
            with pytest.raises(BlockingIOError):
                listener.accept()
    assert [each.reach for each in seen] == [Reach.CONNECTED] * len(OVER_TCP)
    assert 4.0 <= took < 12.0, "all deadlines run at the same time"
    for each in seen:
        assert diagnose([PING, each], ON).diagnosis is Diagnosis.HUNG_SOFTWARE
        assert "kernel lives, user mode does not" in diagnose([PING, each], ON).reason


def test_connections_that_nobody_accepted_fill_the_queue_and_the_host_is_still_hung() -> None:
    with listening(backlog=0) as listener, contextlib.ExitStack() as stack:
        port = listener.getsockname()[1]
        target = Target("ssh", LOOPBACK, port)
        before = diagnose([PING, *observe([target], 3.5)], ON).diagnosis
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, port))
        full = observe([target], 4.0)
    assert full[0].reach is Reach.SILENT
    assert before is Diagnosis.HUNG_SOFTWARE
    assert diagnose([PING, *full], ON, before=before).diagnosis is Diagnosis.HUNG_SOFTWARE
    assert diagnose([PING, *full], ON).diagnosis is Diagnosis.UNKNOWN


@pytest.mark.parametrize("behave", [drip, flood])
def test_a_peer_that_never_comes_to_the_point_is_left_at_the_deadline(
    behave: Callable[[socket.socket, threading.Event], None],
) -> None:
    with serving(behave) as port:
        began = time.monotonic()
        seen = observe([Target(name, LOOPBACK, port) for name in OVER_TCP], 4.0)
        took = time.monotonic() - began
    assert took < 12.0
    for each in seen:
        assert each.reach is Reach.SPOKE, each
        assert diagnose([PING, each], ON).diagnosis is Diagnosis.DEGRADED, each


@pytest.mark.parametrize("behave", [close, reset])
def test_a_peer_that_closes_at_once_is_not_hung(
    behave: Callable[[socket.socket, threading.Event], None],
) -> None:
    with serving(behave) as port:
        seen = observe([Target(name, LOOPBACK, port) for name in OVER_TCP], 20.0)
    for each in seen:
        assert each.reach in (Reach.CONNECTED, Reach.REFUSED), each
        assert each.reach is Reach.REFUSED or "ended" in each.evidence
        assert not diagnose([PING, each], ON).diagnosis.hung


def test_a_banner_without_a_key_exchange_is_stuck_halfway() -> None:
    with serving(banner_then_nothing) as port:
        [seen] = observe([Target("ssh", LOOPBACK, port)], 3.5)
    assert seen.reach is Reach.SPOKE
    assert seen.evidence["banner"] == "SSH-2.0-OpenSSH_9.2p1"
    assert "waited" in seen.evidence


@contextlib.contextmanager
def bmc(answers: Callable[[socket.socket, bytes, object], None]) -> Iterator[int]:
    """A UDP peer that handles each datagram so; yields the port."""
    over = threading.Event()

    def handle(sock: socket.socket) -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                answers(sock, *sock.recvfrom(2048))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        sock.settimeout(0.05)
        thread = threading.Thread(target=handle, args=(sock,))
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_a_lost_answer_of_a_bmc_is_asked_for_again_at_most_twice() -> None:
    heard: list[bytes] = []

    def second_time_only(sock: socket.socket, data: bytes, peer: object) -> None:
        heard.append(data)
        if len(heard) == 2:
            sock.sendto(CAPABLE, peer)

    def never(sock: socket.socket, data: bytes, peer: object) -> None:
        unheard.append(data)

    unheard: list[bytes] = []
    with bmc(second_time_only) as slow, bmc(never) as silent:
        seen = observe([Target("rmcp", LOOPBACK, slow), Target("rmcp", LOOPBACK, silent)], 4.0)
    assert [each.reach for each in seen] == [Reach.PROVED, Reach.SILENT]
    assert (len(heard), len(unheard)) == (2, 3)


def test_an_answer_from_another_address_is_not_believed() -> None:
    def by_a_stranger(_: socket.socket, __: bytes, peer: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.sendto(CAPABLE, peer)

    with bmc(by_a_stranger) as port:
        [seen] = observe([Target("rmcp", LOOPBACK, port)], 3.5)
    assert seen.reach is Reach.SILENT


def test_garbage_from_a_bmc_is_not_believed() -> None:
    with bmc(lambda sock, data, peer: sock.sendto(data[::-1], peer)) as port:
        [seen] = observe([Target("rmcp", LOOPBACK, port)], 3.5)
    assert seen.reach is Reach.SPOKE


def test_a_closed_udp_port_is_refused_and_not_silent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        port = sock.getsockname()[1]
    [seen] = observe([Target("rmcp", LOOPBACK, port)], 20.0)
    assert seen.reach is Reach.REFUSED


def test_a_resolver_that_never_answers_does_not_hold_the_others_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real, over, asked = socket.getaddrinfo, threading.Event(), []

    def stuck(host: str, *args: object, **kwargs: object) -> object:
        if host == "stuck.example.com" and not kwargs.get("flags"):
            asked.append(host)
            over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    targets = [Target(name, "stuck.example.com", 1) for name in OVER_TCP] + [Target("ssh", LOOPBACK, 1)]
    began = time.monotonic()
    seen = observe(targets, 3.5)
    took = time.monotonic() - began
    over.set()
    assert took < 12.0
    assert asked == ["stuck.example.com"], "a name is asked for once a round"
    assert [each.reach for each in seen] == [Reach.UNTRIED] * len(OVER_TCP) + [Reach.REFUSED]
    assert seen[0].evidence["problem"] == "the name did not resolve in time"
    assert seen[-1].seconds < 3.0


@pytest.mark.parametrize(
    "name", ["", "db01.invalid", "a" * 70 + ".example.com", "nul\0.example.com", "…" * 80, "999.1.1.1"]
)
def test_a_name_that_no_host_can_have_is_one_row_that_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(host: str, *args: object, flags: int = 0, **kwargs: object) -> object:
        if flags or host != "db01.invalid":
            return real(host, *args, flags=flags | socket.AI_NUMERICHOST, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    [seen] = observe([Target("ssh", name, 22)], 20.0)
    assert seen.reach is Reach.UNTRIED
    assert seen.evidence["problem"]


def test_every_target_gives_one_observation_in_order_even_impossible_ones() -> None:
    targets = [
        Target("ssh", LOOPBACK, 1),
        Target("of-tomorrow", LOOPBACK, 1),
        Target("ssh", LOOPBACK, 99999),
        Target("ssh", LOOPBACK, -1),
        Target("ssh", LOOPBACK, 1),
        Target("https", "::1", 1),
    ]
    seen = observe(targets, 20.0)
    assert [Target(each.protocol, each.address, each.port) for each in seen] == targets
    assert [each.reach for each in seen] == [
        Reach.REFUSED, Reach.UNTRIED, Reach.UNTRIED, Reach.UNTRIED, Reach.REFUSED, Reach.REFUSED,
    ]  # fmt: skip
    assert observe([], 1.0) == []


_STARVED = """
import json, os, resource, sys
from collector.probe.io import observe
from collector.probe.observation import Target
targets = [Target(name, "127.0.0.1", 1) for name in ("ssh", "https", "rmcp", "icmp")]
first_free = os.dup(0)
os.close(first_free)
resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + int(sys.argv[1]),) * 2)
print(json.dumps([seen.reach for seen in observe(targets, 3.5)]))
"""


@pytest.mark.parametrize("files", [0, 3])
@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_NOFILE is POSIX")
def test_too_many_open_files_are_rows_that_say_untried(files: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STARVED, str(files)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["untried"] * 4
