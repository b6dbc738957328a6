"""Logs that a Windows host writes out for the case: the events around the incident, and its cluster's log.

A live event log that is copied may be torn, and holds months. So the host exports what is young enough, by
its own clock, into a folder of the case's own; the files come home like any others, and the folder is
removed. What hangs or fails there costs no other log, and of its own the whole file is taken instead.

The journal knows of the folder before it is made, so that a run that is taken up again removes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from collector.adapters.answers import RemoteFile
from collector.adapters.base import PowerShell
from collector.adapters.limits import Deadline
from collector.adapters.winrm_files import made_file
from collector.adapters.winrm_script import MAX_ERROR, answer_of, load
from collector.case.folder import safe_name
from collector.errors import AdapterError, CollectorError, PeerFailedError
from collector.model.result import Outcome
from collector.playbook.schema import LogSource
from collector.run.copy import Copy, at_home
from collector.run.incident import Incident
from collector.run.inside import Inside

PLACE = "C:\\ProgramData\\hang-collector"
"""Where the folder is, as people know it; the script asks Windows for the first part."""

_LOGS = "/C:/Windows/System32/winevt/Logs"
_REMOVAL = 60.0  # seconds
_MINUTE = 60
_STAMP = 24  # characters of a time of the host
_EVENT_LOG_SERVICE = "S-1-5-19"
"""LOCAL SERVICE (MS-DTYP section 2.4.2.4), which the event log service is: it may have to write there."""

_LARGEST = 1 << 30  # bytes of one export; a log that fills our disk would cost the dump


@dataclass
class Exports:
    """What the host has written out for this case and is not home yet.

    Args:
        incident: the host and its case.
        since: when the incident began, by our clock; only how long ago that is counts on the host.
    """

    incident: Incident
    since: datetime
    _made: list[tuple[LogSource, RemoteFile]] = field(default_factory=list)
    _failures: list[str] = field(default_factory=list)
    _made_folder: bool = False

    def write(self, inside: Inside, log: LogSource, deadline: Deadline) -> LogSource | None:
        """Have the host write one log out, for `bring_home`.

        Returns:
            The log as a whole file, where it could not be exported; None when nothing else is to be read.
        """
        incident, source = self.incident, _source(log)
        whole = _whole(log)
        if any(at_home(incident, place) for place in (source, whole.file if whole else None) if place):
            return None
        incident.progress.status(f"collecting {log.name}")
        try:
            self._made.append((log, self._ask(inside.powershell(), log, deadline.within(log.deadline))))
        except FileNotFoundError:
            incident.miss(log.name, source, Outcome.MISSING, "there is no such log on the host")
        except CollectorError as error:
            if whole is not None:
                why = f"{error.message}; the whole file is taken"
                incident.miss(f"{log.name} (exported)", source, Outcome.of(error), why)
                return whole
            incident.miss(log.name, source, Outcome.of(error), error.message)
            # As with a command: what the host itself cannot do is no failure of ours.
            if not isinstance(error, PeerFailedError):
                self._failures.append(f"{log.name}: {error.message}")
        return None

    def bring_home(self, deadline: Deadline) -> list[str]:
        """Copy what was written, and remove the folder; return what failed, in words."""
        failures = self._failures
        for log, file in self._made:
            copy = Copy(self.incident, file, "log", deadline, place=f"logs/{log.name}", source=_source(log))
            failures += copy.run()
        self._made, self._failures = [], []
        return failures + self._remove(deadline)

    def _ask(self, shell: PowerShell, log: LogSource, deadline: Deadline) -> RemoteFile:
        seconds = int((datetime.now(UTC) - self.since).total_seconds() + log.before)
        if log.cluster_log:
            answer = _run(shell, "export_cluster_log", deadline, minutes=str(seconds // _MINUTE + 1))
        else:
            self._make_folder(shell, deadline)
            answer = _run(
                shell, "export_events", deadline,
                name=self._folder, log=log.event_log or "", file=log.name, seconds=str(seconds),
            )  # fmt: skip
        try:
            file = made_file(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise PeerFailedError(
                "the host's answer about its export makes no sense",
                hint="Run Windows PowerShell on it by hand.",
            ) from error
        if not 0 <= file.size <= _LARGEST:
            raise PeerFailedError(
                f"the export has {file.size} bytes, and {_LARGEST} are fetched at most",
                hint="Begin it later: `before` in the playbook.",
            )
        since = str(answer["since"])[:_STAMP] if "since" in answer else None
        self.incident.case.journal.append("export.made", path=file.path, bytes=file.size, since=since)
        return file

    @property
    def _folder(self) -> str:
        """The folder's name; once it is announced, that one, whatever the case is called now."""
        announced = self.incident.case.journal.last("export.folder")
        return str(announced.data["name"]) if announced else f"{safe_name(self.incident.case.name)}-logs"

    def _make_folder(self, shell: PowerShell, deadline: Deadline) -> None:
        if self._made_folder:
            return
        name = self._folder
        if not self._may_exist():
            self.incident.case.journal.append("export.folder", name=name, folder=f"{PLACE}\\{name}")
        _run(shell, "make_folder", deadline, name=name, also=_EVENT_LOG_SERVICE)
        self._made_folder = True

    def _may_exist(self) -> bool:
        announced, removed = map(self.incident.case.journal.last, ("export.folder", "export.removed"))
        return announced is not None and (removed is None or removed.seq < announced.seq)

    def _remove(self, deadline: Deadline) -> list[str]:
        """Leave nothing there; whoever resumes the case tries again."""
        if not self._may_exist():
            return []
        incident, folder = self.incident, f"{PLACE}\\{self._folder}"
        incident.progress.status(f"removing {folder}")
        within = deadline.within(_REMOVAL)
        named = incident.playbook.when.channels
        try:
            with Inside(incident.host, incident.connections, named, within) as inside:
                _run(inside.powershell(), "remove_folder", within, name=self._folder)
        except CollectorError as error:
            failure = f"the folder {folder} is still on the host: {error.message}"
            incident.progress.note(failure)
            incident.case.journal.append("export.left", folder=folder, detail=error.message)
            return [failure]
        incident.case.journal.append("export.removed", folder=folder)
        return []


def _run(shell: PowerShell, script: str, deadline: Deadline, **arguments: str) -> Mapping[str, Any]:
    """The answer of a script of ours. Raises: FileNotFoundError: it says so; AdapterError."""
    result = shell.powershell(load(script), deadline, arguments=arguments)
    if result.exit_status != 0:
        raise _failed(result.stderr.decode("utf-8", "replace"))
    answer: Mapping[str, Any] = answer_of(result.stdout)
    if answer.get("failed") == "absent":
        raise FileNotFoundError(script)
    if "failed" in answer:
        raise _failed(str(answer.get("words")))
    return answer


def _failed(words: str) -> AdapterError:
    line = " ".join(words.split())[:MAX_ERROR] or "without a word"
    return PeerFailedError(
        f"PowerShell failed on the host: {line}", hint="Run it there by hand, as the same user."
    )


def _source(log: LogSource) -> str:
    return "cluster log" if log.cluster_log else f"event log {log.event_log}"


def _whole(log: LogSource) -> LogSource | None:
    """The log's own file: a slash in its name is `%4` there."""
    if log.event_log is None:
        return None
    file = f"{_LOGS}/{log.event_log.replace('/', '%4')}.evtx"
    return log.model_copy(update={"file": file, "event_log": None})
