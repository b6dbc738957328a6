"""Is a dump whole, and is it the one that we asked for? What its bytes say, held against what we know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.dump.report import DumpFormat, DumpReport, Identity, State

_CLOCK_SLACK = timedelta(minutes=10)
"""How far the host's clock may stand beside ours: a hung host has often lost its time server too."""

_CLOCK_GRAIN = 1.0
"""Seconds: Linux dumps say their time in whole ones."""

_LONGEST_DUMP = timedelta(hours=6)
"""How long a dump may have been written, where only the host's own clock can tell."""

_REMEDIES = {
    State.COMPLETE: "",
    State.TRUNCATED: "Keep it, for much in it can still be read. Look whether the host's own copy is longer; "
    "if not, give the dump more room there before the next time (disk, or page file).",
    State.INCOMPLETE: "Keep it, for the kernel log in it can often be read. See on the host why the dump "
    "tool stopped (kexec-dmesg.log), and give the dump more room there.",
    State.ENCRYPTED: "Keep it, and ask whoever holds the key of the host's dump encryption to decrypt it.",
    State.EMPTY: "The dump tool failed on the host: read its log there (kexec-dmesg.log, journalctl -b -1).",
    State.STALE: "Look on the host for another dump: this one is not of the crash that was looked for.",
    State.UNKNOWN: "Unpack it if it is packed (gzip, xz, zstd). Compare its checksum with the host's copy, "
    "and fetch it again if they differ.",
}

_PAGE_FILE = (
    "Keep it, for the bug check and some stacks can often be read. On the host, read the volmgr events in "
    "the System log (45, 46, 49, 161), and make the page file, or a DedicatedDumpFile, 300 MB larger than "
    "the memory."
)
_OTHER_REMEDIES = {
    DumpFormat.WINDOWS: {State.TRUNCATED: _PAGE_FILE, State.INCOMPLETE: _PAGE_FILE},
    DumpFormat.OFFLINE_WINDOWS: {
        State.INCOMPLETE: "Keep it, and give the firmware's dump partition more room.",
    },
    DumpFormat.VMWARE: {
        State.TRUNCATED: "Fetch it and its .vmem again, and compare both with the datastore's.",
        State.INCOMPLETE: "Fetch the .vmem of the same name from the datastore, and put it beside.",
        State.UNKNOWN: "Compare the size of its .vmem with the datastore's, and try to open it.",
    },
    DumpFormat.ESXI: {
        State.EMPTY: "Look on the ESXi host for another: esxcli system coredump file list.",
        State.UNKNOWN: "Run `vmkdump_extract -l` on the ESXi host that it is of, and keep the log beside it.",
    },
}
"""What to do where the format makes a difference."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of the crash that a dump should be of; nothing, unless a case tells.

    Args:
        host: the name of the host that was made to crash.
        system: its kernel release, or its version of Windows, when it last told.
        nmi: True when an NMI of ours may have crashed it.
        since: when the NMI was claimed; the crash cannot be older.
        until: when the dump was found on the host; the crash cannot be younger.
        written: when the host last wrote the dump, by its own clock.
    """

    host: str = ""
    system: str = ""
    nmi: bool = False
    since: datetime | None = None
    until: datetime | None = None
    written: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last word on one dump.

    Args:
        report: what the dump's bytes say, with the state that came of the comparison.
        remedy: what to do; empty for a complete dump.
        origin: what shows that the crash is of our NMI; empty where nothing does.
        note: what speaks against that, such as another host's name in the dump; mostly empty.
    """

    report: DumpReport
    remedy: str
    origin: str = ""
    note: str = ""


ANY_CRASH = Expected()
"""What is expected of a dump that belongs to no case."""


def judge(report: DumpReport, expected: Expected = ANY_CRASH) -> Verdict:
    """Decide: a whole dump of another crash is stale, and what else does not fit becomes a note."""
    identity = report.identity
    misfit = _misfit(identity.crash_time, expected)
    if report.complete and misfit:
        report = replace(report, state=State.STALE, reason=f"it is whole, but {misfit}")
    notes = [_other_host(identity, expected.host), _other_system(identity, expected.system)]
    origin = ""
    if expected.nmi and not misfit:
        origin, doubt = _origin(report, expected)
        notes.append(doubt)
    return Verdict(report, remedy(report.format, report.state), origin, "; ".join(filter(None, notes)))


def remedy(kind: DumpFormat, state: State) -> str:
    """What to do about a dump of this format in this state."""
    return _OTHER_REMEDIES.get(kind, {}).get(state, _REMEDIES[state])


def _misfit(crashed: datetime | None, expected: Expected) -> str:
    """Say of which other crash it is; empty when its time fits, or cannot be held against anything.

    It fits by our clock, or by the host's own: a host whose clock is hours off has dumped all the same.
    """
    since, until, written = expected.since, expected.until, expected.written
    if crashed is None or since is None:
        return ""
    if since - _CLOCK_SLACK <= crashed and (until is None or crashed <= until + _CLOCK_SLACK):
        return ""
    if written is not None and until is not None:
        longest = min(until - since, _LONGEST_DUMP)
        if written - longest - _CLOCK_SLACK <= crashed <= written + _CLOCK_SLACK:
            return ""
    other = "an older crash" if crashed < since else "a crash after it was found"
    return f"of {other}: {crashed:%Y-%m-%d %H:%M:%S} UTC"


def _origin(report: DumpReport, expected: Expected) -> tuple[str, str]:
    """Return what shows that the crash is of our NMI, and what speaks against it; one of them, or none."""
    identity = report.identity
    if identity.cause is not None and not identity.cause.nmi:
        cause = f"{identity.cause.code}: {identity.cause.meaning}"
        return (
            "",
            f"our NMI did not cause this crash, the machine crashed of something else at the time: {cause}",
        )
    if identity.crash_time is None or expected.since is None:
        silent = "the dump does not say when it crashed, so nothing in it proves that it is of our NMI"
        return "", silent if report.complete else ""
    seconds = (identity.crash_time - expected.since).total_seconds()
    offset = f"{abs(seconds):.0f} s {'before' if seconds < 0 else 'after'}"
    if abs(seconds) <= _CLOCK_GRAIN:
        offset = "within a second of"
    why = "it was an NMI" if identity.cause else "the dump does not say why"
    return f"it crashed {offset} the claim of our NMI, by the two clocks; {why}", ""


def _other_host(identity: Identity, host: str) -> str:
    """Say so when the dump names another host. Only short names are compared, for few write both in full.

    It stays a note: an inventory may call a machine by a name that the machine does not know.
    """
    inside = identity.hostname
    if not inside or not host or _short(inside) == _short(host):
        return ""
    return f"the dump calls its host {inside}, and the NMI went to {host}: make sure that they are the same"


def _other_system(identity: Identity, system: str) -> str:
    """Say so when the dump is of another kernel, or another build of Windows, than the host ran.

    A dump of Windows holds no name of its host in a place that is known, so this is all that can be held
    against the host there. Windows calls itself `10.0.20348`, and its dump `Windows build 20348`.
    """
    inside = identity.kernel_release
    if not inside or not system:
        return ""
    windows = inside.startswith("Windows build ")
    if inside == system or (windows and inside.split()[-1] == system.rpartition(".")[2]):
        return ""
    return f"the dump is of {inside}, and the host last ran {system}: make sure that it is of this host"


def _short(name: str) -> str:
    return name.partition(".")[0].casefold()
