"""The audit of one host: read what can be read, judge it, and answer with one row whatever fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from collector.adapters.base import HostView, NmiInjector
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.checks import linux_target, windows_memory
from collector.checks.audit import chain, judge, weakest
from collector.errors import CollectorError
from collector.facts import controller as controllers
from collector.facts import store
from collector.model.audit import DumpEstimate, HostAudit, LinkVerdict
from collector.model.fact import Fact, Facts
from collector.model.host import Host, Platform
from collector.model.result import Outcome, StepResult
from collector.model.verdict import Level
from collector.run.beside import beside
from collector.run.inside import LANGUAGES
from collector.run.proof import last_nmi

_ESTIMATES: Mapping[Platform, Callable[[Facts], DumpEstimate | None]] = {
    Platform.LINUX: linux_target.dump_estimate,
    Platform.WINDOWS: windows_memory.dump_estimate,
    Platform.ESXI: lambda facts: None,  # what a core dump of ESXi leaves out is not documented
}
"""How large the dump would be, and how long it would take to write, by platform."""

Gathered = tuple[Facts, Sequence[StepResult]]
"""The facts of one side of the host, and how each attempt to get them ended."""


def audit(host: Host, connections: Connections, cases: Path, deadline: Deadline) -> HostAudit:
    """Ask the host and its controllers at the same time, and judge what they say.

    Changes nothing on the host. What it read is recorded under `cases`, for the night the host does not
    answer. Never raises `CollectorError`: a host that cannot be asked is a row of UNKNOWN.
    """
    outside = beside(lambda: _ask_controllers(host, connections, deadline))
    elsewhere = beside(lambda: _ask_vcenter(host, connections, deadline))
    inner, steps = _ask_host(host, connections, cases, deadline)
    outer, outer_steps = outside()
    seen, seen_steps = elsewhere()
    facts = {**outer, **seen, **inner, **last_nmi(cases, host)}
    verdicts = judge(host.platform, facts)
    links = chain(verdicts)
    decides = weakest(links)
    return HostAudit(
        host=host.name,
        platform=host.platform,
        time=datetime.now(UTC),
        level=decides.level,
        reason=_reason(decides, steps),
        links=links,
        verdicts=verdicts,
        estimate=_ESTIMATES[host.platform](facts),
        gathered=(*outer_steps, *seen_steps, *steps),
    )


def not_audited(host: Host, reason: str) -> HostAudit:
    """The row of a host whose audit did not end, or never began."""
    return HostAudit(host.name, host.platform, datetime.now(UTC), Level.UNKNOWN, f"not audited: {reason}")


def _reason(decides: LinkVerdict, asked: Sequence[StepResult]) -> str:
    """The weakest link and why; where the host itself could not be asked, that is why."""
    if decides.level is Level.OK:
        return "every link holds: an NMI would end in a dump"
    if decides.level is Level.UNKNOWN and asked and not any(s.outcome is Outcome.SUCCESS for s in asked):
        return f"{decides.link}: {asked[-1].step}: {asked[-1].detail}"
    return f"{decides.link}: {decides.reason}"


def _ask_controllers(host: Host, connections: Connections, deadline: Deadline) -> Gathered:
    """Log in to one controller after the other, until one answers that can send an NMI."""
    steps: list[StepResult] = []
    for endpoint, login in connections.in_turn(host.controllers, NmiInjector, deadline):
        started = time.monotonic()
        try:
            with connections.open(host, endpoint, NmiInjector, login) as controller:
                facts = controllers.gather(controller, endpoint.identity, deadline)
        except CollectorError as error:
            steps.append(_failed(endpoint.identity, error, started))
            continue
        steps.append(_succeeded(endpoint.identity, facts, started))
        return {**facts, **_login("nmi_controller", endpoint.identity)}, steps
    return _missing(controllers.NAMES, "nmi_controller", "the controller", steps), steps


def _ask_vcenter(host: Host, connections: Connections, deadline: Deadline) -> Gathered:
    """What the vCenter of an ESXi host knows; nothing where the settings name none."""
    steps: list[StepResult] = []
    for endpoint, login in connections.in_turn(host.controllers, HostView, deadline):
        started = time.monotonic()
        try:
            with connections.open(host, endpoint, HostView, login) as vcenter:
                facts = controllers.seen_by_vcenter(vcenter, endpoint.identity, deadline)
        except CollectorError as error:
            steps.append(_failed(endpoint.identity, error, started))
            continue
        steps.append(_succeeded(endpoint.identity, facts, started))
        return facts, steps
    return {}, steps


def _ask_host(host: Host, connections: Connections, cases: Path, deadline: Deadline) -> Gathered:
    """Log in over one channel after the other, until one gives facts; record them."""
    steps: list[StepResult] = []
    logins: dict[str, Fact] = {}
    language = LANGUAGES.get(host.platform)
    if language is None:
        reason = f"facts of {host.platform} hosts cannot be read yet"
        steps += [StepResult(channel.identity, Outcome.SKIPPED, reason) for channel in host.channels[:1]]
        return _missing((), "channel", "the host", steps), steps
    for endpoint, login in connections.in_turn(host.channels, language.capability, deadline):
        started = time.monotonic()
        try:
            with connections.open(host, endpoint, language.capability, login) as channel:
                logins = _login("channel", endpoint.identity)
                facts = language.all(channel, endpoint.type, deadline)
        except CollectorError as error:
            steps.append(_failed(endpoint.identity, error, started))
            continue
        steps.append(_succeeded(endpoint.identity, facts, started))
        steps += _record(cases, host, facts)
        return {**facts, **logins}, steps
    return {**_missing(language.names, "channel", "the host", steps), **logins}, steps


def _record(cases: Path, host: Host, facts: Facts) -> Sequence[StepResult]:
    try:
        store.record(cases, host.name, facts)
    except CollectorError as error:
        return [_failed("record", error, time.monotonic())]
    return []


def _login(name: str, identity: str) -> dict[str, Fact]:
    return {name: Fact(name, identity, identity, datetime.now(UTC))}


def _missing(names: Iterable[str], login: str, whom: str, steps: Sequence[StepResult]) -> Facts:
    """Facts that nobody gave; the one of the login says why, or that there was nobody to ask."""
    now = datetime.now(UTC)
    why = "; ".join(f"{step.step}: {step.detail}" for step in steps) or "nobody to ask"
    facts = {name: Fact(name, None, "", now, f"{whom} could not be asked") for name in names}
    return {**facts, login: Fact(login, None, "", now, why)}


def _failed(step: str, error: CollectorError, started: float) -> StepResult:
    return StepResult(step, Outcome.of(error), error.message, seconds=time.monotonic() - started)


def _succeeded(step: str, facts: Facts, started: float) -> StepResult:
    read = sum(fact.value is not None for fact in facts.values())
    return StepResult(
        step, Outcome.SUCCESS, f"{read} of {len(facts)} facts", seconds=time.monotonic() - started
    )
