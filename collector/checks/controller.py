"""Can the NMI be sent, would the controller's timer end the dump, and can the dump be fetched?"""

from __future__ import annotations

from dataclasses import replace

from collector.adapters.answers import HA_RESET, PowerState, WatchdogState
from collector.checks.family import Family, family
from collector.checks.kdump_config import Kind, config
from collector.checks.linux_target import dump_estimate, no_config
from collector.checks.rule import bad, good, told, unknown
from collector.model.audit import DumpEstimate
from collector.model.fact import Facts, number, value
from collector.model.verdict import Level, Verdict

STOP_HA = (
    "In the cluster: Configure > VM Overrides > Add this machine, VM Monitoring: Disabled. Take the override "
    "out again when the dump is home."
)
_DUMP_SECONDS = 1800.0  # half an hour, where nothing is known of the host's memory


def power(state: PowerState) -> Verdict:
    """CT-2: a host without power cannot take an NMI."""
    if state is PowerState.ON:
        return good("CT-2", "the controller says the host is on")
    if state is PowerState.OFF:
        return bad("CT-2", "the host is powered off: an NMI does nothing")
    return Verdict("CT-2", Level.UNKNOWN, "the controller does not say whether the host is on")


def watchdog(state: WatchdogState, dump_seconds: float) -> Verdict:
    """WD-1: a running watchdog timer that nobody feeds resets the host in the middle of its dump.

    Args:
        state: the controller's timer (IPMI 2.0 section 27, Get Watchdog Timer).
        dump_seconds: how long the dump may take, at most.
    """
    if not state.running or state.action == "none":
        return good("WD-1", "no watchdog timer of the controller would reset the host")
    left = state.present_s if state.present_s is not None else state.initial_s
    when = f"in {left:.0f} s" if left is not None else "soon"
    if left is not None and left > dump_seconds:
        return good("WD-1", f"the watchdog's {state.action} comes only {when}")
    if state.action == HA_RESET:
        return _ha_resets(left)
    return bad(
        "WD-1",
        f"the controller's watchdog timer is running and will do a {state.action} {when}, "
        "before the dump is written",
    )


def _ha_resets(seconds: float | None) -> Verdict:
    """No VMware Tools run while a dump is written, and its writer may pause without any I/O."""
    silence = f"{seconds:.0f} s" if seconds is not None else "a while"
    found = bad(
        "WD-1",
        f"vSphere HA resets this machine after {silence} without a heartbeat and without I/O, "
        "which may come before the dump is written",
    )
    return replace(found, remedy=STOP_HA)


def can_interrupt(facts: Facts) -> Verdict | None:
    """CT-1."""
    if value(facts, "nmi_controller") is not None:
        return good("CT-1", f"logged in to {value(facts, 'nmi_controller')}, which can send an NMI")
    fact = facts.get("nmi_controller")
    if fact is not None and fact.missing == "nobody to ask":
        return bad("CT-1", "none of the host's controllers can send an NMI")
    return unknown("CT-1", facts, "nmi_controller")


def is_on(facts: Facts) -> Verdict | None:
    """CT-2, from what was gathered."""
    state = value(facts, "power")
    return unknown("CT-2", facts, "power") if state is None else power(PowerState(state))


def watchdog_timer(facts: Facts) -> Verdict | None:
    """WD-1, from what was gathered of a Linux host."""
    return timer(facts, dump_estimate(facts))


def timer(facts: Facts, size: DumpEstimate | None) -> Verdict | None:
    """WD-1 for a dump of that size: the timer may just have been fed, so the whole countdown counts."""
    action = told("WD-1", facts, "watchdog_action")
    if not isinstance(action, str):
        return action
    state = WatchdogState(
        running=value(facts, "watchdog_running") == "yes",
        action=action,
        initial_s=number(facts, "watchdog_initial_s"),
        present_s=None,
    )
    return watchdog(state, size.seconds if size else _DUMP_SECONDS)


def channel_answers(facts: Facts) -> Verdict | None:
    """CH-1."""
    if value(facts, "channel") is not None:
        return good("CH-1", f"logged in over {value(facts, 'channel')}")
    fact = facts.get("channel")
    if fact is not None and fact.missing == "nobody to ask":
        return bad("CH-1", "the settings name no channel into the host that can read its files")
    return unknown("CH-1", facts, "channel")


def may_read_dumps(facts: Facts) -> Verdict | None:
    """CH-2: kdump of RHEL and SUSE writes dumps with mode 0600, Debian's with 0644."""
    user = value(facts, "user")
    if user is None:
        return unknown("CH-2", facts, "user")
    if user == "0":
        return good("CH-2", "the account is root")
    if family(facts) is Family.DEBIAN:
        return good("CH-2", "kdump-tools writes dumps that every account may read")
    return bad("CH-2", f"the account (uid {user}) is not root, and dumps are readable for root only")


def stays_on_host(facts: Facts) -> Verdict | None:
    """CH-3."""
    found = config(facts)
    if found is None:
        return no_config("CH-3", facts)
    if found.target.kind is Kind.LOCAL:
        return good("CH-3", "the dump stays on the host, and is fetched from there")
    return bad("CH-3", f"the dump goes to {found.target.device} ({found.target.kind}): fetch it there")
