"""Where a secret is, and how to fetch it at the last moment.

A settings file never holds a secret, only a reference to one:

==============================  ==============================================================
``env:NAME``                    an environment variable
``file:PATH``                   a file; relative to the settings file, ``~`` is the home folder
``keyring:SERVICE/USER``        the keyring of the operating system
``vault:PATH#KEY``              a key of a HashiCorp Vault secret, by its API path
==============================  ==============================================================

No message here repeats a value. Text that is no reference may be the secret itself, so it is not
repeated either.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from collector.errors import SecretError
from collector.model.host import SecretRef

T = TypeVar("T")

FORMS: Mapping[str, str] = {
    "env": "env:NAME",
    "file": "file:PATH",
    "keyring": "keyring:SERVICE/USER",
    "vault": "vault:PATH#KEY",
}
"""The schemes there are, and how a reference of each is written."""

REFERENCE_PATTERN = (
    r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+"
    r"|keyring:[^\x00-\x1f]+/[^\x00-\x1f/]+|vault:[^\x00-\x1f#]+#[^\x00-\x1f#]+)$"
)
"""What a reference looks like, as a regular expression that JSON Schema (ECMA 262) reads as well."""

MAX_BYTES = 64 * 1024
"""Size limit of a secret file in bytes. The largest RSA private keys need about 13 KiB."""

WAIT_S = 30.0
"""Seconds that the keyring or Vault may take: a keyring may ask a person to unlock it."""


def parse_reference(text: str, base: Path) -> SecretRef:
    """Read a secret reference such as `env:BMC_PASSWORD`. Nothing is opened or asked.

    Args:
        text: the reference, as the user wrote it.
        base: the folder that a relative `file:` path is meant from.

    Raises:
        SecretError: `text` is no reference. It is not repeated, for it may be the secret.
    """
    scheme, _, locator = text.partition(":")
    form = FORMS.get(scheme)
    if form is None:
        raise SecretError(
            "this is not a secret reference (its text is not shown)",
            hint=f"Write where the secret is, not the secret: {', '.join(FORMS.values())}.",
        )
    if re.fullmatch(REFERENCE_PATTERN, text) is None:
        raise SecretError(
            f"this `{scheme}:` reference is not of the form {form} (its text is not shown)",
            hint=f"Write {form}.",
        )
    return SecretRef(scheme, locator, base)


def reveal(ref: SecretRef) -> str:
    """Fetch the secret that `ref` names. Call it as late as possible, and keep the result in no object.

    Raises:
        SecretError: there is nothing at the reference, or it may not be used as it lies there.
    """
    reader = _READERS.get(ref.scheme)
    if reader is None:
        raise SecretError(
            "a secret reference has an unknown scheme", hint=f"Use one of {', '.join(FORMS.values())}."
        )
    secret = reader(ref)
    if not secret:
        raise SecretError(f"`{ref}` is empty", hint="Store the secret there, or name another place.")
    return secret


def _from_env(ref: SecretRef) -> str:
    value = os.environ.get(ref.locator)
    if value is None:
        raise SecretError(
            f"`{ref}`: there is no such environment variable",
            hint=f"Set {ref.locator} in the environment of this command.",
        )
    return value


def _from_file(ref: SecretRef) -> str:
    try:
        path = ref.base / Path(ref.locator).expanduser()
        if not path.is_file():  # before opening it: to open a FIFO would wait for a writer
            raise SecretError(f"`{ref}`: {path} is not a file", hint="Create it, or correct the path.")
        with path.open("rb") as file:
            _refuse_open_file(ref, os.fstat(file.fileno()))
            content = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: `~` of a user without a home folder
        raise SecretError(
            f"`{ref}` cannot be read: {error}", hint="Correct the path or its rights."
        ) from error
    if len(content) > MAX_BYTES:
        raise SecretError(f"`{ref}` is larger than {MAX_BYTES} bytes", hint="Is it the right file?")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # The decoding error holds the whole content, so it is not chained.
        raise SecretError(f"`{ref}` is not UTF-8 text", hint="Is it the right file?") from None
    return text.removesuffix("\n").removesuffix("\r")


def _refuse_open_file(ref: SecretRef, status: os.stat_result) -> None:
    """Refuse a file of ours that others may read, as OpenSSH does with private keys (sshkey_perm_ok).

    Files of another owner are that owner's decision: a service may be given a secret through a group.
    Windows keeps rights in access lists, which the mode does not show.
    """
    if sys.platform == "win32":
        return
    if status.st_uid == os.getuid() and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError(
            f"`{ref}`: others may read this file (mode {stat.S_IMODE(status.st_mode):04o})",
            hint="Run `chmod 600` on it, and think about changing the secret.",
        )


def _from_keyring(ref: SecretRef) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise _missing_extra(ref, "keyring") from error
    service, _, user = ref.locator.rpartition("/")
    try:
        value = _in_time(ref, lambda: keyring.get_password(service, user))
    except KeyringError as error:
        raise SecretError(
            f"`{ref}`: the keyring failed: {error}", hint="`keyring diagnose` shows which keyring is in use."
        ) from error
    if value is None:
        raise SecretError(
            f"`{ref}`: the keyring has no such entry", hint=f"Run `keyring set {service} {user}`."
        )
    return value


def _from_vault(ref: SecretRef) -> str:
    try:
        from hvac.exceptions import VaultError
    except ImportError as error:
        raise _missing_extra(ref, "vault") from error
    missing = [name for name in ("VAULT_ADDR", "VAULT_TOKEN") if not os.environ.get(name)]
    if missing:
        raise SecretError(
            f"`{ref}`: {' and '.join(missing)} not set in the environment",
            hint="Set VAULT_ADDR to Vault's URL and VAULT_TOKEN to a token that may read the path.",
        )
    path, _, key = ref.locator.rpartition("#")
    try:
        answer = _in_time(ref, lambda: _ask_vault(path))
    except (VaultError, OSError) as error:  # every error of `requests` is an OSError
        raise SecretError(
            f"`{ref}`: Vault did not give it ({type(error).__name__})",
            hint="Check VAULT_ADDR, and that VAULT_TOKEN is valid and may read the path.",
        ) from error
    return _pick(ref, answer, key)


def _ask_vault(path: str) -> object:
    import hvac

    client = hvac.Client(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"], timeout=WAIT_S)
    try:
        return client.read(path)
    finally:
        client.adapter.close()


def _pick(ref: SecretRef, answer: object, key: str) -> str:
    """The value of `key` in Vault's answer. KV version 2 wraps the values once more, beside `metadata`."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if isinstance(data, dict) and isinstance(data.get("data"), dict) and "metadata" in data:
        data = data["data"]
    if not isinstance(data, dict):
        raise SecretError(
            f"`{ref}`: Vault has nothing at this path",
            hint="Give the API path: the KV engine version 2 has `/data/` after its mount (secret/data/bmc).",
        )
    value = data.get(key)
    if not isinstance(value, str):
        raise SecretError(f"`{ref}`: the secret has no text under the key {key!r}", hint="Correct the key.")
    return value


def _missing_extra(ref: SecretRef, extra: str) -> SecretError:
    return SecretError(
        f"`{ref}` needs an optional package", hint=f"Run `pip install 'hang-collector[{extra}]'`."
    )


def _in_time(ref: SecretRef, ask: Callable[[], T]) -> T:
    """Return what `ask` returns. If it stays silent, leave its thread behind rather than wait with it."""
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - the caller's thread raises it again
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True, name="secret").start()
    try:
        return answer.result(WAIT_S)
    except TimeoutError as error:
        raise SecretError(
            f"`{ref}`: no answer within {WAIT_S:g} s", hint="Unlock the keyring, or check that Vault answers."
        ) from error


_READERS: Mapping[str, Callable[[SecretRef], str]] = {
    "env": _from_env,
    "file": _from_file,
    "keyring": _from_keyring,
    "vault": _from_vault,
}
