"""Endpoint models of adapters that do not exist: the loader must know none of the real ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from collector.model.host import Endpoint


class Mode(StrEnum):
    PUSH = "push"
    PULL = "pull"


class LeverEndpoint(Endpoint):
    type: Literal["lever"] = "lever"
    strength: int = Field(ge=1, le=10)
    mode: Mode = Mode.PUSH


class DoorEndpoint(Endpoint):
    type: Literal["door"] = "door"
    port: int = Field(default=22, ge=1, le=65535)
    known_hosts: Path | None = None


CONTROLLERS = {"lever": LeverEndpoint}
CHANNELS = {"door": DoorEndpoint}
