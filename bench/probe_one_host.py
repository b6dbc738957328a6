"""`probe` of one host that never answers: it must end at the slowest deadline, not at their sum.

Run: python bench/probe_one_host.py [SECONDS]

Every service gets a listener on loopback that nobody accepts on, and the BMC a socket that nobody reads:
what a host with a stuck user mode looks like. `one by one` asks the same questions in turn.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

from collector.probe.io import observe
from collector.probe.observation import Target
from collector.probe.protocols import PROTOCOLS

LOOPBACK = "127.0.0.1"


def silent_targets(stack: contextlib.ExitStack) -> list[Target]:
    targets = []
    for name, service in PROTOCOLS.items():
        if service.transport == "icmp":
            continue
        kind = socket.SOCK_STREAM if service.transport == "tcp" else socket.SOCK_DGRAM
        peer = stack.enter_context(socket.socket(socket.AF_INET, kind))
        peer.bind((LOOPBACK, 0))
        if service.transport == "tcp":
            peer.listen(16)
        targets.append(Target(name, LOOPBACK, peer.getsockname()[1]))
    return targets


def timed(targets: list[Target], seconds: float) -> tuple[float, float]:
    """Wall clock and CPU seconds of one round; the row of each target must be there."""
    wall, cpu = time.monotonic(), time.process_time()
    seen = observe(targets, seconds)
    assert len(seen) == len(targets)
    assert not any(each.answered for each in seen)
    return time.monotonic() - wall, time.process_time() - cpu


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with contextlib.ExitStack() as stack:
        targets = silent_targets(stack)
        wall, cpu = timed(targets, seconds)
        in_turn = sum(timed([target], seconds)[0] for target in targets)
    print(f"targets                {len(targets)} ({' '.join(target.protocol for target in targets)})")
    print(f"slowest deadline       {seconds:7.3f} s")
    print(f"all at once            {wall:7.3f} s wall, {cpu:.3f} s CPU")
    print(f"one by one             {in_turn:7.3f} s wall")
    print(f"wall/slowest deadline  {wall / seconds:7.3f}")
    print(f"wall/one by one        {wall / in_turn:7.3f}")


if __name__ == "__main__":
    main()
