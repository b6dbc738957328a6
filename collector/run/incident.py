"""What every stage of one incident works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.adapters.answers import RemoteFile
from collector.adapters.registry import Connections
from collector.case.folder import Artifact, CaseFolder
from collector.errors import LoginRefusedError
from collector.model.host import Host
from collector.model.result import Outcome
from collector.playbook.schema import Playbook
from collector.probe.observation import Observation, Target

Observe = Callable[[Sequence[Target], float], Sequence[Observation]]
"""Asks every target at once and returns one observation each, within the given seconds."""


class Progress(Protocol):
    """Where a run tells what it is doing. The run itself prints nothing."""

    def stage(self, name: str) -> None:
        """A new stage begins."""
        ...

    def note(self, text: str) -> None:
        """Something a reader should keep."""
        ...

    def status(self, text: str) -> None:
        """What is going on at this moment; the next status replaces it."""
        ...

    def copied(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of a file are home."""
        ...

    def pause(self) -> None:
        """Leave the terminal alone: a person is about to be asked something."""
        ...


class Silent:
    """Progress for whoever does not watch."""

    def stage(self, name: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def status(self, text: str) -> None:
        """Say nothing."""

    def copied(self, name: str, done: int, total: int) -> None:
        """Say nothing."""

    def pause(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One host that may hang, the playbook for it, and the case where everything is written down."""

    host: Host
    playbook: Playbook
    case: CaseFolder
    connections: Connections
    progress: Progress
    observe: Observe

    @property
    def drill(self) -> bool:
        """True when a healthy host is crashed on purpose; the case says so in its first line."""
        opened = self.case.journal.last("case.opened")
        return opened is not None and opened.data.get("drill") is True

    def keep(self, relative: str, data: bytes, *, source: str, kind: str) -> None:
        """Write `data` to the case and its digest to the journal.

        Args:
            relative: path below `data/`.
            data: the bytes.
            source: where they came from, for the reader.
            kind: `evidence`, `log` or `dump`.
        """
        self.record(self.case.write(relative, data), source=source, kind=kind)

    def record(self, artifact: Artifact, *, source: str, kind: str) -> None:
        """Write down a file that is in the case now."""
        self.case.journal.append(
            "artifact",
            path=artifact.path,
            bytes=artifact.bytes,
            sha256=artifact.sha256,
            source=source,
            kind=kind,
        )

    def miss(self, name: str, source: str, outcome: Outcome, detail: str) -> None:
        """Write down what could not be had, and why: no row may vanish."""
        self.case.journal.append(
            "artifact.missing", name=name, source=source, outcome=str(outcome), detail=detail
        )


def identities(host: Host) -> tuple[str, ...]:
    """What must not be touched by two runs at once: the host's name, and each machine that an NMI may hit."""
    return (f"host {host.name}", *(endpoint.nmi_target for endpoint in host.controllers))


@dataclass(frozen=True, slots=True)
class Awaited:
    """How the waiting ended. `proved` is False when only the deadline, or a refused login, ended it."""

    dumps: tuple[RemoteFile, ...]
    unfinished: tuple[RemoteFile, ...]
    reason: str
    proved: bool
    ping_gap: bool
    """True when ping was seen to stop after the NMI: the kernel that answered it is gone."""
    refused: LoginRefusedError | None = None
    back: bool = False
    """True when the host was started anew, or answers again, and nobody could look whether it left a dump."""
