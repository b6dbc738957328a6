"""Which adapters there are, and the connections of one run.

Adapters are found by entry points (`hang_collector.controllers`, `hang_collector.channels`), so a new one
is one file and one line in somebody's pyproject.toml.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from collector.adapters.base import Adapter, Notices
from collector.adapters.limits import Deadline, DirectoryBrake, LoginBrake
from collector.errors import (
    AdapterError,
    DeadlineError,
    HostKeyError,
    InventoryError,
    LoginRefusedError,
    UnreachableError,
)
from collector.model.host import Credential, Endpoint, Host

C = TypeVar("C")


@functools.cache
def controllers() -> Mapping[str, type[Adapter]]:
    """Adapters that reach a host from outside, by the `type` that the settings file names them with."""
    return _load("hang_collector.controllers")


@functools.cache
def channels() -> Mapping[str, type[Adapter]]:
    """Adapters that lead into a host, by `type`."""
    return _load("hang_collector.channels")


def controller_settings() -> Mapping[str, type[Endpoint]]:
    """The endpoint model of each controller type, for the settings loader."""
    return {name: adapter.settings for name, adapter in controllers().items()}


def channel_settings() -> Mapping[str, type[Endpoint]]:
    """The endpoint model of each channel type, for the settings loader."""
    return {name: adapter.settings for name, adapter in channels().items()}


def _load(group: str) -> Mapping[str, type[Adapter]]:
    return {point.name: point.load() for point in sorted(entry_points(group=group), key=lambda p: p.name)}


class Connections:
    """Opens adapters for one run: names the host in errors, limits sessions, and brakes refused logins.

    Args:
        credentials: by the name that endpoints give.
        notify: is told, once, what a person must know of a connection.
    """

    def __init__(self, credentials: Mapping[str, Credential], notify: Callable[[str], None]) -> None:
        self._credentials = credentials
        self._notify = notify
        self._notified: set[str] = set()
        self._brake = LoginBrake()
        self._directory = DirectoryBrake()
        self._given_up: dict[str, AdapterError] = {}
        self._silent: set[str] = set()
        self._turns: dict[str, threading.Lock] = {}
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self, host: Host, endpoint: Endpoint, capability: type[C], deadline: Deadline) -> Iterator[C]:
        """Log in to `endpoint` and yield the adapter, which has `capability`, until the block ends.

        Raises:
            LoginRefusedError: refused now, or earlier in this run (then without asking the peer again).
            NotTriedError: other hosts have refused this account, and a directory would lock it.
            AdapterError: the peer could not be reached or asked, or was given up; `host` is filled in.
        """
        adapter_type = _adapter(endpoint, capability)
        if adapter_type is None:
            raise InventoryError(
                f"no installed adapter for {endpoint.type!r} has the capability {capability.__name__}",
                hint=f"Installed: {', '.join(sorted({*controllers(), *channels()}))}.",
                host=host.name,
            )
        credential = self._credentials.get(endpoint.credential) if endpoint.credential else None
        with _naming(host), self._slot(endpoint, deadline):
            self._refuse_if_given_up(endpoint)
            with self._turn(endpoint, deadline):
                for peer in (endpoint.identity, endpoint.accounts):
                    self._brake.check(peer, endpoint.credential)
                try:
                    with self._directory.attempt(credential, host.name, deadline):
                        adapter = adapter_type(endpoint, credential, deadline).__enter__()
                except LoginRefusedError as refusal:
                    judged = not isinstance(refusal, HostKeyError)
                    peer = endpoint.accounts if judged else endpoint.identity
                    self._brake.pull(peer, endpoint.credential, refusal)
                    raise
                except (DeadlineError, UnreachableError):
                    self._silent.add(endpoint.identity)
                    raise
                self._silent.discard(endpoint.identity)
            with contextlib.ExitStack() as stack:
                stack.push(adapter.__exit__)
                self._tell(adapter)
                assert isinstance(adapter, capability)
                yield adapter

    def give_up(self, identity: str, reason: AdapterError) -> None:
        """Ask the endpoint of this identity no more in this run; whoever tries is told `reason` at once."""
        self._given_up[identity] = reason

    def able(self, endpoints: tuple[Endpoint, ...], capability: type[object]) -> list[Endpoint]:
        """Those of `endpoints` whose adapter has `capability`, in the user's order of preference.

        Those whose last login found nobody come last: a silent one must not cost the others their time again.
        """
        able = [endpoint for endpoint in endpoints if _adapter(endpoint, capability)]
        return sorted(able, key=lambda endpoint: endpoint.identity in self._silent)

    def in_turn(
        self, endpoints: tuple[Endpoint, ...], capability: type[object], deadline: Deadline
    ) -> Iterator[tuple[Endpoint, Deadline]]:
        """Those that are `able`, for a caller who asks one after the other, each with the end of its login.

        A login gets its share of what is left until `deadline`: if it is silent, the others need the rest.
        """
        able = self.able(endpoints, capability)
        for left, endpoint in zip(range(len(able), 0, -1), able, strict=True):
            yield endpoint, deadline.within(deadline.remaining() / left)

    def _refuse_if_given_up(self, endpoint: Endpoint) -> None:
        reason = self._given_up.get(endpoint.identity)
        if reason is not None:
            raise type(reason)(reason.message, hint=reason.hint)

    def _tell(self, adapter: Adapter) -> None:
        for notice in adapter.notices if isinstance(adapter, Notices) else ():
            if notice not in self._notified:
                self._notified.add(notice)
                self._notify(notice)

    @contextlib.contextmanager
    def _slot(self, endpoint: Endpoint, deadline: Deadline) -> Iterator[None]:
        with self._lock:
            slot = self._slots.setdefault(endpoint.identity, threading.BoundedSemaphore(endpoint.sessions))
        if not slot.acquire(timeout=deadline.remaining()):
            raise AdapterError(
                f"{endpoint.sessions} sessions to {endpoint.identity} are in use; none came free in time",
                hint="Run fewer hosts behind this endpoint at once, or give the step a longer deadline.",
            )
        try:
            yield
        finally:
            slot.release()

    @contextlib.contextmanager
    def _turn(self, endpoint: Endpoint, deadline: Deadline) -> Iterator[None]:
        """One login to the same accounts at a time: the brake must know of a refusal before the next one."""
        with self._lock:
            turn = self._turns.setdefault(endpoint.accounts, threading.Lock())
        if not turn.acquire(timeout=deadline.remaining()):
            raise DeadlineError(
                f"another login to {endpoint.accounts} was under way until the deadline",
                hint="It accepts connections and does not answer; look at it by hand.",
            )
        try:
            yield
        finally:
            turn.release()


def _adapter(endpoint: Endpoint, capability: type[object]) -> type[Adapter] | None:
    """The adapter that is configured with this endpoint's model and has `capability`."""
    for adapter in (*controllers().values(), *channels().values()):
        if adapter.settings is type(endpoint) and issubclass(adapter, capability):
            return adapter
    return None


@contextlib.contextmanager
def _naming(host: Host) -> Iterator[None]:
    """Adapters know endpoints, people know hosts: fill the host's name into errors on their way up."""
    try:
        yield
    except AdapterError as error:
        error.host = error.host or host.name
        raise
