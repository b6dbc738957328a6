"""Whose module is it: the system's own, one that hands every call on, or a maker's whom one can call?

The tables are `data/modules.yaml`; a user's file of the same shape adds to them and wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from collector.config.document import read
from collector.config.validation import validate
from collector.errors import ConfigError

DATA = Path(__file__).resolve().parent / "data"
"""Where the shipped tables are."""

_REMEMBERED = 10_000
"""Names whose answer is kept: every frame of every stack asks, and a system has a few hundred modules."""

_EXTENSIONS = (".sys", ".exe", ".dll", ".drv", ".ocx", ".scr", ".cpl")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    vendor: str
    kind: str = ""
    modules: list[str]


class _Tables(BaseModel):
    model_config = ConfigDict(extra="forbid")

    system: list[str] = []
    pass_through: list[str] = []
    vendors: list[_Entry] = []


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who makes a module, and what kind of thing it is (`antivirus`, `network`, ...)."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Names:
    """Names and prefixes; looking one up costs a few dictionary reads, however long the table is."""

    exact: Mapping[str, Vendor | None]
    prefixes: Mapping[str, Vendor | None]

    def __contains__(self, name: str) -> bool:
        return name in self.exact or self._prefix(name) is not None

    def vendor(self, name: str) -> Vendor | None:
        if name in self.exact:
            return self.exact[name]
        prefix = self._prefix(name)
        return None if prefix is None else self.prefixes[prefix]

    def _prefix(self, name: str) -> str | None:
        return next((name[:n] for n in range(len(name), 0, -1) if name[:n] in self.prefixes), None)


@dataclass(frozen=True, slots=True)
class Modules:
    """The tables, ready to be asked."""

    _system: _Names
    _pass_through: _Names
    _vendors: _Names
    _foreign: dict[str, bool] = field(default_factory=dict)

    def is_system(self, module: str) -> bool:
        """Whether it is Windows' own, or one of its runtimes."""
        return stem(module) in self._system and self.vendor(module) is None

    def is_foreign(self, module: str) -> bool:
        """Whether somebody else made it and it does work of its own."""
        known = self._foreign.get(module)
        if known is None:
            known = bool(module) and not self.is_system(module) and stem(module) not in self._pass_through
            if len(self._foreign) < _REMEMBERED:
                self._foreign[module] = known
        return known

    def vendor(self, module: str) -> Vendor | None:
        """Its maker, when well known."""
        return self._vendors.vendor(stem(module))


def stem(module: str) -> str:
    """Return a module's name as it is compared: lower case, without extension and folder."""
    name = module.rsplit("\\", 1)[-1].lower()
    return name[:-4] if name.endswith(_EXTENSIONS) else name


def load(extra: Path | None = None) -> Modules:
    """Read the shipped tables, and `extra` over them. Raises: ConfigError."""
    if extra is None:
        return _shipped()
    return _join(_tables(DATA / "modules.yaml"), _tables(extra))


@lru_cache(maxsize=1)
def _shipped() -> Modules:
    return _join(_tables(DATA / "modules.yaml"))


def _tables(path: Path) -> _Tables:
    document = read(path)
    tables = None if document.data is None else validate(_Tables, document)
    if tables is None or document.problems:
        raise ConfigError(
            document.account(),
            hint="It holds `system`, `pass_through` and `vendors`, as docs/triage.md shows.",
        )
    return tables


def _join(*tables: _Tables) -> Modules:
    makers = {
        pattern: Vendor(entry.vendor, entry.kind)
        for table in tables
        for entry in table.vendors
        for pattern in entry.modules
    }
    return Modules(
        _names({name: None for table in tables for name in table.system}),
        _names({name: None for table in tables for name in table.pass_through}),
        _names(makers),
    )


def _names(patterns: Mapping[str, Vendor | None]) -> _Names:
    return _Names(
        {pattern.lower(): who for pattern, who in patterns.items() if not pattern.endswith("*")},
        {pattern[:-1].lower(): who for pattern, who in patterns.items() if pattern.endswith("*")},
    )
