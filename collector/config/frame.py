"""What a settings file may say. Endpoints are left open here: each adapter's own model holds their keys.

The descriptions are part of the JSON Schema, so an editor shows them while the file is written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from collector.config.secrets import REFERENCE_PATTERN, parse_reference
from collector.errors import SecretError
from collector.model.host import Credential, Platform, SecretRef

HOST_NAME_PATTERN = r"^[A-Za-z0-9_]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?$"
ADDRESS_PATTERN = r"^[^\s\x00-\x1f-][^\s\x00-\x1f]{0,252}$"
TAG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:=-]{0,63}$"


def _host_name(name: str) -> str:
    """Host names become names of folders, on every system."""
    if re.fullmatch(HOST_NAME_PATTERN, name) is None:
        raise ValueError(
            "a host name is made of letters, digits, `.`, `_` and `-`, begins with none of `.-`, "
            "does not end in `.`, and is at most 100 long"
        )
    return name


def _address(text: str) -> str:
    """Addresses are handed on to other programs, some of which take a leading dash for an option."""
    if re.fullmatch(ADDRESS_PATTERN, text) is None:
        raise ValueError("must be a host name or an IP address")
    return text


def _tag(text: str) -> str:
    if re.fullmatch(TAG_PATTERN, text) is None:
        raise ValueError("a tag is made of letters, digits and `._:=-`, and begins with a letter or digit")
    return text


def _reference(text: str) -> str:
    try:
        parse_reference(text, Path())
    except SecretError as error:
        raise ValueError(f"{error.message}; {error.hint[0].lower()}{error.hint[1:].rstrip('.')}") from None
    return text


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


HostName = Annotated[str, AfterValidator(_host_name), _pattern(HOST_NAME_PATTERN)]
Address = Annotated[str, AfterValidator(_address), _pattern(ADDRESS_PATTERN)]
Tag = Annotated[str, AfterValidator(_tag), _pattern(TAG_PATTERN)]
Reference = Annotated[str, AfterValidator(_reference), _pattern(REFERENCE_PATTERN)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CredentialEntry(_Part):
    """How to log in: a user name, and references to where the secrets are."""

    username: str | None = Field(default=None, min_length=1, description="The account to log in with.")
    password: Reference | None = Field(default=None, description="Where the password is.")
    private_key: Reference | None = Field(default=None, description="Where the private SSH key is.")
    passphrase: Reference | None = Field(default=None, description="Where the key's passphrase is.")
    agent: bool = Field(default=False, description="Whether keys of a running SSH agent may be used.")

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.password is None and self.private_key is None and not self.agent:
            raise ValueError("this credential needs a `password`, a `private_key`, or `agent: true`")
        if self.passphrase is not None and self.private_key is None:
            raise ValueError("a `passphrase` is for a `private_key`, and there is none")
        return self

    def credential(self, name: str, base: Path) -> Credential:
        """This entry for the adapters; relative `file:` references are meant from the folder `base`."""

        def reference(text: str | None) -> SecretRef | None:
            return None if text is None else parse_reference(text, base)

        return Credential(
            name=name,
            username=self.username,
            password=reference(self.password),
            private_key=reference(self.private_key),
            passphrase=reference(self.passphrase),
            agent=self.agent,
        )


class HostEntry(_Part):
    """A machine that may hang, and the ways to it."""

    platform: Platform = Field(description="What runs on it.")
    address: Address = Field(description="Host name or IP address of the host itself.")
    controllers: tuple[dict[str, Any], ...] = Field(
        default=(), description="What reaches it from outside, most preferred first."
    )
    channels: tuple[dict[str, Any], ...] = Field(
        default=(), description="What leads into it and to its files, most preferred first."
    )
    tags: frozenset[Tag] = Field(default=frozenset(), description="Words to choose hosts by.")


class SettingsFile(_Part):
    """Settings and inventory of hang-collector."""

    cases: Path = Field(description="Folder of the case folders. HC_CASES in the environment wins over it.")
    playbooks: Path | None = Field(
        default=None, description="Folder of your own playbooks; they win over shipped ones of the same name."
    )
    credentials: dict[str, CredentialEntry] = Field(default={}, description="Logins, by name.")
    hosts: dict[HostName, HostEntry] = Field(
        description="The hosts, by the name you call them.",
        json_schema_extra={"additionalProperties": False},
    )
