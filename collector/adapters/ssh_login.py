"""Logging in over SSH once, with what the credential names and nothing else (RFC 4252).

The server is asked first which methods it takes; the request "none" that asks costs no try. Then the
credential's key is offered, or its password. A second method follows only where the server says that the
first one was right and not enough (partial success). Nothing refused is offered again.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

from paramiko import Agent, ECDSAKey, Ed25519Key, PKey, RSAKey
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType, SSHException

from collector.adapters.limits import Deadline
from collector.adapters.ssh_connect import Hop, quoted
from collector.adapters.tcp import in_time
from collector.config.secrets import reveal
from collector.errors import AdapterError, ConfigError, DeadlineError, LoginRefusedError, PeerFailedError
from collector.model.host import Credential

if TYPE_CHECKING:
    from collector.adapters.ssh_transport import Transport

MAX_KEYS = 5
"""Keys offered in one login. OpenSSH hangs up at the sixth failure (MaxAuthTries in sshd_config(5))."""


def log_in(transport: Transport, hop: Hop, credential: Credential, deadline: Deadline) -> None:
    """Prove to the verified host who we are. The hop's own user name comes before the credential's.

    Raises:
        LoginRefusedError: the host said no, or wants what the credential does not hold.
        ConfigError: the key cannot be read, or the agent is not there.
        DeadlineError: the host accepted the request and fell silent.
        PeerFailedError: the host hung up.
    """
    user = hop.user or credential.username or ""
    attempt = _Attempt(transport, hop, user, credential, deadline)
    wanted = attempt.ask()
    for methods, prove in (
        ({"publickey"}, attempt.offer_keys if credential.private_key or credential.agent else None),
        ({"password", "keyboard-interactive"}, attempt.give_password if credential.password else None),
    ):
        if prove is not None and methods & set(wanted):
            wanted = prove(wanted)
        if not wanted:
            return
    raise LoginRefusedError(
        f"{hop} wants {quoted(', '.join(wanted))} of {user!r}, which credential {credential.name!r} has not",
        hint="Add what is missing to the credential, or allow what it has in the host's sshd_config.",
    )


def load_key(text: str, passphrase: str | None) -> PKey:
    """Read a private key in any form that OpenSSH writes or has written, or in PKCS #8.

    Raises:
        ConfigError: it is no private key, of an unsupported kind, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    openssh = "BEGIN OPENSSH PRIVATE KEY" in text
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    data = text.encode() + b"\n"
    try:
        try:
            key = load(data, None)
        except TypeError as error:  # both loaders: the key is encrypted
            if passphrase is None:
                raise ConfigError(
                    "the private key is encrypted",
                    hint="Add `passphrase` to the credential, or use the SSH agent.",
                ) from error
            key = load(data, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's error is not chained: nobody promises that it does not quote the key.
        raise ConfigError(
            "the private key cannot be read, or its passphrase is wrong",
            hint="`ssh-keygen -y -f FILE` must be able to read it. Convert a PuTTY key with "
            "`puttygen key.ppk -O private-openssh -o key`.",
        ) from None
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    file = io.StringIO(plain.decode())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Key.from_private_key(file)
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey.from_private_key(file)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECDSAKey.from_private_key(file)
    raise ConfigError("the private key is of a kind that SSH no longer takes", hint="Use an ed25519 key.")


class _Attempt:
    """One login. Every request goes out once; `_judge` says what its failure means."""

    def __init__(
        self, transport: Transport, hop: Hop, user: str, credential: Credential, deadline: Deadline
    ) -> None:
        self._transport = transport
        self._hop = hop
        self._user = user
        self._credential = credential
        self._deadline = deadline

    def ask(self) -> Sequence[str]:
        """The methods that the server takes; none when it lets this user in without any."""
        try:
            return self._send(partial(self._transport.auth_none, self._user))
        except BadAuthenticationType as answer:
            return [str(method) for method in answer.allowed_types]
        except (SSHException, EOFError, OSError) as error:
            raise self._judge(error, "any login, with credential") from error

    def offer_keys(self, wanted: Sequence[str]) -> Sequence[str]:
        """Offer the private key, then what the agent holds, each once. Return what is still wanted."""
        with contextlib.ExitStack() as stack:
            keys = self._keys(stack)
            while True:
                key = keys.pop(0)
                try:
                    return self._send(partial(self._transport.auth_publickey, self._user, key))
                except (SSHException, EOFError, OSError) as error:
                    refusal = self._judge(error, f"the {key.get_name()} key of credential")
                    if not (keys and self._transport.is_active() and isinstance(refusal, LoginRefusedError)):
                        raise refusal from error

    def give_password(self, wanted: Sequence[str]) -> Sequence[str]:
        """Send the password, by the plain method if there is one. Return what is still wanted."""
        secret = self._credential.password
        assert secret is not None
        password = reveal(secret)
        asked: list[tuple[str, bool]] = []

        def answer(title: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
            asked.extend(prompts)
            if len(asked) > 1 or any(echo for _, echo in asked):
                raise SSHException("asked for more than a password")
            return [password for _ in prompts]

        try:
            if "password" in wanted:
                send = partial(self._transport.auth_password, self._user, password, fallback=False)
            else:
                send = partial(self._transport.auth_interactive, self._user, answer)
            return self._send(send)
        except (SSHException, EOFError, OSError) as error:
            if len(asked) > 1 or any(echo for _, echo in asked):
                raise self._refusal("the password of credential", "it asks again, or for more") from error
            raise self._judge(error, "the password of credential") from error

    def _send(self, request: Callable[[], Sequence[str]]) -> Sequence[str]:
        self._transport.auth_timeout = self._deadline.remaining()
        return request()

    def _keys(self, stack: contextlib.ExitStack) -> list[PKey]:
        """The keys to offer, at least one. The agent stays open until `stack` ends: it does the signing."""
        keys: list[PKey] = []
        if self._credential.private_key is not None:
            phrase = self._credential.passphrase
            keys.append(load_key(reveal(self._credential.private_key), reveal(phrase) if phrase else None))
        if self._credential.agent:
            try:
                agent = in_time(Agent, self._deadline, "ssh-agent")
            except (TimeoutError, SSHException, OSError) as error:
                raise ConfigError(
                    f"the SSH agent does not answer: {quoted(error)}",
                    hint="Restart the agent; try `ssh-add -l`.",
                ) from error
            stack.callback(agent.close)
            keys += agent.get_keys()
        if not keys:
            raise ConfigError(
                f"credential {self._credential.name!r} uses the SSH agent, and there is none or it is empty",
                hint="Start it, run `ssh-add`, and check with `ssh-add -l`.",
            )
        return keys[:MAX_KEYS]

    def _judge(self, error: Exception, what: str) -> AdapterError:
        """Tell a refusal from a silent peer and from a broken connection: paramiko's types do not."""
        handler = self._transport.auth_handler
        answered = handler is not None and handler.auth_event is not None and handler.auth_event.is_set()
        if isinstance(error, AuthenticationException) and self._transport.is_active():
            if answered:
                return self._refusal(what, "no")
            return DeadlineError(
                f"{self._hop} fell silent at the login of {self._user!r} ({self._deadline.seconds:g} s)",
                hint="The login stack may hang (PAM, LDAP, DNS), or the host: probe it, look at its console.",
            )
        if self._transport.farewell:  # sshd hangs up at the last failure it allows, and says so
            return self._refusal(what, self._transport.farewell)
        # PAM says by a banner that an account has expired, or that the host still boots (pam_nologin(8)).
        banner = cast("bytes | None", handler.banner) if handler is not None else None
        before = (
            f"; the host said before: {quoted(banner.decode('utf-8', 'replace').strip())}" if banner else ""
        )
        return PeerFailedError(
            f"the login at {self._hop} broke off: {quoted(error)}{before}",
            hint="Look at sshd's log on the host. It was not tried again.",
        )

    def _refusal(self, what: str, said: str) -> LoginRefusedError:
        return LoginRefusedError(
            f"{self._hop} refused {what} {self._credential.name!r} for {self._user!r}: {quoted(said)}",
            hint="Correct the credential and test it with `ssh`. It was tried once, against lock-outs.",
        )
