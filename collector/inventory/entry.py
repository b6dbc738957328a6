"""A host as other people's lists tell of it, and how it is written into our settings file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from collector.errors import InventoryError
from collector.model.host import Platform

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of a list that are read: Ansible tells every variable of every host."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")  # what YAML reads as text without quotes
_LAST_PORT = 65535
_NO_TEXT = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one host; empty where the list does not say. `port` is that of the way into it.

    `vm` names it at the `vcenter` that has it.
    """

    name: str
    address: str = ""
    platform: Platform = Platform.LINUX
    tags: tuple[str, ...] = ()
    port: int | None = None
    login: str = ""
    bmc: str = ""
    bmc_login: str = ""
    vcenter: str = ""
    vm: str = ""
    vcenter_login: str = ""

    def with_logins(self, login: str, bmc_login: str) -> Entry:
        """The same, with these names of credentials where it has none."""
        return replace(self, login=self.login or login, bmc_login=self.bmc_login or bmc_login)

    def as_yaml(self) -> str:
        """One line for under `hosts`, with the endpoints that lead there."""
        parts = {"platform": _text(self.platform), "address": _text(self.address or self.name)}
        if self.tags:
            parts["tags"] = f"[{', '.join(map(_text, self.tags))}]"
        if self.bmc:
            bmc = {"type": "ipmi", "address": self.bmc, "credential": self.bmc_login}
            parts["controllers"] = f"[{_flow(bmc)}]"
        if self.vm:
            machine = {"type": "vsphere", "address": self.vcenter, "vm": self.vm}
            parts["controllers"] = f"[{_flow({**machine, 'credential': self.vcenter_login})}]"
        way = "winrm" if self.platform is Platform.WINDOWS else "ssh"
        parts["channels"] = f"[{_flow({'type': way, 'port': self.port, 'credential': self.login})}]"
        return f"{_text(self.name)}: {{{', '.join(f'{key}: {text}' for key, text in parts.items())}}}"


def as_yaml(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a settings file's `hosts`."""
    yield "hosts:"
    for entry in entries:
        yield f"  {entry.as_yaml()}"


def platform(word: str, place: str) -> Platform:
    """Read the name of a platform; nothing means Linux.

    Raises:
        InventoryError: it is none of ours; `place` says where that stands.
    """
    try:
        return Platform(word.lower()) if word else Platform.LINUX
    except ValueError as error:
        known = ", ".join(Platform)
        raise InventoryError(f"{place}: {word!r} is no platform", hint=f"It is one of: {known}.") from error


def port(word: str, place: str) -> int | None:
    """Read a TCP port; nothing means the usual one.

    Raises:
        InventoryError: it is none; `place` says where that stands.
    """
    if not word:
        return None
    if re.fullmatch(r"[0-9]{1,5}", word) and 0 < int(word) <= _LAST_PORT:
        return int(word)
    raise InventoryError(f"{place}: {word!r} is no port", hint="Write a number from 1 to 65535.")


def read(path: Path) -> str:
    """The text of a list.

    Raises:
        InventoryError: it cannot be read, is too large, or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InventoryError(
            f"{path} cannot be read: {error.strerror}", hint="Correct the path or its rights."
        ) from error
    if len(content) > MAX_BYTES:
        raise InventoryError(f"{path} is larger than {MAX_BYTES} bytes", hint="Is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InventoryError(f"{path} is not UTF-8 text", hint="Save the file as UTF-8.") from error


def _flow(values: Mapping[str, str | int | None]) -> str:
    known = {key: value for key, value in values.items() if value}
    return "{" + ", ".join(f"{key}: {_text(value)}" for key, value in known.items()) + "}"


def _text(value: str | int) -> str:
    """A value that YAML reads back as what it is: JSON is YAML."""
    if isinstance(value, int) or (_PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT):
        return str(value)
    return json.dumps(value)
