"""Stage 6, retrieve: bring the dump and the logs home. Small things first, because they may be all we get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from collector.adapters.answers import FileKind, RemoteFile
from collector.adapters.base import Files, SlowFiles
from collector.adapters.limits import Deadline
from collector.case.partfile import free_space_check
from collector.dump.vmware import memory_beside
from collector.errors import CollectorError, PeerFailedError
from collector.model.host import Platform
from collector.model.result import Outcome
from collector.playbook.schema import LogSource
from collector.run.bundle import fetch_bundle, source_of
from collector.run.copy import Copy, at_home
from collector.run.exports import Exports
from collector.run.incident import Incident
from collector.run.inside import Inside
from collector.run.remote import matches
from collector.run.remote_dump import look
from collector.run.stream import stream

_LARGEST_LOG = 32 * 1024 * 1024
"""Bytes of one log that are kept; they are held in memory, unlike dumps."""

_AGAIN = Retrying(
    retry=retry_if_exception_type(PeerFailedError),
    stop=stop_after_attempt(3),
    wait=wait_fixed(1.0),
    reraise=True,
)
"""For reading a log: a server that has just booted refuses a command now and then."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """How many dumps are home, and what failed on the way (not what simply does not exist)."""

    dumps: tuple[str, ...]
    failures: tuple[str, ...]


def retrieve(
    incident: Incident, dumps: Sequence[RemoteFile], unfinished: Sequence[RemoteFile], since: datetime
) -> Retrieved:
    """Copy the files beside the dumps, the logs, and then, after a look at them, the dumps.

    What is home already is left alone.

    Args:
        incident: the host and its case.
        dumps: what was found of them.
        unfinished: what was found of those that are not whole.
        since: when the incident began, by our clock.

    Raises:
        InventoryError: the host has no channel that can copy files.
        StorageError: there is no space here. Everything copied so far stays.
    """
    host, connections = incident.host, incident.connections
    deadline = Deadline.after(incident.playbook.steps.retrieve.deadline)
    failures: list[str] = []
    wanted = [*dumps, *unfinished]
    free_space_check(incident.case, sum(d.size for d in wanted if at_home(incident, d.path, d.size) is None))
    named = incident.playbook.when.channels
    exports = Exports(incident, since)
    with Inside(host, connections, named, deadline) as inside:
        files = inside.files()
        if isinstance(files, SlowFiles):
            incident.progress.note(files.slowness())
        beside = _beside(incident, files, wanted, deadline)
        for log in incident.playbook.steps.retrieve.logs:
            exported = log.event_log or log.cluster_log
            readable = exports.write(inside, log, deadline) if exported else log
            if readable is not None:
                failures += _log(incident, inside, readable, deadline)
        parts = memory_beside(dump.path for dump in wanted)
        for dump in [dump for dump in wanted if dump.path not in parts]:
            _look(incident, files, dump, deadline)
    failures += exports.bring_home(deadline)
    for file in beside:
        failures += Copy(incident, file, "log", deadline).run()
    home = []
    for dump in wanted:
        failures += Copy(incident, dump, "dump", deadline).run()
        path = at_home(incident, dump.path, dump.size)
        if path is not None:
            home.append(path)
    return Retrieved(tuple(home), tuple(failures))


def retrieve_from_outside(incident: Incident) -> Retrieved:
    """Fetch what needs no way into the host: it is back, and nobody can look inside."""
    deadline = Deadline.after(incident.playbook.steps.retrieve.deadline)
    bundles = [log for log in incident.playbook.steps.retrieve.logs if log.bundle]
    failures: list[str] = []
    for log in bundles:
        if at_home(incident, _source(log)) is None:
            failures += fetch_bundle(incident, log, deadline)
    home = (at_home(incident, _source(log)) for log in bundles)
    return Retrieved(tuple(path for path in home if path is not None), tuple(failures))


def _source(log: LogSource) -> str:
    return log.command or log.file or source_of(log)


def _needless(incident: Incident, log: LogSource) -> bool:
    """True where the log that this one stands in for came home whole."""
    other = next((each for each in incident.playbook.steps.retrieve.logs if each.name == log.unless), None)
    if other is None or at_home(incident, _source(other)) is None:
        return False
    missing = {entry.data.get("name") for entry in incident.case.journal.all("artifact.missing")}
    return f"{other.name} (whole)" not in missing


def _beside(
    incident: Incident, files: Files, dumps: Sequence[RemoteFile], deadline: Deadline
) -> list[RemoteFile]:
    """Small files in the folders of the dumps: the kernel's last words often give the answer alone."""
    patterns = incident.playbook.steps.retrieve.beside
    fold = incident.host.platform is Platform.WINDOWS
    found = []
    for folder in sorted({str(PurePosixPath(dump.path).parent) for dump in dumps}):
        for entry in files.list(folder, deadline):
            name = PurePosixPath(entry.path).name
            if entry.kind is FileKind.FILE and any(matches(name, p, fold=fold) for p in patterns):
                found.append(entry)
    return found


