"""Is a dump whole, and is it the one that we asked for? What its bytes say, held against what we know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from collector.dump.report import DumpFormat, DumpReport, State

_CLOCK_SLACK = timedelta(minutes=10)
"""How far the host's clock may stand behind ours: a hung host has often lost its time server too."""

_REMEDIES = {
    State.COMPLETE: "",
    State.TRUNCATED: "Keep it, for much in it can still be read. Look whether the host's own copy is longer; "
    "if not, give the dump more room there before the next time (disk, or page file).",
    State.INCOMPLETE: "Keep it, for the kernel log in it can often be read. See on the host why the dump "
    "tool stopped (kexec-dmesg.log), and give the dump more room there.",
    State.ENCRYPTED: "Keep it, and ask whoever holds the key of the host's dump encryption to decrypt it.",
    State.EMPTY: "The dump tool failed on the host: read its log there (kexec-dmesg.log, journalctl -b -1).",
    State.STALE: "Look on the host for a newer dump; this one was there before.",
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
class Verdict:
    """The last word on one dump.

    Args:
        report: what the dump's bytes say, with the state that came of the comparison.
        remedy: what to do; empty for a complete dump.
        note: what else a reader must know, such as another host's name in the dump; mostly empty.
    """

    report: DumpReport
    remedy: str
    note: str = ""


def judge(report: DumpReport, *, since: datetime | None = None, host: str = "") -> Verdict:
    """Decide.

    Args:
        report: what the bytes say.
        since: when the NMI was claimed; a whole dump of an older crash is stale.
        host: the name of the host that was made to crash, when it is known.
    """
    crashed = report.identity.crash_time
    if report.complete and since is not None and crashed is not None and crashed < since - _CLOCK_SLACK:
        reason = f"it is whole, but of an older crash: {crashed:%Y-%m-%d %H:%M:%S} UTC"
        report = replace(report, state=State.STALE, reason=reason)
    return Verdict(report, remedy(report.format, report.state), _other_host(report.identity.hostname, host))


def remedy(kind: DumpFormat, state: State) -> str:
    """What to do about a dump of this format in this state."""
    return _OTHER_REMEDIES.get(kind, {}).get(state, _REMEDIES[state])


def _other_host(inside: str | None, host: str) -> str:
    """Say so when the dump names another host. Only short names are compared, for few write both in full.

    It stays a note: an inventory may call a machine by a name that the machine does not know.
    """
    if not inside or not host or _short(inside) == _short(host):
        return ""
    return f"the dump calls its host {inside}, and the NMI went to {host}: make sure that they are the same"


def _short(name: str) -> str:
    return name.partition(".")[0].casefold()
