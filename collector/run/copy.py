"""One file on its way from the host into the case."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import PurePosixPath

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from collector.adapters.answers import RemoteFile
from collector.adapters.limits import Deadline
from collector.case.folder import safe_name
from collector.case.partfile import PartFile
from collector.dump.vmware import CHECKPOINTS, MEMORY
from collector.errors import AdapterError, DeadlineError, PeerFailedError, UnreachableError
from collector.model.result import Outcome
from collector.run.incident import Incident
from collector.run.inside import Inside

_RETRY_FOR = 600.0
"""Seconds without a new byte for which a cut connection is taken up again."""


class Patient:
    """Takes a cut download up again for as long as bytes come. For reads only.

    Args:
        incident: told of each cut.
        name: of what is downloaded.
        deadline: when to stop, whatever is left of it.
    """

    def __init__(self, incident: Incident, name: str, deadline: Deadline) -> None:
        self._incident = incident
        self._name = name
        self._deadline = deadline
        self._last_byte = time.monotonic()

    def run(self, once: Callable[[], None]) -> None:
        """Call `once` until it returns; raises what ended it for good."""
        Retrying(
            retry=retry_if_exception_type((UnreachableError, DeadlineError)),
            stop=self._given_up,
            wait=wait_exponential(multiplier=0.5, max=30),
            before_sleep=self._say_cut,
            reraise=True,
        )(once)

    def came(self, done: str) -> None:
        """Take note that bytes came, so that there are `done` now. Raises: DeadlineError: the time is up."""
        self._last_byte = time.monotonic()
        if self._deadline.expired:
            raise DeadlineError(
                f"{done} were home at the deadline", hint="Resume the case: it goes on from there."
            )

    def _given_up(self, _state: RetryCallState) -> bool:
        return self._deadline.expired or time.monotonic() - self._last_byte > _RETRY_FOR

    def _say_cut(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._incident.progress.note(f"{self._name}: {error}; going on from the last verified byte")


class Copy:
    """Reads only, so a cut connection is taken up at the last verified byte.

    Args:
        incident: the host and its case.
        remote: the file.
        kind: `dump` or `log`.
        deadline: when to stop, whatever is left of it.
        place: where it goes below `data/`; left out, its own name in its own folder's name.
        source: where it comes from, for the reader and for `at_home`; left out, its path.
    """

    def __init__(
        self,
        incident: Incident,
        remote: RemoteFile,
        kind: str,
        deadline: Deadline,
        *,
        place: str | None = None,
        source: str | None = None,
    ) -> None:
        self._incident = incident
        self._remote = remote
        self._kind = kind
        self._deadline = deadline
        self._patient = Patient(incident, remote.path, deadline)
        self._place = place or _place(remote, kind)
        self._source = source or remote.path

    def run(self) -> list[str]:
        """Copy until the file is home or nothing more comes; return what failed, in words."""
        if at_home(self._incident, self._source, self._remote.size) is not None:
            return []
        try:
            self._patient.run(self._once)
        except FileNotFoundError:
            return self._failed(Outcome.MISSING, "the file vanished while it was being collected")
        except AdapterError as error:
            return self._failed(Outcome.of(error), error.message)
        return []

    def _once(self) -> None:
        remote, journal = self._remote, self._incident.case.journal
        source = f"{remote.path} {remote.size} {remote.modified:.0f}"
        with PartFile.open(self._incident.case, self._place, source, size=remote.size) as part:
            journal.append("copy.started", path=remote.path, bytes=remote.size, offset=part.offset)
            self._read_into(part)
            artifact = part.finish()
        self._incident.record(artifact, source=self._source, kind=self._kind)

    def _read_into(self, part: PartFile) -> None:
        remote, incident, done = self._remote, self._incident, part.offset
        stall = incident.playbook.steps.retrieve.stall
        named = incident.playbook.when.channels
        with Inside(incident.host, incident.connections, named, self._deadline) as inside:
            for chunk in inside.files().read(remote.path, done, stall):
                part.write(chunk)
                done += len(chunk)
                incident.progress.copied(remote.path, done, remote.size)
                self._patient.came(f"{done} of {remote.size} bytes")
        if done != remote.size:
            raise PeerFailedError(
                f"{remote.path} had {remote.size} bytes when it was found, and ended after {done}",
                hint="It is still being written or the host lost it; resume the case later.",
            )

    def _failed(self, outcome: Outcome, detail: str) -> list[str]:
        self._incident.miss(self._place, self._source, outcome, detail)
        return [f"{self._remote.path}: {detail}"]


def _place(remote: RemoteFile, kind: str) -> str:
    """Where a remote file lies below `data/`: in the folder of its kind, under its own folder's name.

    A checkpoint and its memory are found by their common stem, so that is made safe by itself.
    """
    path = PurePosixPath(remote.path)
    folder = "dump" if kind == "dump" else "logs"
    pair = path.suffix in {*CHECKPOINTS, MEMORY}
    name = safe_name(path.stem) + path.suffix if pair else safe_name(path.name)
    return f"{folder}/{safe_name(path.parent.name or 'root')}/{name}"


def at_home(incident: Incident, source: str, size: int | None = None) -> str | None:
    """Where in the case something from `source` lies already, of `size` bytes if that is known."""
    for entry in reversed(incident.case.journal.all("artifact")):
        if entry.data.get("source") == source and size in (None, entry.data.get("bytes")):
            path = str(entry.data["path"])
            return path if (incident.case.path / path).is_file() else None
    return None
