"""Dumps of an ESXi host after its purple screen: vmkernel-zdump.N in /var/core, *.dumpfile in vmkdump.

VMware does not publish the format. Only an ESXi host, of the same version at best, can read it. So the bytes
alone never prove such a dump complete, and the verdict says what to run on the host instead. The log that
`vmkdump_extract -l` or `esxcfg-dumppart -L` take out of it there is text, and `read_log` reads that.

Source: Broadcom knowledge base 1004250 (the purple screen and its log); the tools' own help on ESXi.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from collector.dump.report import CHUNK, Cause, DumpFormat, DumpReport, Identity, Source, State, printable

_NAME = re.compile(r"vmkernel-zdump[-.\w]*|[-.\w]+\.dumpfile", re.ASCII)
_RELEASE = re.compile(
    r"VMware ESXi? (\d{1,3}(?:\.\d{1,3}){2}) \[Releasebuild-(\d{1,12}) (\w{1,16})\]", re.ASCII
)
_SCREEN = re.compile(r"@BlueScreen: (.{1,500})")
_UPTIME = re.compile(r"VMK uptime: (\d{1,6}):(\d\d):(\d\d):(\d\d)\.(\d{3})", re.ASCII)
_NMI = re.compile(r"\bNMI\b|LINT1")
_LONGEST_LINE = 4096


def is_dump_name(name: str) -> bool:
    """Return whether a file of this name is such a dump: nothing in its bytes says so that is public."""
    return _NAME.fullmatch(PurePath(name).name) is not None


def inspect(source: Source) -> DumpReport:
    """Say what can be said: that it is empty, or that its own host must be asked.

    Raises:
        DumpError: the bytes cannot be read.
    """
    if not source.read(0, CHUNK).strip(b"\0"):
        reason = "it holds nothing but zeros: no dump was written to this slot"
        return DumpReport(DumpFormat.ESXI, State.EMPTY, reason, source.size, missing="everything")
    reason = (
        "its format is VMware's own: on the host, `vmkdump_extract -l` (or `esxcfg-dumppart -L`) reads its "
        "log, and `vmkdump_extract -E` says whether it is encrypted"
    )
    return DumpReport(DumpFormat.ESXI, State.UNKNOWN, reason, source.size)


def read_log(lines: Iterable[str]) -> Identity:
    """Return what the log out of a dump says of the crash. Of each fact the last mention counts.

    The log is that of all the host's uptime: an older screen is not in it, for a restart begins a new one.
    """
    release = architecture = cause = uptime = None
    for line in lines:
        text = line[:_LONGEST_LINE]
        if found := _RELEASE.search(text):
            release, architecture = f"{found[1]} build-{found[2]}", found[3]
        if found := _SCREEN.search(text):
            message = printable(found[1].encode("ascii", "backslashreplace"))
            nmi = _NMI.search(message) is not None
            source = "an NMI from the button, the BMC or the hardware: " if nmi else ""
            cause = Cause("PSOD", f"{source}{message}", nmi)
        if found := _UPTIME.search(text):
            days, hours, minutes, seconds, thousandths = (int(part) for part in found.groups())
            uptime = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + thousandths / 1000
    return Identity(kernel_release=release, architecture=architecture, uptime=uptime, cause=cause)
