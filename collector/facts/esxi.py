"""What an ESXi host says of itself over SSH, in one round trip and without changing anything on it.

One script for its `ash`, of builtins and of `esxcli ... get` and `list`, which only read. Its answers are
lines of `name=value` or `name!reason`, as of a Linux host.

Sources: ESXCLI reference, namespaces system coredump, system settings, storage filesystem, hardware memory,
vm process; Broadcom KB 344096 (NMI settings) and KB 337182 (the purple screen and its time-out); the scripts
of ESXi that extract a dump at boot and for vm-support (`esxcfg-dumppart`: -T tests for a dump, -n for one
that nobody extracted, -t prints the partition, and -F means the file instead).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from collector.adapters.base import Shell
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.facts import linux
from collector.model.fact import Fact, Facts, value

_OPTIONS = {
    "nmi_lint": "/Misc/NMILint1IntAction",
    "minimal_panic": "/Misc/MinimalPanic",
    "blue_screen_timeout": "/Misc/BlueScreenTimeout",
    "suppress_coredump_warning": "/UserVars/SuppressCoredumpWarning",
}
_REPORTS = {
    "version": "vmware -v",
    "hostname": "hostname",
    "coredump_partition": "esxcli system coredump partition get",
    "coredump_file": "esxcli system coredump file get",
    "coredump_files": "esxcli system coredump file list",
    "coredump_network": "esxcli system coredump network get",
    "nmi_action": "esxcli system settings kernel list -o nmiAction",
    "memory": "esxcli hardware memory get",
    "filesystems": "esxcli storage filesystem list",
    "core_folder": "readlink -f /var/core",
    "cores": "ls -l /var/core",
}

_TELL = (
    "tell() { n=$1; shift; "
    'if o=$("$@" 2>/dev/null); then [ -n "$o" ] && echo "$o" | while read -r l; do echo "$n=$l"; done '
    '|| echo "$n!none"; else echo "$n!the command failed"; fi; }; '
)
_FEW = (
    # The uptime comes in microseconds.
    "up=$(esxcli system stats uptime get 2>/dev/null) && echo uptime=$((up/1000000)); "
    "echo clock=$(date +%s); "
    "p=$(esxcfg-dumppart -T -D active -n 2>/dev/null); f=$(esxcfg-dumppart -F -T -D active -n 2>/dev/null); "
    'case "$f,$p" in '
    'YES,*) echo "dump_slot=file $(esxcfg-dumppart -Ft 2>/dev/null)";; '
    '*,YES) echo "dump_slot=partition $(esxcfg-dumppart -t 2>/dev/null)";; '
    ",) echo 'dump_slot!the command failed';; "
    "*) echo dump_slot=none;; esac; "
)
_REST = (
    "".join(f"tell {name} {command}; " for name, command in _REPORTS.items())
    + "".join(
        f"tell {name} esxcli system settings advanced list -o {path}; " for name, path in _OPTIONS.items()
    )
    + "echo machines=$(esxcli vm process list 2>/dev/null | grep -c 'World ID:'); echo end=1"
)

COMMAND = _TELL + _FEW + _REST
"""The one command of an audit. A run that waits for the host asks for uptime, clock and the dump's slot."""

PURPLE_SCREEN = (
    "its purple screen may still be writing: do not reset it before it says 'FileDump: Successful' or "
    "'DiskDump: Successful'"
)
"""What holds while the host is down: writing takes up to an hour, and a reset loses the dump (KB 337182)."""

_RUN = frozenset({"uptime", "clock", "dump_slot"})
NAMES = frozenset({*_RUN, *_REPORTS, *_OPTIONS, "machines", "end"})
"""Every fact of `gather_all`."""

_SLOT = re.compile(r"[A-Za-z0-9/._:-]{1,300}")
"""A device with its partition, or a path on a datastore: it becomes part of a command that a person runs."""

_LIMIT = 1024 * 1024  # bytes of one answer


def gather(shell: Shell, source: str, deadline: Deadline) -> Facts:
    """Read how long the host is up, its time, and what its slot holds; `source` names the channel in each.

    Raises:
        PeerFailedError: the host ran the command and said nothing we know.
        AdapterError: the channel failed.
    """
    return _ask(shell, _FEW, source, deadline, _RUN)


def gather_all(shell: Shell, source: str, deadline: Deadline) -> Facts:
    """Read all that an audit judges; every fact is there, with its value or with why it is missing.

    Raises:
        PeerFailedError: the host ran the command and said nothing we know.
        AdapterError: the channel failed.
    """
    facts = dict(_ask(shell, COMMAND, source, deadline, NAMES))
    if "end" not in facts:
        # The last fact may be half of itself, and half a list is worse than none.
        facts.popitem()
    why = "the host did not say" if "end" in facts else "the answer was cut off"
    now = datetime.now(UTC)
    return {name: facts.get(name) or Fact(name, None, source, now, why) for name in NAMES}


def still_in_slot(facts: Facts) -> str:
    """Where a dump lies that was not extracted, and the command that does it; nothing where there is none.

    At boot nothing is extracted where /var/core is not on a datastore.
    """
    kind, _, told = (value(facts, "dump_slot") or "").partition(" ")
    if kind not in ("file", "partition"):
        return ""
    slot = told.strip() if _SLOT.fullmatch(told.strip()) else "active"
    if kind == "partition" and slot != "active" and not slot.startswith("/"):
        slot = f"/vmfs/devices/disks/{slot}"
    where = f"the dump {kind}" if slot == "active" else f"the dump {kind} {slot}"
    file = "-F " if kind == "file" else ""
    return (
        f"a dump that nobody extracted lies in {where}, and the next crash overwrites it: "
        f"esxcfg-dumppart {file}-C -D {slot} -n -z /vmfs/volumes/DATASTORE/zdump "
        "(vm-support takes it along, too)"
    )


def _ask(shell: Shell, command: str, source: str, deadline: Deadline, wanted: frozenset[str]) -> Facts:
    result = shell.run(command, deadline, limit=_LIMIT)
    facts = linux.parse(result.stdout, source, datetime.now(UTC), wanted)
    if any(
        fact.value for name, fact in facts.items() if name not in ("end", "clock", "machines", "dump_slot")
    ):
        return facts
    words = " ".join((result.stderr or result.stdout)[:100].decode("utf-8", "replace").split())
    raise PeerFailedError(
        f"the host answered the facts command with exit status {result.exit_status} and nothing of ESXi"
        + (f", and said: {words}" if words else ""),
        hint="Log in by hand and see whether `esxcli` answers; where hostd hangs, `localcli` may.",
    )
