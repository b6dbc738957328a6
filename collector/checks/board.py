"""What a controller says besides: may we interrupt, would it end the dump itself, does its log help us?"""

from __future__ import annotations

from collector.checks.rule import bad, good, told, unknown
from collector.model.fact import Facts, number, value
from collector.model.verdict import Verdict

_ENOUGH = ("operator", "administrator", "oem")
_RECORD = 16  # bytes of one event, IPMI 2.0 section 32.1
_RECORDS = 10  # what an incident writes, with some to spare
_CLOCK_SLACK = 60.0
_ZONE_STEP, _ZONE_MAX = 900.0, 14 * 3600.0  # seconds: time zones differ by quarters of an hour


def offers_nmi(facts: Facts) -> Verdict | None:
    """CT-3: some BMCs say no and can, so that this only informs."""
    offered = told("CT-3", facts, "nmi_offered")
    if not isinstance(offered, str):
        return offered
    if offered == "yes":
        return good("CT-3", "the chassis says that it provides the diagnostic interrupt")
    return good(
        "CT-3", "the chassis says that it has no diagnostic interrupt; some say so and have: try a drill"
    )


def may_interrupt(facts: Facts) -> Verdict | None:
    """CT-4: Chassis Control needs the level operator (IPMI 2.0, appendix G)."""
    level = told("CT-4", facts, "privilege")
    if not isinstance(level, str):
        return level
    if level in _ENOUGH:
        return good("CT-4", f"the account's session has the level {level}")
    return bad("CT-4", f"the account's session has the level {level}: an NMI needs operator")


def log_takes_more(facts: Facts) -> Verdict | None:
    """CT-5."""
    free = told("CT-5", facts, "log_free_bytes")
    if not isinstance(free, str):
        return free
    size = number(facts, "log_free_bytes")
    lost = ", and events were lost already" if value(facts, "log_overflow") == "yes" else ""
    if free == "unlimited":
        return good("CT-5", f"the event log has room for thousands of records{lost}")
    if size is None:
        return unknown("CT-5", facts, "log_free_bytes")
    text = f"the event log has room for {size // _RECORD:.0f} records{lost}"
    return good("CT-5", text) if size >= _RECORD * _RECORDS else bad("CT-5", text)


def clock(facts: Facts) -> Verdict | None:
    """CT-6: the event log knows no time zone, so whole quarters of an hour may be one."""
    ahead = told("CT-6", facts, "clock_ahead_s")
    if not isinstance(ahead, str):
        return ahead
    if ahead == "not set":
        return bad("CT-6", "the controller's clock was never set: its events have no date")
    seconds = number(facts, "clock_ahead_s")
    if seconds is None:
        return unknown("CT-6", facts, "clock_ahead_s")
    off = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours"
    if abs(seconds) <= _CLOCK_SLACK:
        return good("CT-6", f"the controller's clock is {off}")
    if abs(seconds) <= _ZONE_MAX and abs(seconds - round(seconds / _ZONE_STEP) * _ZONE_STEP) <= _CLOCK_SLACK:
        return good("CT-6", f"the controller's clock is {off}, as in another time zone")
    return bad("CT-6", f"the controller's clock is {off}")


def ends_the_dump(facts: Facts) -> Verdict | None:
    """NMI-13: what can be read of it; an option of the BIOS cannot."""
    reactions = told("NMI-13", facts, "nmi_reactions")
    if not isinstance(reactions, str):
        return reactions
    if reactions == "none":
        return good(
            "NMI-13", "no event filter of the controller acts on an NMI; the BIOS may: a drill shows it"
        )
    return bad("NMI-13", f"an event filter of the controller answers an NMI with: {reactions}")


def power_restore(facts: Facts) -> Verdict | None:
    """PW-1."""
    policy = told("PW-1", facts, "power_restore")
    return policy if not isinstance(policy, str) else good("PW-1", f"after a power cut the host: {policy}")
