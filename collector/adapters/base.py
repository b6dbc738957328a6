"""What a machine can be asked: small capability Protocols, one per question.

An adapter is a context manager that is made from its endpoint and a credential, logs in on entry, and
implements the Protocols it is able to. "Not supported" is the absence of a Protocol, or an
`UnsupportedError` where only the peer can tell. Every call takes a `Deadline` and ends by it, even
against a peer that accepts and never answers.

All methods but `send_nmi`, `take_snapshot`, `remove_snapshot` and `make_bundle` only read: nothing on the
controller or the host changes by calling them. `run`, `stream` and `powershell` do what they are given; only
`run/exports.py` gives them something that writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Protocol, Self, runtime_checkable

from collector.adapters.answers import (
    Chunk,
    CommandResult,
    GuestState,
    HostState,
    LogEvent,
    LogRoom,
    NmiAnswer,
    PowerState,
    RemoteFile,
    SnapshotPrice,
    StopSensor,
    WatchdogState,
)
from collector.adapters.limits import Deadline
from collector.model.host import Credential, Endpoint


class Adapter(Protocol):
    """Log in on `__enter__`, log out on `__exit__`; the endpoint model it is configured with is `settings`.

    `__enter__` raises `UnreachableError`, `LoginRefusedError`, `HostKeyError` or `DeadlineError`, and
    has tried the login once.
    """

    settings: ClassVar[type[Endpoint]]

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


@runtime_checkable
class Power(Protocol):
    """Is the machine on?"""

    def power_state(self, deadline: Deadline) -> PowerState:
        """Raises: AdapterError."""
        ...


@runtime_checkable
class NmiInjector(Protocol):
    """The one call that changes something. Only `run/trigger.py` may make it."""

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """Put exactly one NMI request on the wire, and wait for the answer until the deadline.

        Never raises for what the peer did or did not answer: that is what `NmiAnswer` says. Whatever
        it does raise, the caller takes for UNCERTAIN.
        """
        ...


@runtime_checkable
class MemorySnapshot(Protocol):
    """Write the memory to files without a crash. Only `run/snapshot.py` may take and remove one."""

    def snapshot_price(self, deadline: Deadline) -> SnapshotPrice:
        """What it would cost now. Raises: AdapterError."""
        ...

    def take_snapshot(self, name: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Write the memory out, and return the files once they are whole, as the host's channels read them.

        A snapshot of this name that exists, or is being made, is awaited: calling again makes no second one.

        Raises:
            UnsupportedError: the peer cannot; nothing was changed.
            DeadlineError: it was not whole in time; it may become so.
            AdapterError: it failed, or nobody knows.
        """
        ...

    def remove_snapshot(self, name: str, deadline: Deadline) -> None:
        """Remove what `take_snapshot` made; nothing to remove is fine. Raises: AdapterError."""
        ...


@runtime_checkable
class EventLog(Protocol):
    """The controller's own log (SEL)."""

    def events(self, deadline: Deadline) -> Sequence[LogEvent]:
        """Oldest first. Raises: AdapterError."""
        ...


@runtime_checkable
class Watchdog(Protocol):
    """Would the controller reset the host while it dumps?"""

    def watchdog(self, deadline: Deadline) -> WatchdogState:
        """Raises: AdapterError."""
        ...


@runtime_checkable
class EventLogRoom(Protocol):
    """Would the event log take one more record?"""

    def event_log_room(self, deadline: Deadline) -> LogRoom:
        """Raises: AdapterError."""
        ...


@runtime_checkable
class Clock(Protocol):
    """The controller's own clock, by which it dates its events."""

    def clock(self, deadline: Deadline) -> datetime | None:
        """Now, by the controller; None when its clock was never set. Raises: AdapterError."""
        ...


@runtime_checkable
class NmiOffer(Protocol):
    """Does the controller say that it can send an NMI? Some that can say no."""

    def offers_nmi(self, deadline: Deadline) -> bool:
        """Raises: AdapterError."""
        ...


@runtime_checkable
class NmiReaction(Protocol):
    """What the controller does by itself when an NMI is logged."""

    def nmi_reactions(self, deadline: Deadline) -> Sequence[str]:
        """What would end a dump: `reset`, `power off`, ...; none is best. Raises: AdapterError."""
        ...


@runtime_checkable
class Privilege(Protocol):
    """What our account may do."""

    def privilege(self, deadline: Deadline) -> str:
        """`user`, `operator`, `administrator`, or the maker's own word. Raises: AdapterError."""
        ...


@runtime_checkable
class PowerRestore(Protocol):
    """What the host does when its power comes back."""

    def power_restore(self, deadline: Deadline) -> str:
        """`stays off`, `as it was`, `powers on` or `unknown`. Raises: AdapterError."""
        ...


@runtime_checkable
class StopSensors(Protocol):
    """What the controller's discrete sensors say of the operating system."""

    def stop_sensors(self, deadline: Deadline) -> Sequence[StopSensor]:
        """Only sensors with at least one asserted state. Raises: AdapterError."""
        ...


