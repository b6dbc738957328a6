"""The machine: processors that are busy, requests and adapters that do not come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from collector.triage.model import Thread
from collector.triage.modules import stem
from collector.triage.patterns.catalog import Finding, View, pattern, seen
from collector.triage.suspects import Suspect

_BUSY = 10.0
_MANY_REQUESTS = 10
_DOMINATES = 0.6
_ENDS_THE_SYSTEM = ("KeBugCheck", "KiProcessNMI", "HalHandleNMI", "KiBugCheck", "WheaReportHwError")
_NDIS = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-ndiskd-miniport"
_RUNNING = "https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-running"


@pattern(
    "spiking_thread",
    title="Spiking thread",
    meaning="A thread was running, and has used much processor time.",
    remedy="Take several dumps in a row, or a trace, and see whether it is always the same code.",
    source=_RUNNING,
)
def spiking(view: View) -> Iterator[Finding]:
    """A running thread with ten seconds or more, that is neither idle nor the one that ended the system."""
    running = [one for one in view.threads if one.state == "RUNNING" and _time(one) >= _BUSY and _works(one)]
    for one in running:
        words = (
            f"a running thread of {one.image or 'a process'} has used {_time(one):.0f} s of processor time"
        )
        suspect = Suspect("process", process=one.image, thread=one.address, line=one.line)
        yield from seen("spiking_thread", words, [one.line], suspect=suspect, cpu_s=round(_time(one), 3))


def _time(thread: Thread) -> float:
    return (thread.user_seconds or 0.0) + (thread.kernel_seconds or 0.0)


def _works(thread: Thread) -> bool:
    frames = thread.stack.frames if thread.stack else ()
    if stem(thread.image) == "idle" or any(frame.function == "KiIdleLoop" for frame in frames):
        return False
    return not any(frame.function.startswith(_ENDS_THE_SYSTEM) for frame in frames)


@pattern(
    "busy_system",
    title="Busy system",
    meaning="No processor was idle.",
    remedy="Look at what each of them runs (`!running -ti`), and at the threads that are ready (`!ready`).",
    source=_RUNNING,
)
def busy(view: View) -> Iterator[Finding]:
    """The mask of idle processors of `!running` is empty, or every processor runs a thread of its own."""
    log = view.log
    told = [one for one in log.processors if one.idle is not None]
    all_busy = len(told) > 1 and not any(one.idle for one in told)
    if log.idle_processors == 0:
        yield from seen("busy_system", "no processor was idle", [log.idle_processors_line])
    elif log.idle_processors is None and all_busy:
        yield from seen("busy_system", "no processor was idle", [one.line for one in told])


@pattern(
    "irp_distribution_anomaly",
    title="Requests pile up at one driver",
    meaning="Most of the unfinished I/O requests are with one driver.",
    remedy="Look at that driver's device and queue: `!devstack`, `!storunit`.",
    source="https://learn.microsoft.com/windows-hardware/drivers/debuggercmds/-irpfind",
)
def irps(view: View) -> Iterator[Finding]:
    """Ten unfinished requests or more, most of them at one driver."""
    at = [
        (spot.driver, irp.line)
        for irp in view.log.irps
        for spot in irp.locations
        if spot.current and spot.driver
    ]
    if len(at) < _MANY_REQUESTS:
        return
    driver, count = Counter(name for name, _ in at).most_common(1)[0]
    if count >= _DOMINATES * len(at):
        words = f"{count} of {len(at)} I/O requests are with {driver}"
        name = driver.rsplit("\\", 1)[-1]
        first = next(line for where, line in at if where == driver)
        suspect = Suspect("driver", module=name, line=first) if view.modules.is_foreign(name) else None
        lines = [line for where, line in at if where == driver]
        yield from seen("irp_distribution_anomaly", words, lines, suspect=suspect, driver=driver, irps=count)


@pattern(
    "nic_miniport_resetting",
    title="Network adapter in a reset that does not end",
    meaning="A network adapter is being reset; all that asks it for anything waits.",
    remedy="Update the adapter's driver and firmware; switching offloads such as VMQ off may help meanwhile.",
    source=_NDIS,
)
def resetting(view: View) -> Iterator[Finding]:
    """RESET_IN_PROGRESS among a miniport's flags, or in its state."""
    for one in view.log.miniports:
        states = [key for key, text in one.fields.items() if "RESET" in text.upper() and text.strip() != "0"]
        if any("RESET" in flag.upper() for flag in one.flags) or any(key != "Resets" for key in states):
            lines = [one.line, *(one.field_lines.get(key) for key in states)]
            words = f"{one.name or f'{one.address:x}'} is in a reset"
            yield from seen(
                "nic_miniport_resetting", words, lines, miniport=one.name, miniport_addr=f"{one.address:x}"
            )


@pattern(
    "pending_oid",
    title="Request to a network adapter pending",
    meaning="The adapter's driver has not answered a request; NDIS sends it no other until it does.",
    remedy="Give the request's name and the driver's stack to the maker of the adapter.",
    source=_NDIS,
)
def pending_oid(view: View) -> Iterator[Finding]:
    """A miniport with a pending OID, or a request that is not completed."""
    ports = [
        (one.pending_oid, one.field_lines.get("Pending OID", one.line))
        for one in view.log.miniports
        if one.pending_oid
    ]
    requests = [(one.name, one.line) for one in view.log.oid_requests if one.completed is False]
    found = ports + requests
    if found:
        lines = [line for _, line in found]
        yield from seen("pending_oid", f"{found[0][0]} is not answered", lines, oid=found[0][0])
