"""Hangs that a maker has written about: looked up by the modules of a chain and the version of Windows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from collector.config.document import read
from collector.config.validation import validate
from collector.errors import ConfigError
from collector.triage.modules import DATA, stem


class _Entry(BaseModel):
    """One row of the table; `windows` is a part of the versions that it is about, as the debugger says it."""

    model_config = ConfigDict(extra="forbid")

    title: str
    modules: list[str]
    windows: str = ""
    version: str = ""
    source: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    advisories: list[_Entry]


@dataclass(frozen=True, slots=True)
class Advisory:
    """What is known, for which module and version, and where it is written."""

    title: str
    module: str
    version: str
    source: str


def matching(modules: Iterable[str], windows: str) -> tuple[Advisory, ...]:
    """Return the advisories for these modules.

    Args:
        modules: names of modules, with or without their extension.
        windows: the version as the debugger prints it; empty when unknown, and then nothing is ruled out.
    """
    names = sorted({stem(module) for module in modules if module})
    return tuple(
        Advisory(one.title, name, one.version, one.source)
        for one in shipped()
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in one.modules)
        and (not windows or one.windows.lower() in windows.lower())
    )


@lru_cache(maxsize=1)
def shipped() -> tuple[_Entry, ...]:
    """Return the whole table. Raises: ConfigError when the installation is damaged."""
    document = read(DATA / "advisories.yaml")
    file = None if document.data is None else validate(_File, document)
    if file is None or document.problems:
        raise ConfigError(document.account(), hint="The installation is damaged; install it again.")
    return tuple(file.advisories)
