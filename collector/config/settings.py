"""What a settings file says, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.model.host import Credential, Endpoint, Host

EndpointModels = Mapping[str, type[Endpoint]]
"""The endpoint model of each adapter, by the `type` that the file names it with."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings file at `path` says. All paths are absolute; credentials and hosts are by name."""

    path: Path
    cases: Path
    playbooks: Path | None
    credentials: Mapping[str, Credential]
    hosts: Mapping[str, Host]
