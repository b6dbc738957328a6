"""How the command ends, as a number that scripts can rely on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Named exit codes; the texts are what `hang-collector --help` and the docs print."""

    COMPLETE = 0, "everything that was asked for is there"
    PARTIAL = 10, "evidence is home, but something is missing or not whole"
    REFUSED = 11, "preflight refused: an NMI would be useless or harmful; none was sent"
    NO_DUMP = 12, "it is proved that the NMI, or the crash, left no dump"
    UNCERTAIN = 13, "nobody can say whether the NMI arrived; it is not sent again by itself"
    TIMED_OUT = 14, "neither a dump nor a proof of none before the deadline"
    NOT_HUNG = 15, "the host answers; no NMI was sent"
    NOT_CONFIRMED = 16, "nobody confirmed the host's name; no NMI was sent"
    LOCKED = 17, "another run holds this host"
    UNREACHABLE = 20, "a machine that was needed does not answer, or cannot do it"
    DENIED = 21, "a login was refused, or a host key is not trusted"
    STORAGE = 22, "no space or no right to write in the case folder"
    CASE = 23, "a case is damaged, or is none"
    USAGE = 64, "the command line is wrong"
    CONFIG = 65, "the settings file or a playbook is wrong"
    INTERNAL = 70, "a defect of the program"
    INTERRUPTED = 130, "stopped by Ctrl-C or SIGTERM; `resume` goes on"

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> ExitCode:
        """Keep the meaning beside the number."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


_BY_ERROR = {
    "": ExitCode.COMPLETE,
    "partial": ExitCode.PARTIAL,
    "preflight": ExitCode.REFUSED,
    "no-dump": ExitCode.NO_DUMP,
    "uncertain": ExitCode.UNCERTAIN,
    "wait-deadline": ExitCode.TIMED_OUT,
    "deadline": ExitCode.TIMED_OUT,
    "not-hung": ExitCode.NOT_HUNG,
    "not-confirmed": ExitCode.NOT_CONFIRMED,
    "case-locked": ExitCode.LOCKED,
    "unreachable": ExitCode.UNREACHABLE,
    "login-refused": ExitCode.DENIED,
    "host-key": ExitCode.DENIED,
    "login-not-tried": ExitCode.DENIED,
    "forbidden": ExitCode.DENIED,
    "unsupported": ExitCode.UNREACHABLE,
    "peer-failed": ExitCode.UNREACHABLE,
    "adapter": ExitCode.UNREACHABLE,
    "storage": ExitCode.STORAGE,
    "case": ExitCode.CASE,
    "journal": ExitCode.CASE,
    "dump": ExitCode.PARTIAL,
    "config": ExitCode.CONFIG,
    "secret": ExitCode.CONFIG,
    "inventory": ExitCode.CONFIG,
    "playbook": ExitCode.CONFIG,
    "missing-extra": ExitCode.CONFIG,
}


def of(code: str) -> ExitCode:
    """The exit code for an error's `code` (`CollectorError.code`); empty means success."""
    return _BY_ERROR.get(code, ExitCode.INTERNAL)


def show() -> None:
    """Print what each exit code means."""
    for code in ExitCode:
        print(f"{code:3}  {code.name:14} {code.meaning}")
