"""The process that talks to one WinRM service, on pywinrm; `winrm_session` starts it and ends it.

It is a process because pywinrm cannot be stopped: it waits for ever for a command, its timeouts begin again
with every byte, and what it leaves behind after one is a session that sends in the clear. So each request
here gets a session of its own, and a process that is killed sends nothing any more.

Lines of JSON, first in then out:

* a target (`winrm_session.Target`) is answered by `{"ready": true}` or a failure, after one login;
* `{"command", "stdin", "seconds"}` is answered by `{"begun": true}` before the last byte of the input is
  sent, by any number of `{"stdout": Base64}` and `{"stderr": Base64}`, and then by `{"exit": status}` or a
  failure.

A failure is `{"failed": kind, "words": text}`. The end of the input means: go.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from collector.adapters.winrm_failure import explain
from collector.adapters.winrm_transport import Conversation

CLOSING_S = 2.0
"""Seconds to tidy up on the host once the parent is gone."""

POLL_S = 20
"""Seconds that one Receive may wait on the server; well below its MaxTimeoutms of 60 s."""

CHUNK = 48 * 1024
"""Bytes of input in one Send: twice in Base64, it must fit the 150 KiB of an old server's envelope."""

IDLE_TIMEOUT = "PT180S"
"""After which the server removes a shell that we could not (rsp:IdleTimeOut, MS-WSMV 2.2.4.37)."""

UTF_8 = 65001


def main() -> None:
    """Log in once to see that it works, then answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to handle
    target = json.loads(sys.stdin.readline())
    try:
        with Conversation(target) as conversation:
            conversation.identify()
    except Exception as error:  # noqa: BLE001 - pywinrm raises many kinds, and the parent needs to hear of each
        tell(_failure(error))
        return
    tell({"ready": True})
    requests: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(requests,), daemon=True).start()
    while (line := requests.get()) is not None:
        try:
            run(target, json.loads(line))
        except Exception as error:  # noqa: BLE001 - as above
            tell(_failure(error))


def tell(message: Mapping[str, object]) -> None:
    """Write one line to the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def listen(requests: queue.SimpleQueue[str | None]) -> None:
    """Hand over the parent's lines; once it is gone, whatever is still under way has a moment left."""
    for line in sys.stdin:
        requests.put(line)
    requests.put(None)
    time.sleep(CLOSING_S)
    os._exit(1)


def run(target: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Run one command with its input, and hand over what it writes while it writes."""
    until = time.monotonic() + request["seconds"]
    with Conversation(target) as conversation:
        protocol = conversation.protocol
        conversation.patience(until, POLL_S)
        shell = protocol.open_shell(codepage=UTF_8, noprofile=True, idle_timeout=IDLE_TIMEOUT)
        command = ""
        try:
            command = protocol.run_command(shell, request["command"], console_mode_stdin=False)
            _send_input(conversation, shell, command, request["stdin"].encode(), until)
            _hand_over(conversation, shell, command, until)
        finally:
            _tidy_up(conversation, shell, command)


def _send_input(conversation: Conversation, shell: str, command: str, data: bytes, until: float) -> None:
    """Only the last piece lets the script begin: before it, a failure proves that nothing has run."""
    for start in range(0, len(data), CHUNK):
        last = start + CHUNK >= len(data)
        conversation.patience(until, POLL_S)
        if last:
            tell({"begun": True})
        conversation.protocol.send_command_input(shell, command, data[start : start + CHUNK], end=last)


def _hand_over(conversation: Conversation, shell: str, command: str, until: float) -> None:
    done = False
    while not done:
        conversation.patience(until, POLL_S)
        with contextlib.suppress(conversation.NothingYet):
            stdout, stderr, status, done = conversation.protocol.get_command_output_raw(shell, command)
            for name, data in (("stdout", stdout), ("stderr", stderr)):
                if data:
                    tell({name: base64.b64encode(data).decode()})
            if done:
                tell({"exit": status})


def _tidy_up(conversation: Conversation, shell: str, command: str) -> None:
    """End the command and remove the shell; where that fails, the server does it after a while."""
    conversation.patience(time.monotonic() + CLOSING_S, POLL_S)
    with contextlib.suppress(Exception):  # the answer is there, or the failure that led here is on its way
        if command:
            conversation.protocol.cleanup_command(shell, command)
        conversation.protocol.close_shell(shell, close_session=False)


def _failure(error: Exception) -> Mapping[str, object]:
    failure = explain(error)
    return {"failed": failure.kind, "words": failure.words[:2000]}


if __name__ == "__main__":
    main()
