"""The process that holds one RMCP+ session, on pyghmi; `ipmi_session` starts it and ends it.

It is a process because pyghmi cannot be stopped: it shares sessions, sockets and queues among everything
that runs in one process, waits up to a minute by itself, logs in again unasked, and sends what was pending
a second time. A process that is ended sends nothing any more.

Lines of JSON, first in then out:

* `{"address", "port", "user", "password", "privilege"}`, user and password as hex, is answered by
  `{"ready": true}` or `{"ready": false, "reason": text or null}`, where null means silence;
* `{"netfn", "command", "data", "once"}`, data as hex, is answered by `{"code", "data"}`, or not at all.

The end of the input means: close the session and go.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

RESEND_S = 1.0
"""Seconds after which a read is sent again. UDP loses packets; a read may be repeated, an NMI never."""

PUMP_S = 0.02
"""Seconds of one turn of pyghmi's event loop, which now and then misses that an answer has arrived."""

IPMI_2_0 = 2.0
"""The version that pyghmi says it has agreed on."""

RMCP_PLUS, PAYLOAD_TYPE, IPMI_MESSAGE = 6, 0x3F, 0
"""Authentication type, the bits of the payload's type, and the type of IPMI messages (table 13-8)."""


def main() -> None:
    """Log in, then answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    answers, sys.stdout = sys.stdout, sys.stderr  # pyghmi prints
    target = json.loads(sys.stdin.readline())
    try:
        session = log_in(target)
    except Exception as error:  # noqa: BLE001 - pyghmi raises many kinds, and the parent needs to hear of each
        reason = str(error) if type(error).__name__ == "IpmiException" else f"{type(error).__name__}: {error}"
        tell(answers, {"ready": False, "reason": None if reason == "None" else reason})
        return
    requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    threading.Thread(target=listen, args=(requests, abandoned), daemon=True).start()
    tell(answers, {"ready": True})
    while (line := requests.get()) is not None and not abandoned.is_set():
        answer = exchange(session, json.loads(line), abandoned)
        if answer is not None:
            tell(answers, answer)
    session.logout()


def tell(answers: TextIO, message: Mapping[str, object]) -> None:
    """Write one line to the parent."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def listen(requests: queue.SimpleQueue[str | None], abandoned: threading.Event) -> None:
    """Hand over the parent's lines, and notice when it is gone, even if it was killed."""
    for line in sys.stdin:
        requests.put(line)
    abandoned.set()
    requests.put(None)


def log_in(target: Mapping[str, Any]) -> Any:  # noqa: ANN401 - pyghmi has no types
    """Log in once. With a privilege given, pyghmi does not try again at a lower one."""
    from pyghmi.ipmi.private.session import Session

    session = Session(
        bmc=target["address"],
        userid=bytes.fromhex(target["user"]),  # as str, pyghmi would never forget that it was logging in
        password=bytes.fromhex(target["password"]),
        port=target["port"],
        privlevel=target["privilege"],
    )
    Session.keepalive_sessions.pop(session, None)  # from here on nothing is sent that was not asked for
    if session.ipmiversion == IPMI_2_0:
        pass_over_what_is_not_signed(session)
    return session


def pass_over_what_is_not_signed(session: Any) -> None:  # noqa: ANN401
    """Let an established RMCP+ session hear signed messages only (section 13.6, payload type 0).

    pyghmi takes the sequence number of any IPMI 1.5 packet for the newest one, before it looks who sent it;
    after one such packet with a high number, which anybody can send, it is deaf to the BMC's answers.
    """
    handle = session._handle_ipmi_packet

    def handle_signed(data: bytearray, **origin: object) -> None:
        if data[4] == RMCP_PLUS and data[5] & PAYLOAD_TYPE == IPMI_MESSAGE:
            handle(data, **origin)

    session._handle_ipmi_packet = handle_signed


def exchange(
    session: Any,  # noqa: ANN401
    request: Mapping[str, Any],
    abandoned: threading.Event,
) -> Mapping[str, object] | None:
    """Send one command and wait for its answer, or until the parent gives up.

    `retry=False` keeps pyghmi from remembering the packet: it has nothing that it could send again, after
    a timeout or after logging in again. Only the loop below sends, and a request with `once` only once.
    """
    answers: list[Mapping[str, Any]] = []
    send_at = -math.inf
    while not answers and not abandoned.is_set():
        if time.monotonic() >= send_at:
            send_at = math.inf if request["once"] else time.monotonic() + RESEND_S
            session.raw_command(
                netfn=request["netfn"],
                command=request["command"],
                data=bytes.fromhex(request["data"]),
                retry=False,
                callback=answers.append,
            )
            # With a callback, it is for the caller to say that the session is free again.
            session.incommand = False
            session.evq.clear()
        pump(session)
    if not answers:
        return None
    return {"code": answers[0]["code"], "data": bytes(answers[0]["data"]).hex()}


def pump(session: Any) -> None:  # noqa: ANN401
    """Let pyghmi take in what has arrived."""
    # A packet that pyghmi's parser stumbles over is a packet lost: it has been taken off the queue.
    with contextlib.suppress(Exception):
        session.wait_for_rsp(timeout=PUMP_S)


if __name__ == "__main__":
    main()
