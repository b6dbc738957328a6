"""A host, and the endpoints through which it is reached.

Endpoints are pydantic models because each adapter adds its own keys to them
(`class IpmiEndpoint(Endpoint)`), and the settings loader validates the user's YAML against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Platform(StrEnum):
    """What runs on the host; decides which playbooks and rules apply."""

    LINUX = "linux"
    WINDOWS = "windows"
    ESXI = "esxi"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is, never the secret: `env:NAME`, `file:PATH`, `keyring:SERVICE/USER`, `vault:PATH#KEY`.

    `base` is the folder that a relative `file:` path is meant from (the settings file's own).
    """

    scheme: str
    locator: str
    base: Path

    def __str__(self) -> str:
        return f"{self.scheme}:{self.locator}"


@dataclass(frozen=True, slots=True)
class Credential:
    """A named set of references by which an adapter logs in."""

    name: str
    username: str | None = None
    password: SecretRef | None = None
    private_key: SecretRef | None = None
    passphrase: SecretRef | None = None
    agent: bool = False


class Endpoint(BaseModel):
    """One way to a host. Each adapter derives its own model, with a `type` literal and its own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: ClassVar[int] = 2
    """How many a run opens to one endpoint at a time: some BMCs have four in all, for people as well."""

    type: str = Field(description="The adapter that speaks to this endpoint.")
    address: str = Field(default="", description="Host name or IP address; empty means the host's own.")
    credential: str | None = Field(default=None, description="Name of an entry under `credentials`.")

    @property
    def identity(self) -> str:
        """Names the physical peer, so that two hosts behind one endpoint share a lock and a brake."""
        port = getattr(self, "port", None)
        return f"{self.type}://{self.address}" + (f":{port}" if port else "")

    @property
    def accounts(self) -> str:
        """Names whose accounts a login here counts against; refused by one, the others are not asked."""
        return self.identity

    @property
    def nmi_target(self) -> str:
        """Names the machine that an NMI through this endpoint hits; a hypervisor has several behind it."""
        return self.identity


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that may hang, by its inventory name."""

    name: str
    platform: Platform
    address: str
    controllers: tuple[Endpoint, ...] = ()
    channels: tuple[Endpoint, ...] = ()
    tags: frozenset[str] = frozenset()
