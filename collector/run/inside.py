"""The ways into one host: its channels, each opened once and only when something needs it.

Which question is asked how depends on what runs there: a Linux or ESXi host is asked by its login shell, a
Windows host by PowerShell. Where files come over another channel than commands, both stay open side by side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from collector.adapters.answers import CommandResult
from collector.adapters.base import CommandStream, Files, PowerShell, Shell, SlowFiles
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.errors import CollectorError, InventoryError, LoginRefusedError
from collector.facts import esxi, linux, linux_script, windows
from collector.model.fact import Facts
from collector.model.host import Endpoint, Host, Platform

C = TypeVar("C")

_LOGIN = 60.0
"""Seconds that one login may take."""

Gather = Callable[[Any, str, Deadline], Facts]
"""Asks through an adapter of the platform's capability; the text names the channel in each fact."""


@dataclass(frozen=True, slots=True)
class Language:
    """How the hosts of one platform are asked.

    `few` are the facts that a run needs of a host that is barely alive, `all` those of an audit, by `names`.
    `dumps` are patterns of paths where the host says, in its facts, that its dumps go. `while_down` is what
    a person must know as long as a host that was sent an NMI is down. `in_slot` says of a dump that the host
    has and that is no file yet. `ignores` is the setting by which its kernel takes no notice of an NMI.
    """

    capability: type[object]
    few: Gather
    all: Gather
    names: frozenset[str]
    dumps: Callable[[Facts], tuple[str, ...]] = lambda facts: ()
    ignores: str = ""
    while_down: str = ""
    in_slot: Callable[[Facts], str] = lambda facts: ""


LANGUAGES: Mapping[Platform, Language] = {
    Platform.LINUX: Language(
        Shell, linux.gather, linux.gather_all, linux_script.NAMES, ignores="kernel.unknown_nmi_panic=0"
    ),
    Platform.WINDOWS: Language(
        PowerShell, windows.gather, windows.gather_all, windows.NAMES, windows.dump_patterns
    ),
    Platform.ESXI: Language(
        Shell,
        esxi.gather,
        esxi.gather_all,
        esxi.NAMES,
        ignores="Misc.NMILint1IntAction=3",
        while_down=esxi.PURPLE_SCREEN,
        in_slot=esxi.still_in_slot,
    ),
}


class Inside:
    """Context manager over the channels of one host; what it opened, it closes.

    Args:
        host: the host.
        connections: of this run.
        files_over: types of the channels that the playbook names. Files of any other are not looked at: a
            datastore's would be taken for the guest's, and its silence for the proof that there is no dump.
        deadline: when all of it must end; a login gets a minute of it at most.
    """

    def __init__(
        self, host: Host, connections: Connections, files_over: Sequence[str], deadline: Deadline
    ) -> None:
        self._host = host
        self._files_over = files_over
        self._connections = connections
        self._deadline = deadline
        self._stack = contextlib.ExitStack()
        self._adapters: dict[str, object] = {}
        self._failures: dict[str, CollectorError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def files(self) -> Files:
        """The best channel to files that lets us in.

        Raises:
            InventoryError: the host has none.
            CollectorError: why the first of them could not be opened; none of the others could be either.
        """
        return self._open(Files)[1]

    def facts(self) -> Facts:
        """The few facts of a run.

        Raises:
            CollectorError: as of `files`; or the host was asked and did not say.
        """
        language = LANGUAGES[self._host.platform]
        endpoint, adapter = self._open(language.capability)
        return language.few(adapter, endpoint.type, self._deadline)

    def command(self, text: str, deadline: Deadline, *, limit: int) -> CommandResult:
        """Run `text`, which a playbook gives, in the platform's language.

        Raises:
            CollectorError: as of `files`; or the channel failed.
        """
        _, adapter = self._open(LANGUAGES[self._host.platform].capability)
        if isinstance(adapter, PowerShell):
            return adapter.powershell(text, deadline, limit=limit)
        assert isinstance(adapter, Shell)
        return adapter.run(text, deadline, limit=limit)

    def all_facts(self, deadline: Deadline) -> Facts:
        """All that an audit asks; raises as `facts`."""
        language = LANGUAGES[self._host.platform]
        endpoint, adapter = self._open(language.capability)
        return language.all(adapter, endpoint.type, deadline)

    def powershell(self) -> PowerShell:
        """The channel for scripts of our own; raises as `files`."""
        return self._open(PowerShell)[1]

    def _open(self, capability: type[C]) -> tuple[Endpoint, C]:
        types = self._files_over if capability is Files else None
        endpoints = ways(self._host, self._connections, capability, types)
        for endpoint in endpoints:
            adapter = self._adapter(endpoint, capability)
            if adapter is not None:
                return endpoint, adapter
        failures = [self._failures[_key(endpoint, capability)] for endpoint in endpoints]
        # A refusal is final, anything else may pass: whoever waits must not give up for the refusal's sake.
        raise next((f for f in failures if not isinstance(f, LoginRefusedError)), failures[0])

    def _adapter(self, endpoint: Endpoint, capability: type[C]) -> C | None:
        """The adapter of this endpoint, opened now or before; None when it could not be."""
        held = self._adapters.get(endpoint.identity)
        if isinstance(held, capability):
            return held
        key = _key(endpoint, capability)
        if key in self._failures:
            return None
        login = self._deadline.within(_LOGIN)
        opening = self._connections.open(self._host, endpoint, capability, login)
        try:
            adapter = self._stack.enter_context(opening)
        except CollectorError as error:
            self._failures[key] = error
            return None
        self._adapters[endpoint.identity] = adapter
        return adapter


def ways(
    host: Host, connections: Connections, capability: type[object], types: Sequence[str] | None = None
) -> list[Endpoint]:
    """The host's channels with `capability`, in the user's order; those that are slow at files come last.

    With `types`, only channels of these.

    Raises:
        InventoryError: there is none.
    """
    able = connections.able(host.channels, capability)
    endpoints = [endpoint for endpoint in able if types is None or endpoint.type in types]
    if not endpoints:
        raise InventoryError(
            f"the host has no channel that can {_WORDS.get(capability, f'serve {capability.__name__}')}",
            hint="Add one under `channels` in the settings file.",
            host=host.name,
        )
    slow = connections.able(host.channels, SlowFiles) if capability is Files else []
    return sorted(endpoints, key=lambda endpoint: endpoint in slow)


_WORDS: Mapping[type[object], str] = {
    CommandStream: "stream the output of a command",
    Files: "copy files",
    Shell: "run commands",
    PowerShell: "run PowerShell",
}


def _key(endpoint: Endpoint, capability: type[object]) -> str:
    return f"{endpoint.identity} {capability.__name__}"
