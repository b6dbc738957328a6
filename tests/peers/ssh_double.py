"""An SSH server that counts every credential it is shown, and misbehaves at the login.

OpenSSH's sshd checks passwords against the system's accounts, which a test must not change; this one has
accounts of its own. It speaks through paramiko's server side.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_PARTIALLY_SUCCESSFUL, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.server import InteractiveQuery

USER, PASSWORD = "oncall", "correct horse"


@dataclass
class Login:
    """How the server treats logins, and what it has been shown. `tries` are (method, secret) pairs."""

    port: int = 0
    known_hosts: Path = Path()
    methods: str = "password"
    prompts: tuple[tuple[str, bool], ...] = (("Password: ", False),)
    ask_again: bool = False
    after_a_failure: str = ""  # methods that are offered then, in place of the first ones
    then: str = ""  # methods that are wanted after the first one succeeded
    banner: str = ""  # what is said before anything is judged
    on_secret: Callable[[], None] = field(default=lambda: None)
    tries: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    refuses_sftp: int = 0  # so often, and then not any more
    asked_for_sftp: int = 0


class _Server(paramiko.ServerInterface):
    def __init__(self, login: Login) -> None:
        self._login = login
        self._proved = False

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self._login.asked_for_sftp += 1
        refused = self._login.asked_for_sftp <= self._login.refuses_sftp
        return not refused and super().check_channel_subsystem_request(channel, name)

    def get_allowed_auths(self, username: str) -> str:
        if self._proved:
            return self._login.then
        return (self._login.tries and self._login.after_a_failure) or self._login.methods

    def get_banner(self) -> tuple[str | None, str | None]:
        return self._login.banner or None, "en"

    def check_auth_none(self, username: str) -> int:
        return AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        if "password" not in self.get_allowed_auths(username):
            self._login.tries.append(("password", password))
            return AUTH_FAILED
        return self._judge("password", password, password == PASSWORD)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._judge("publickey", key.get_name(), "publickey" in self.get_allowed_auths(username))

    def check_auth_interactive(self, username: str, submethods: str) -> int | InteractiveQuery:
        return InteractiveQuery("", "", *self._login.prompts)

    def check_auth_interactive_response(self, responses: list[str]) -> int | InteractiveQuery:
        given = ",".join(responses)
        judgement = self._judge("keyboard-interactive", given, given == PASSWORD)
        if judgement == AUTH_FAILED and self._login.ask_again:
            return InteractiveQuery("", "", *self._login.prompts)
        return judgement

    def _judge(self, method: str, secret: str, right: bool) -> int:
        self._login.tries.append((method, secret))
        self._login.on_secret()
        if right and self._login.then and not self._proved:
            self._proved = True
            return AUTH_PARTIALLY_SUCCESSFUL
        return AUTH_SUCCESSFUL if right else AUTH_FAILED


@contextlib.contextmanager
def ssh_double(folder: Path, login: Login) -> Iterator[Login]:
    """Serve `login` on a loopback port; fills in `port` and `known_hosts`."""
    key = paramiko.ECDSAKey.generate()
    over = threading.Event()
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        login.port = listener.getsockname()[1]
        login.known_hosts = folder / "known_hosts"
        login.known_hosts.write_text(f"[127.0.0.1]:{login.port} {key.get_name()} {key.get_base64()}\n")

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    login.connections += 1
                    transport = paramiko.Transport(client)
                    transport.add_server_key(key)
                    transport.set_subsystem_handler("sftp", paramiko.SFTPServer)
                    transports.append(transport)
                    transport.start_server(event=threading.Event(), server=_Server(login))

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield login
        finally:
            over.set()
            accepting.join()
            for transport in transports:
                transport.close()
                transport.sock.close()
                transport.join(5)
