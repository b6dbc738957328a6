"""Ping, and the paths that lead nowhere, in a network namespace of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.server import tool

_ASK = """
import json, sys
from collector.probe.io import observe
from collector.probe.observation import Target
seen = observe([Target(*target) for target in json.loads(sys.argv[1])], 4.0)
print(json.dumps([[each.reach, each.seconds, dict(each.evidence)] for each in seen]))
"""

# One end of the wire has an address and the other has none: 192.0.2.2 is a neighbour that never answers ARP,
# and for 192.0.2.3 an entry is set, so that packets go out and nothing comes back.
_LAY_OUT = """
set -e
ip link set lo up
ip link add name here type veth peer name there
ip addr add 192.0.2.1/24 dev here
ip -6 addr add 2001:db8::1/64 dev here nodad
ip link set here up
ip link set there up
ip neigh add 192.0.2.3 lladdr 02:00:00:00:00:03 dev here nud permanent
ip -6 neigh add 2001:db8::3 lladdr 02:00:00:00:00:03 dev here nud permanent
ip route add unreachable 198.51.100.0/24
[ "$PING_GROUPS" = nobody ] || echo "$PING_GROUPS" > /proc/sys/net/ipv4/ping_group_range
exec "$@"
"""

NOBODY, EVERYBODY = "nobody", "0 0"  # a new namespace allows nobody, and has only one group, 0


def ask(
    *targets: tuple[str, str, int | None], groups: str, raw: bool
) -> list[tuple[str, float, dict[str, str]]]:
    """Probe from inside a fresh namespace, with or without the right to open raw sockets."""
    unshare, ip = tool("unshare", package="util-linux"), tool("ip", package="iproute2")
    setpriv = tool("setpriv", package="util-linux")
    inside = [unshare, "--user", "--map-root-user", "--net"]
    if subprocess.run(
        [*inside, ip, "link", "add", "name", "here", "type", "veth"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine allows no network namespaces (as root, or by user namespaces)")
    drop = [] if raw else [setpriv, "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    done = subprocess.run(
        [*inside, "sh", "-c", _LAY_OUT, "sh", *drop, sys.executable, "-c", _ASK, json.dumps(targets)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PING_GROUPS": groups},
    )
    assert done.returncode == 0, done.stderr
    return [(reach, seconds, evidence) for reach, seconds, evidence in json.loads(done.stdout)]


LIVING = (
    ("icmp", "127.0.0.1", None),
    ("icmp", "::1", None),
    ("icmp", "192.0.2.1", None),
    ("icmp", "2001:db8::1", None),
)


@pytest.mark.parametrize(
    ("groups", "raw"),
    [
        pytest.param(EVERYBODY, False, id="datagram sockets only"),
        pytest.param(NOBODY, True, id="raw sockets only"),
        pytest.param(EVERYBODY, True, id="both"),
    ],
)
def test_a_kernel_that_lives_answers_ping(groups: str, raw: bool) -> None:
    seen = ask(*LIVING, groups=groups, raw=raw)
    assert [reach for reach, _, _ in seen] == ["spoke"] * len(LIVING)


def test_without_the_right_to_ping_it_is_untried_and_the_reason_is_given() -> None:
    seen = ask(*LIVING, groups=NOBODY, raw=False)
    assert [reach for reach, _, _ in seen] == ["untried"] * len(LIVING)
    assert "CAP_NET_RAW" in seen[0][2]["error"]


@pytest.mark.parametrize(
    ("groups", "raw"),
    [pytest.param(EVERYBODY, False, id="datagram sockets"), pytest.param(NOBODY, True, id="raw sockets")],
)
def test_silence_and_no_route_are_told_apart_in_every_protocol(groups: str, raw: bool) -> None:
    def everything_at(address: str) -> list[tuple[str, str, int | None]]:
        return [("icmp", address, None), ("ssh", address, 22), ("rmcp", address, 623)]

    mute, absent, unreachable, elsewhere = "192.0.2.3", "192.0.2.2", "198.51.100.1", "203.0.113.1"
    asked = [everything_at(address) for address in (mute, "2001:db8::3", absent, unreachable, elsewhere)]
    seen = ask(*(target for group in asked for target in group), groups=groups, raw=raw)
    reached = [[reach for reach, _, _ in seen[at : at + 3]] for at in range(0, len(seen), 3)]
    assert reached == [["silent"] * 3, ["silent"] * 3, ["no route"] * 3, ["no route"] * 3, ["no route"] * 3]