@runtime_checkable
class Screen(Protocol):
    """What a person would see on the monitor."""

    def screenshot(self, deadline: Deadline) -> bytes:
        """A PNG. Raises: AdapterError."""
        ...


@runtime_checkable
class GuestView(Protocol):
    """How a virtual machine looks from its hypervisor."""

    def guest(self, deadline: Deadline) -> GuestState:
        """Raises: AdapterError."""
        ...


@runtime_checkable
class HostView(Protocol):
    """How a host looks from the vCenter that manages it: from elsewhere than from here."""

    def host_state(self, deadline: Deadline) -> HostState:
        """Raises: AdapterError."""
        ...


@runtime_checkable
class SupportBundle(Protocol):
    """Have the host's logs packed by the server that manages it. Only `run/bundle.py` may ask for it."""

    def make_bundle(self, deadline: Deadline) -> str:
        """Have one made, which writes a file on the server, and return where it lies there.

        Raises:
            DeadlineError: it is not ready; it may become so.
            ForbiddenError: the account lacks a privilege, which is named.
            AdapterError: it could not be made.
        """
        ...

    def read_bundle(self, place: str, offset: int, stall: float) -> Iterator[bytes]:
        """Yield the bytes of a bundle that was made, from `offset` to its end.

        Args:
            place: what `make_bundle` returned.
            offset: first byte wanted.
            stall: seconds without a single byte after which `DeadlineError` is raised.

        Raises:
            DeadlineError: the server fell silent.
            FileNotFoundError: the server does not keep it any more.
            AdapterError: the connection failed, or it is no bundle.
        """
        ...


@runtime_checkable
class Shell(Protocol):
    """Run a command on the host."""

    def run(self, command: str, deadline: Deadline, *, limit: int = 16 * 1024 * 1024) -> CommandResult:
        """Run `command` in the login shell; keep at most `limit` bytes of each stream.

        Raises:
            DeadlineError: the command, or the host, did not end in time.
            AdapterError: the connection failed.
        """
        ...


@runtime_checkable
class CommandStream(Protocol):
    """Run a command whose output is too large to be held in memory."""

    def stream(self, command: str, stall: float) -> Iterator[bytes]:
        """Yield what `command` writes, as it comes.

        Args:
            command: for the login shell.
            stall: seconds without a single byte after which `DeadlineError` is raised.

        Raises:
            DeadlineError: the command, or the host, fell silent.
            PeerFailedError: the command ended with another exit status than 0; its output came before that.
            AdapterError: the connection failed.
        """
        ...


@runtime_checkable
class PowerShell(Protocol):
    """Run Windows PowerShell on the host."""

    def powershell(
        self,
        script: str,
        deadline: Deadline,
        *,
        arguments: Mapping[str, str] = MappingProxyType({}),
        limit: int = 16 * 1024 * 1024,
    ) -> CommandResult:
        """Run `script`, of any length, on Windows PowerShell 5.1 or later, without a profile.

        Args:
            script: read by the shell as it is; nothing from outside may be pasted into it.
            deadline: when to give up, whatever the host does.
            arguments: the script finds them as text in `$Arguments.NAME`.
            limit: bytes of each stream that are kept.

        Returns:
            What the script wrote, as UTF-8. The exit status is the script's own, 1 after an error that it
            did not catch; then `stderr` is the message as people read it, without CLIXML.

        Raises:
            DeadlineError: the script, or the host, did not end in time.
            AdapterError: the connection failed.
        """
        ...


@runtime_checkable
class Files(Protocol):
    """Read files on the host. Names that come back are the remote side's: hostile until proven.

    Paths are absolute and use `/`. On Windows the drive is the first folder, `/C:/Windows/MEMORY.DMP`, as
    in the SFTP of its OpenSSH.
    """

    def list(self, folder: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Direct children, unsorted. An absent folder raises `FileNotFoundError`. Raises: AdapterError."""
        ...

    def stat(self, path: str, deadline: Deadline) -> RemoteFile:
        """An absent path raises `FileNotFoundError`. Raises: AdapterError."""
        ...

    def read(self, path: str, offset: int, stall: float) -> Iterator[Chunk]:
        """Yield the file's bytes in order from `offset` to its end.

        Args:
            path: the file.
            offset: first byte wanted.
            stall: seconds without a single byte after which `DeadlineError` is raised.

        Raises:
            DeadlineError: the peer fell silent.
            FileNotFoundError: there is no such file.
            AdapterError: the connection failed.
        """
        ...


@runtime_checkable
class SlowFiles(Files, Protocol):
    """`Files` for want of a better channel: everything else is tried first."""

    def slowness(self) -> str:
        """How slow, in one sentence that a person reads before a large file is copied."""
        ...


@runtime_checkable
class Notices(Protocol):
    """Things a person must be told of a connection, such as a host key that nobody verified."""

    @property
    def notices(self) -> tuple[str, ...]:
        """One sentence each; known once the adapter is entered."""
        ...
