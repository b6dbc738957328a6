"""Every error a person may read: what happened, on which host, what to do next.

::

    CollectorError
    ├── ConfigError               the settings file is wrong (file:line in the message)
    │   └── SecretError           a secret reference leads nowhere
    ├── InventoryError            no such host, or the host lacks what the command needs
    ├── AdapterError              talking to a machine failed
    │   ├── UnreachableError      nothing answered: no route, refused, silent
    │   ├── LoginRefusedError     the peer answered and said no to our credentials; never tried twice
    │   │   └── HostKeyError      the peer is not proved to be who it says; nothing was sent to it
    │   ├── NotTriedError         no login came about: there is no ticket, or no such login there
    │   ├── ForbiddenError        logged in, but this account may not do that
    │   ├── DeadlineError         the peer accepted and did not answer in time
    │   ├── UnsupportedError      the peer cannot do that
    │   ├── PeerFailedError       the peer answered with a failure of its own
    │   └── MissingExtraError     an optional dependency is not installed
    ├── PlaybookError             a playbook is wrong, or none fits the host
    ├── CaseError                 the case folder is wrong, locked, or not writable
    │   ├── CaseLockedError       another run holds this host
    │   ├── JournalError          the journal was altered or cut
    │   └── StorageError          no space or no right to write here
    ├── DumpError                 the bytes are not a dump we can read
    └── RunError                  a stage stopped the run
        ├── NotHungError          the host answers: no NMI without --even-if-responsive
        ├── PreflightError        an NMI now would be useless or harmful
        ├── ConfirmationError     nobody confirmed the host's name
        ├── NoDumpError           the NMI went out and no dump came of it
        ├── UncertainError        nobody can say whether the NMI arrived
        ├── WaitDeadlineError     neither a dump nor a proof of none in time
        └── PartialError          evidence is home, but something is missing
"""

from __future__ import annotations

from typing import ClassVar


class CollectorError(Exception):
    """Root of the tree.

    Args:
        message: what happened, in one sentence, without the host's name.
        hint: what the reader should do next.
        host: the inventory name of the host, when one is concerned.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str, host: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.host = host

    def __str__(self) -> str:
        return f"{self.host}: {self.message}" if self.host else self.message


class ConfigError(CollectorError):
    """The settings file is wrong."""

    code = "config"


class SecretError(ConfigError):
    """A secret reference leads nowhere. The message names the reference, never the value."""

    code = "secret"


class InventoryError(CollectorError):
    """No such host, or the host lacks what the command needs."""

    code = "inventory"


class AdapterError(CollectorError):
    """Talking to a machine failed."""

    code = "adapter"


class UnreachableError(AdapterError):
    """Nothing answered: no route, refused, or silent from the first packet."""

    code = "unreachable"


class LoginRefusedError(AdapterError):
    """The peer said no to our credentials; the brake keeps them from being tried again in this run."""

    code = "login-refused"


class HostKeyError(LoginRefusedError):
    """The peer's key or certificate is unknown or changed; no credential was sent to it."""

    code = "host-key"


class NotTriedError(AdapterError):
    """No login came about: no account counts it as a failure, so it may be tried again."""

    code = "login-not-tried"


class ForbiddenError(AdapterError):
    """Logged in, but this account may not do that."""

    code = "forbidden"


class DeadlineError(AdapterError):
    """The peer accepted the connection and did not answer in time."""

    code = "deadline"


class UnsupportedError(AdapterError):
    """The peer cannot do that."""

    code = "unsupported"


class PeerFailedError(AdapterError):
    """The peer answered with a failure of its own."""

    code = "peer-failed"


class MissingExtraError(AdapterError):
    """An optional dependency is not installed."""

    code = "missing-extra"


class PlaybookError(CollectorError):
    """A playbook is wrong, or none fits the host."""

    code = "playbook"


class CaseError(CollectorError):
    """The case folder is wrong, locked, or not writable."""

    code = "case"


class CaseLockedError(CaseError):
    """Another run holds this host or this case."""

    code = "case-locked"


class JournalError(CaseError):
    """The journal was altered or cut."""

    code = "journal"


class StorageError(CaseError):
    """There is no space, or no right to write, in the case folder."""

    code = "storage"


class DumpError(CollectorError):
    """The bytes are not a dump we can read."""

    code = "dump"


class RunError(CollectorError):
    """A stage stopped the run."""

    code = "run"


class NotHungError(RunError):
    """The host answers; an NMI would take a working server down."""

    code = "not-hung"


class PreflightError(RunError):
    """An NMI now would be useless or harmful."""

    code = "preflight"


class ConfirmationError(RunError):
    """Nobody confirmed the host's name."""

    code = "not-confirmed"


class NoDumpError(RunError):
    """The NMI went out and no dump came of it."""

    code = "no-dump"


class UncertainError(RunError):
    """Nobody can say whether the NMI arrived, and no crash was seen."""

    code = "uncertain"


class WaitDeadlineError(RunError):
    """Neither a dump nor a proof that there is none before the deadline."""

    code = "wait-deadline"


class PartialError(RunError):
    """The evidence is home, but something that was asked for is missing."""

    code = "partial"


def defect(error: BaseException) -> str:
    """Name an error that is no `CollectorError` by its place, without the values it met."""
    import traceback
    from pathlib import PurePath

    frames = traceback.extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return f"internal error: {type(error).__name__} at {place}"
