"""What a Linux host says of itself, in one round trip and without changing anything on it.

`gather` asks the few things that a run needs of a host that is barely alive: shell builtins and two external
commands that read nothing from disk twice (`uname`, `date`). `gather_all` asks all that an audit judges.
Both work as an ordinary user; what only root may read is missing, with that reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from collector.adapters.answers import CommandResult
from collector.adapters.base import Shell
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.facts import linux_script
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

_LIMIT = 1024 * 1024  # bytes of one answer
_LINE_MAX, _REASON_MAX = 4096, 100  # characters
_LINE = re.compile(r"(?P<name>[a-z_]+)(?P<kind>[=!])(?P<rest>[^\r]*)\r?")
_PASSWORD = re.compile(r"(?i)(passw(?:or)?d\w*\s*[=:]).+")


def gather(shell: Shell, source: str, deadline: Deadline) -> Facts:
    """Read the few facts over `shell`; `source` names the channel in each of them.

    Raises:
        PeerFailedError: the host ran the command and said nothing we know.
        AdapterError: the channel failed.
    """
    result = shell.run(COMMAND, deadline, limit=_LIMIT)
    facts = parse(result.stdout, source, datetime.now(UTC))
    _require(facts, result)
    return facts


def gather_all(shell: Shell, source: str, deadline: Deadline) -> Facts:
    """Read all that an audit judges; every fact is there, with its value or with why it is missing.

    Raises:
        PeerFailedError: the host ran the command and said nothing we know.
        AdapterError: the channel failed.
    """
    result = shell.run(linux_script.COMMAND, deadline, limit=_LIMIT)
    now = datetime.now(UTC)
    facts = dict(parse(result.stdout, source, now, linux_script.NAMES))
    _require(facts, result)
    if "end" not in facts:
        # The last fact may be half of itself, and half a list is worse than none.
        facts.popitem()
    why = "the answer was cut off" if "end" not in facts else "the host did not say"
    return {name: facts.get(name) or Fact(name, None, source, now, why) for name in linux_script.NAMES}


def parse(
    output: bytes,
    source: str,
    now: datetime,
    wanted: frozenset[str] = frozenset({*_FILES, "release", "clock"}),
) -> Facts:
    """Turn the script's output into facts, in its order; unknown names and broken lines are left out.

    The lines of one fact are joined, a reason that follows values takes their place for good, and
    passwords are blotted out.
    """
    answers: dict[str, _Answer] = {}
    for line in output.decode("utf-8", "replace").split("\n"):
        match = _LINE.fullmatch(line)
        if match is not None and match["name"] in wanted:
            answers.setdefault(match["name"], _Answer()).hear(match["kind"], match["rest"].strip())
    return {name: answer.fact(name, source, now) for name, answer in answers.items()}


@dataclass(slots=True)
class _Answer:
    """What was heard of one fact so far."""

    lines: list[str] = field(default_factory=list)
    reason: str = "empty"
    closed: bool = False

    def hear(self, kind: str, rest: str) -> None:
        if kind == "!":
            self.reason, self.closed = rest[:_REASON_MAX] or "empty", bool(self.lines)
        else:
            self.lines.append(_without_password(rest[:_LINE_MAX]))

    def fact(self, name: str, source: str, now: datetime) -> Fact:
        text = "" if self.closed else "\n".join(self.lines).strip()
        return Fact(name, text, source, now) if text else Fact(name, None, source, now, self.reason)


def _without_password(line: str) -> str:
    """Blot out `FTP_PASSWORD=...` (kdump-tools) and `KDUMP_SAVEDIR=ftp://user:password@host` (SUSE)."""
    before, scheme, rest = line.partition("://")
    user, at, place = rest.rpartition("@")
    if at and ":" in user:
        line = f"{before}{scheme}{user.partition(':')[0]}:***@{place}"
    return _PASSWORD.sub(r"\1***", line)


def _require(facts: Facts, result: CommandResult) -> None:
    """Refuse an answer without facts: a restricted shell, or one that wants a new password first."""
    if facts:
        return
    words = (result.stderr or result.stdout)[:_REASON_MAX].decode("utf-8", "replace").split()
    said = f", and said: {' '.join(words)}" if words else ""
    raise PeerFailedError(
        f"the host answered the facts command with exit status {result.exit_status} and no facts{said}",
        hint="Log in by hand and see whether `sh`, /proc and /sys are there.",
    )
