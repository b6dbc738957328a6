"""A dump of a Windows host's kernel, and of one process of it, while it goes on running.

For a Hyper-V host whose management service (VMMS) is stuck: an NMI would take all of its machines down, and a
look at vmms.exe and at the kernel tells as much. The work is done on the host by Sysinternals' ProcDump and
LiveKd, which the operator has downloaded, or from Windows Server 2016 on by Windows itself.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import RemoteFile, SnapshotPrice
from collector.adapters.limits import Deadline
from collector.adapters.winrm import WinrmChannel, WinrmEndpoint
from collector.adapters.winrm_files import made_file
from collector.adapters.winrm_script import MAX_ERROR, answer_of, load
from collector.adapters.winrm_settings import WinrmSettings
from collector.errors import ConfigError, DeadlineError, InventoryError, PeerFailedError, UnsupportedError
from collector.model.host import Credential, Endpoint

TOOLS = ("procdump64.exe", "livekd64.exe")
"""What `tools` must hold (learn.microsoft.com/sysinternals)."""

OWN_WAY_BUILD = 14393
"""Build of Windows Server 2016, the first with Get-StorageDiagnosticInfo -IncludeLiveDump."""

_PIECE = 128 * 1024  # bytes of a tool in one message: twice in Base64, it stays below 500 KB
_PAUSE = 3.0  # seconds between two looks at a dump that is being written
_MARGIN = 1.5  # a kernel dump holds more than the pools and the cache: stacks, page tables, drivers
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")


class LiveDumpEndpoint(WinrmSettings):
    """A Windows host that is dumped over WinRM while it runs."""

    type: Literal["live-dump"] = Field(
        default="live-dump", description="A dump without a crash, made on the host over WinRM."
    )
    tools: Path | None = Field(
        default=None,
        description="Folder here with procdump64.exe and livekd64.exe; left out, Windows does it by itself.",
    )
    process: str = Field(
        default="vmms",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Process that is dumped too, without .exe; vmms is Hyper-V's management service.",
    )


class LiveDump:
    """Implements `Adapter`, `MemorySnapshot` and `Notices`; raises on entry as `WinrmChannel` does."""

    settings: ClassVar[type[Endpoint]] = LiveDumpEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, LiveDumpEndpoint)
        self._endpoint = endpoint
        shared = {name: getattr(endpoint, name) for name in WinrmSettings.model_fields if name != "type"}
        self._host = WinrmChannel(WinrmEndpoint(**shared), credential, deadline)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user must be told of this connection, such as a certificate that nobody verified."""
        return self._host.notices

    def __enter__(self) -> Self:
        self._host.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._host.__exit__(*exc)

    def snapshot_price(self, deadline: Deadline) -> SnapshotPrice:
        """From the sizes of the kernel's pools and cache, and of the process."""
        state = self._state("price", deadline)
        self._refuse_without_a_way(state)
        needed = int(_MARGIN * state["kernel"]) + state["process"]
        stands = f"{self._endpoint.process} stands still while it is dumped, and the kernel for moments"
        return SnapshotPrice(needed, state["free"], stands)

    def take_snapshot(self, name: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """Bring the tools there, start them once, and wait until they have ended."""
        state = self._state(name, deadline)
        if not state["started"]:
            self._refuse_without_a_way(state)
            self._ask("make_folder", name, deadline, also="")
            self._upload(name, deadline)
            self._ask("live_dump_start", name, deadline, tools="ours" if self._endpoint.tools else "windows")
            state = self._state(name, deadline)
        while state["running"]:
            if deadline.remaining() < _PAUSE:
                raise DeadlineError(
                    f"the dump was still being written after {deadline.seconds:g} s",
                    hint="Resume the case: it waits for this dump, and starts no other.",
                )
            time.sleep(_PAUSE)
            state = self._state(name, deadline)
        if not state["files"]:
            raise PeerFailedError(
                f"no dump was written: {state['words'][:MAX_ERROR] or 'the tools said nothing'}",
                hint="Run the tools on the host by hand; security software may have stopped them.",
            )
        return state["files"]  # type: ignore[no-any-return]

    def remove_snapshot(self, name: str, deadline: Deadline) -> None:
        """Remove the dumps, and the tools that were uploaded."""
        self._ask("remove_folder", name, deadline)

    def _upload(self, name: str, deadline: Deadline) -> None:
        for tool, data in _tools(self._endpoint.tools):
            for offset in range(0, len(data), _PIECE):
                piece = base64.b64encode(data[offset : offset + _PIECE]).decode()
                self._ask("live_dump_upload", name, deadline, tool=tool, offset=str(offset), data=piece)

    def _refuse_without_a_way(self, state: Mapping[str, Any]) -> None:
        if not state["found"]:
            raise PeerFailedError(
                f"no process {self._endpoint.process!r} runs there",
                hint="Correct `process` of this endpoint.",
            )
        for _ in _tools(self._endpoint.tools):
            pass  # each can be read, so that nothing is begun that cannot be ended
        if self._endpoint.tools is None and state["build"] < OWN_WAY_BUILD:
            raise UnsupportedError(
                f"Windows before Server 2016 (build {state['build']}) cannot dump itself while it runs",
                hint="Download ProcDump and LiveKd, and name their folder as `tools` of this endpoint.",
            )

    def _state(self, name: str, deadline: Deadline) -> dict[str, Any]:
        answer = self._ask("live_dump_state", name, deadline)
        try:
            numbers = ("build", "free", "kernel", "process", "found", "running")
            state: dict[str, Any] = {key: int(answer[key]) for key in numbers}
            state |= {"started": bool(answer["started"]), "words": str(answer["words"])}
            state["files"] = [made_file(row) for row in answer["files"]]
        except (KeyError, TypeError, ValueError) as error:
            raise PeerFailedError(
                "the host's answer about its live dump makes no sense",
                hint="Run Windows PowerShell on it by hand.",
            ) from error
        return state

    def _ask(self, script: str, name: str, deadline: Deadline, **arguments: str) -> dict[str, Any]:
        if not _NAME.fullmatch(name):
            raise InventoryError(f"{name!r} cannot name a folder on Windows", hint="Rename the host.")
        arguments |= {"name": name, "process": self._endpoint.process}
        result = self._host.powershell(load(script), deadline, arguments=arguments)
        if result.exit_status != 0:
            words = result.stderr.decode()[:MAX_ERROR] or "without a word"
            raise PeerFailedError(
                f"PowerShell failed on the host: {words}", hint="Run it there by hand, as the same user."
            )
        return answer_of(result.stdout)


def _tools(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    if folder is None:
        return
    for tool in TOOLS:
        try:
            yield tool, (folder / tool).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{folder / tool} cannot be read: {error.strerror}",
                hint="Download it from learn.microsoft.com/sysinternals into the folder `tools` names.",
            ) from error