def _look(incident: Incident, files: Files, dump: RemoteFile, deadline: Deadline) -> None:
    """Say what the dump looks like before it is copied; it is copied whatever it looks like."""
    if at_home(incident, dump.path, dump.size) is not None:
        return
    incident.progress.status(f"looking at {dump.path}")
    report = look(files, dump, deadline)
    identity = report.identity
    incident.case.journal.append(
        "dump.looked",
        path=dump.path,
        state=report.state,
        format=report.format,
        reason=report.reason,
        missing=report.missing,
        bytes=report.size,
        expected=report.expected_size,
        hostname=identity.hostname,
        crash_time=identity.crash_time.isoformat() if identity.crash_time else None,
    )
    if not report.complete:
        incident.progress.note(
            f"{dump.path} looks {report.state}: {report.reason}; it is copied all the same"
        )


def _log(incident: Incident, inside: Inside, log: LogSource, deadline: Deadline) -> list[str]:
    """Keep one log; a log that does not exist there is MISSING, not a failure of ours."""
    source = _source(log)
    if at_home(incident, source) is not None or _needless(incident, log):
        return []
    if log.stream or log.bundle:
        return (fetch_bundle if log.bundle else stream)(incident, log, deadline)
    incident.progress.status(f"collecting {log.name}")
    try:
        data = _AGAIN(_read_log, inside, log, deadline.within(log.deadline))
    except FileNotFoundError:
        incident.miss(log.name, source, Outcome.MISSING, "there is no such file on the host")
        return []
    except CollectorError as error:
        incident.miss(log.name, source, Outcome.of(error), error.message)
        return [f"{log.name}: {error.message}"]
    if not data.output:
        incident.miss(log.name, source, Outcome.MISSING if data.failed else Outcome.EMPTY, data.note)
        return []
    incident.keep(f"logs/{log.name}", data.output, source=source, kind="log")
    if data.note:
        incident.miss(f"{log.name} (whole)", source, Outcome.FAILED, data.note)
    return []


@dataclass(frozen=True, slots=True)
class _LogText:
    output: bytes
    failed: bool = False
    note: str = ""


def _read_log(inside: Inside, log: LogSource, deadline: Deadline) -> _LogText:
    if log.command:
        return _run_log(inside, log.command, deadline)
    assert log.file is not None
    output = bytearray()
    for chunk in inside.files().read(log.file, 0, deadline.remaining()):
        output += chunk
        if len(output) > _LARGEST_LOG:
            return _LogText(
                bytes(output[:_LARGEST_LOG]), note=f"only its first {_LARGEST_LOG} bytes were kept"
            )
        if deadline.expired:
            return _LogText(bytes(output), note="it was still being read at the deadline")
    return _LogText(bytes(output))


def _run_log(inside: Inside, command: str, deadline: Deadline) -> _LogText:
    result = inside.command(command, deadline, limit=_LARGEST_LOG)
    note = f"only its first {_LARGEST_LOG} bytes were kept" if result.truncated else ""
    if result.exit_status == 0:
        return _LogText(result.stdout, note=note)
    words = result.stderr.decode("utf-8", "replace").strip()[:500]
    return _LogText(
        result.stdout, failed=True, note=f"the command ended with exit status {result.exit_status}: {words}"
    )
