"""Stage 8, triage: what hung it? Of what is home: a Linux dump at once, a debugger's log when there is one.

Nothing here can spoil a case: it adds a section to the report, and what fails is a note.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from collector.case import manifest, report
from collector.case.folder import JOURNAL, CaseFolder
from collector.case.journal import Journal
from collector.case.lock import hold
from collector.case.rows import closing
from collector.case.storage import digest
from collector.dump import first_look, memory
from collector.dump.identify import glance
from collector.dump.report import DumpFile
from collector.errors import DumpError
from collector.model.host import Platform
from collector.run.incident import Incident
from collector.triage import isolated
from collector.triage.answer import Answer, answer
from collector.triage.kdlog import parse
from collector.triage.linux_result import LinuxTriage
from collector.triage.modules import Modules
from collector.triage.script import first_pass
from collector.triage.source import is_debugger_log, lines, logs_of_case
from collector.triage.summary import Summary, of_log, of_vmcore
from collector.triage.vmcore import find_vmcore, triage_vmcore

SCRIPT = "next/hang-pass1.kd"
"""Where a Windows case keeps what to run in the debugger, below `data/`."""

_LOG = "data\\logs\\hang-pass1.log"
"""Where that script, run in the case's folder, puts the debugger's log."""

_PATIENCE = 60.0
"""Seconds that a collection spends on its dump; the dump of the biggest host takes some ten."""


@dataclass(frozen=True, slots=True)
class CaseTriage:
    """What the debugger's logs and the Linux dump of a case say, each with its file."""

    logs: Sequence[tuple[Path, Answer]] = ()
    vmcore: tuple[Path, LinuxTriage] | None = None


def triage(incident: Incident, dumps: Sequence[str]) -> None:
    """Give a Windows case its script for the debugger; say of a Linux dump what hung the machine.

    Args:
        incident: the host and its case.
        dumps: paths relative to the case.
    """
    if incident.host.platform is Platform.WINDOWS:
        incident.keep(
            SCRIPT, first_pass(_LOG).encode(), source="hang-collector triage script kd", kind="script"
        )
    for path in dumps if isolated.available() else ():
        dump = incident.case.path / path
        if not names_its_functions(dump):
            continue
        incident.progress.status(f"asking {path} what hung it")
        try:
            found = isolated.summary_of(dump, _PATIENCE)
        except DumpError as error:
            incident.case.journal.append("notice", text=f"triage of {path}: {error.message}")
            continue
        _write_down(incident.case, path, found)
        incident.progress.note(f"look first at: {found.suspect}" if found.suspect else f"triage: {found.why}")


def names_its_functions(dump: Path) -> bool:
    """Whether it is the dump of a Linux kernel that says where the names of its functions are (since 6.0)."""
    try:
        with DumpFile(dump) as file:
            return glance(file).format in first_look.FORMATS and memory.kernel(file).names(
                "kallsyms_num_syms"
            )
    except DumpError:
        return False


def triage_file(path: Path, modules: Modules) -> CaseTriage:
    """Read one debugger's log, or one Linux dump.

    Raises:
        DumpError: the file cannot be read.
        MissingExtraError: it is a Linux dump, and drgn is not installed.
    """
    if find_vmcore(path):
        return CaseTriage(vmcore=(path, triage_vmcore(path)))
    return CaseTriage(_answers([path], modules))


def triage_case(case: Path, modules: Modules) -> CaseTriage:
    """Read every debugger's log and the Linux dump of a case; writes nothing.

    Raises:
        CaseError: the journal cannot be trusted.
        DumpError: a file cannot be read.
        MissingExtraError: there is nothing but a Linux dump, and drgn is not installed.
    """
    logs = _answers(logs_of_case(case, but=_host_logs(case)), modules)
    vmcore = find_vmcore(case)
    if vmcore is None or (logs and not isolated.available()):
        return CaseTriage(logs)
    return CaseTriage(logs, (vmcore, triage_vmcore(vmcore)))


def _answers(paths: Sequence[Path], modules: Modules) -> list[tuple[Path, Answer]]:
    logs = ((path, parse(lines(path))) for path in paths)
    return [(path, answer(log, modules)) for path, log in logs if is_debugger_log(log)]


def add_to_case(path: Path, found: CaseTriage) -> bool:
    """Add the answers to the case's journal and report, and seal it anew if it was closed.

    With the same answers it changes nothing. Returns whether anything was added.

    Raises:
        CaseLockedError: a run works on the host just now.
        CaseError: the case is damaged.
        StorageError: no space, or no right to write.
    """
    case = CaseFolder.open(path)
    with hold(case.path.parent, [f"host {case.host}"], case=case.name):
        added = [
            _write_down(case, file.relative_to(path).as_posix(), said, digest(file)[1])
            for file, said in ((file, of_log(said)) for file, said in found.logs)
        ]
        if found.vmcore is not None:
            file, said = found.vmcore
            added.append(_write_down(case, file.relative_to(path).as_posix(), of_vmcore(said)))
        if any(added):
            report.write_report(case)
            if closing(case.journal.entries()) is not None:
                manifest.seal(case)
    return any(added)


def _write_down(case: CaseFolder, source: str, said: Summary, sha256: str = "") -> bool:
    """Append the answer to the journal, unless it says already the same of the same file."""
    data = {"source": source, "sha256": sha256, **asdict(said)}
    known = [entry.data for entry in case.journal.all("triage") if entry.data.get("source") == source]
    if known and dict(known[-1]) == json.loads(json.dumps(data)):
        return False
    case.journal.append("triage", **data)
    return True


def _host_logs(case: Path) -> set[Path]:
    """The logs that a Linux host wrote: no debugger's text, whatever words they hold."""
    if not (case / JOURNAL).is_file():
        return set()
    entries = Journal(case / JOURNAL).entries()
    opened = next((entry.data for entry in entries if entry.event == "case.opened"), {})
    logs = (entry.data for entry in entries if entry.event == "artifact" and entry.data.get("kind") != "dump")
    return (
        {case / str(log.get("path")) for log in logs} if opened.get("platform") == Platform.LINUX else set()
    )
