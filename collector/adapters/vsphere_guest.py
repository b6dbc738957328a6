"""What the hypervisor knows of a virtual machine: state, screen and events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from pyVmomi import vim

from collector.adapters.answers import GuestState, LogEvent, PowerState
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_properties import read
from collector.adapters.vsphere_session import VsphereSession
from collector.adapters.vsphere_tasks import result_of
from collector.errors import PeerFailedError

_POWER = {"poweredOn": PowerState.ON, "poweredOff": PowerState.OFF}
_STATE = (
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.bootTime",
    "runtime.question",
    "runtime.host",
    "guestHeartbeatStatus",
    "guest.toolsRunningStatus",
)
_EVENTS = 200
_EVENTS_SINCE = timedelta(days=2)
_LARGEST_SCREEN = 16 * 1024 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
_OK = 200
_MAX_TEXT = 2000
_DEEPEST = 50


def guest_state(session: VsphereSession, vm: Any, deadline: Deadline) -> GuestState:  # noqa: ANN401
    """One read of the machine, and one of its host's name."""
    (values,) = read(session, [vm], _STATE, deadline)
    question = values.get("runtime.question")
    host = values.get("runtime.host")
    (about,) = read(session, [host], ["name"], deadline) if host is not None else ({},)
    return GuestState(
        power=_POWER.get(str(values.get("runtime.powerState")), PowerState.UNKNOWN),
        heartbeat=str(values.get("guestHeartbeatStatus", "unknown")),
        tools=str(values.get("guest.toolsRunningStatus", "unknown")),
        boot_time=as_utc(values.get("runtime.bootTime")),
        question=str(question.text)[:_MAX_TEXT] if question is not None else None,
        connection=str(values.get("runtime.connectionState", "unknown")),
        runs_on=str(about.get("name", "")),
    )


def power_state(session: VsphereSession, vm: Any, deadline: Deadline) -> PowerState:  # noqa: ANN401
    """A suspended machine is neither on nor off."""
    (values,) = read(session, [vm], ["runtime.powerState"], deadline)
    return _POWER.get(str(values.get("runtime.powerState")), PowerState.UNKNOWN)


def screenshot(session: VsphereSession, vm: Any, deadline: Deadline) -> bytes:  # noqa: ANN401
    """Let the server take a picture, wait for it, and fetch it from the datastore where it stays.

    Raises: AdapterError.
    """
    with session.asking(deadline):
        task = vm.CreateScreenshot_Task()
    where = str(result_of(session, task, "the screenshot", deadline))
    if not where.startswith("[") or "] " not in where:
        raise PeerFailedError(
            f"{session.where} says nothing of where the screenshot lies",
            hint="Look into the machine's folder.",
        )
    store, _, path = where[1:].partition("] ")
    url = folder_url(datacenter_path(session, vm, deadline), store, path)
    with session.files() as (https, headers):
        answer = https.ask("GET", url, deadline, headers=headers, limit=_LARGEST_SCREEN)
    if answer.status != _OK or not answer.body.startswith(_PNG):
        raise PeerFailedError(
            f"{session.where} took the screenshot {where!r}, and gave no PNG (HTTP status {answer.status})",
            hint="The account needs Datastore.Browse on that datastore; the file lies there.",
        )
    return answer.body


def folder_url(datacenter: str, store: str, path: str) -> str:
    """Path and query of a file of a datastore ("Datastore file access" of the web services guide)."""
    return f"/folder/{quote(path)}?dcPath={quote(datacenter, safe='')}&dsName={quote(store, safe='')}"


def datacenter_path(session: VsphereSession, entity: Any, deadline: Deadline) -> str:  # noqa: ANN401
    """The inventory path of the datacenter that an entity lies in, found by walking up.

    Raises: AdapterError.
    """
    names: list[str] = []
    for _ in range(_DEEPEST):
        (values,) = read(session, [entity], ["name", "parent"], deadline)
        above = values.get("parent")
        if above is None:
            break
        if names or isinstance(entity, vim.Datacenter):
            names.insert(0, str(values.get("name", "")))
        entity = above
    if not names:
        raise PeerFailedError(f"{session.where} shows no datacenter above it", hint="May the account see it?")
    return "/".join(names)


def events(session: VsphereSession, vm: Any, deadline: Deadline) -> Sequence[LogEvent]:  # noqa: ANN401
    """The newest events of the machine, of the last two days by the server's clock; oldest first.

    Raises: AdapterError.
    """
    with session.asking(deadline):
        now: datetime = vim.ServiceInstance("ServiceInstance", session.stub).CurrentTime()
        wanted = vim.event.EventFilterSpec(
            entity=vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self"),
            time=vim.event.EventFilterSpec.ByTime(beginTime=now - _EVENTS_SINCE),
        )
        collector = session.content.eventManager.CreateCollectorForEvents(wanted)
        collector.SetCollectorPageSize(_EVENTS)
    (values,) = read(session, [collector], ["latestPage"], deadline)
    with session.asking(deadline):
        collector.DestroyCollector()
    found = sorted(values.get("latestPage", []), key=lambda event: (event.createdTime, event.key))
    return [_event(each) for each in found]


def as_utc(when: datetime | None) -> datetime | None:
    """The same moment, in UTC; None where there is none."""
    return when.astimezone(UTC) if when is not None else None


def _event(event: Any) -> LogEvent:  # noqa: ANN401
    text = str(event.fullFormattedMessage or "")[:_MAX_TEXT]
    kind = type(event).__name__.rpartition(".")[2]
    return LogEvent(id=str(event.key), time=as_utc(event.createdTime), sensor=kind, text=text)
