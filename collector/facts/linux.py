"""What a Linux host says of itself, in one round trip and without changing anything on it.

The script uses shell builtins and two external commands that read nothing from disk twice (`uname`,
`date`), so that it works as an ordinary user and on a host that is barely alive.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from collector.adapters.base import Shell
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.model.fact import Fact, Facts

_FILES = {
    "boot_id": "/proc/sys/kernel/random/boot_id",
    "uptime": "/proc/uptime",
    "cmdline": "/proc/cmdline",
    # Linux Documentation/admin-guide/kdump/kdump.rst and Documentation/ABI/testing/sysfs-kernel-kexec-kdump
    "kexec_crash_loaded": "/sys/kernel/kexec_crash_loaded",
    "kexec_crash_size": "/sys/kernel/kexec_crash_size",
    # Linux arch/x86/kernel/nmi.c, unknown_nmi_error(): either one turns an unknown NMI into a panic
    "unknown_nmi_panic": "/proc/sys/kernel/unknown_nmi_panic",
    "panic_on_unrecovered_nmi": "/proc/sys/kernel/panic_on_unrecovered_nmi",
}

COMMAND = (
    "sh -c '"
    + "".join(
        f"if [ -r {path} ]; then read -r l <{path}; echo {name}=$l; "
        f"elif [ -e {path} ]; then echo {name}!denied; else echo {name}!absent; fi; "
        for name, path in _FILES.items()
    )
    + "echo release=$(uname -r); echo clock=$(date +%s)'"
)
"""The one command that is sent. Answers are lines of `name=value` or `name!reason`."""

_LINE = re.compile(r"(?P<name>[a-z_]+)(?P<kind>[=!])(?P<rest>[^\n]{0,4096})")


def gather(shell: Shell, source: str, deadline: Deadline) -> Facts:
    """Read the facts over `shell`; `source` names the channel in each of them.

    Raises:
        PeerFailedError: the host ran the command and said nothing we know.
        AdapterError: the channel failed.
    """
    result = shell.run(COMMAND, deadline, limit=64 * 1024)
    facts = parse(result.stdout, source, datetime.now(UTC))
    if not facts:
        raise PeerFailedError(
            f"the host answered the facts command with exit status {result.exit_status} and no facts",
            hint="Log in by hand and see whether `sh`, /proc and /sys are there.",
        )
    return facts


def parse(output: bytes, source: str, now: datetime) -> Facts:
    """Turn the script's output into facts; unknown names and broken lines are left out."""
    wanted = {*_FILES, "release", "clock"}
    facts: dict[str, Fact] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or match["name"] not in wanted:
            continue
        name, rest = match["name"], match["rest"].strip()
        if match["kind"] == "=" and rest:
            facts[name] = Fact(name, rest, source, now)
        else:
            facts[name] = Fact(name, None, source, now, rest or "empty")
    return facts
