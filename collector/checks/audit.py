"""From facts to the answer: each check's verdict, the chain they make, and its weakest link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collector.checks import (
    board,
    controller,
    esxi,
    linux_capture,
    linux_network,
    linux_nmi,
    linux_survival,
    linux_symbols,
    linux_target,
    proof,
    windows_crash,
    windows_page_file,
    windows_survival,
    windows_target,
)
from collector.checks.catalog import CHECKS
from collector.checks.family import family
from collector.checks.rule import Rule
from collector.model.audit import CheckVerdict, Link, LinkVerdict, Severity
from collector.model.fact import Facts
from collector.model.host import Platform
from collector.model.verdict import Level, Verdict

_EVERYWHERE: Mapping[str, Rule] = {
    "CT-1": controller.can_interrupt,
    "CT-2": controller.is_on,
    "CT-3": board.offers_nmi,
    "CT-4": board.may_interrupt,
    "CT-5": board.log_takes_more,
    "CT-6": board.clock,
    "NMI-13": board.ends_the_dump,
    "PW-1": board.power_restore,
    "WD-1": controller.watchdog_timer,
    "CH-1": controller.channel_answers,
}

_LINUX: Mapping[str, Rule] = {
    **_EVERYWHERE,
    "NMI-1": linux_nmi.unknown_nmi,
    "NMI-2": linux_nmi.system_error,
    "NMI-3": linux_nmi.io_check,
    "NMI-4": linux_nmi.persistent,
    "NMI-5": linux_nmi.inherited_by_command_line,
    "NMI-6": linux_nmi.inherited_by_sysctl,
    "NMI-7": linux_nmi.architecture,
    "NMI-8": linux_nmi.hpwdt_timer,
    "NMI-9": linux_nmi.swallowed,
    "NMI-10": linux_nmi.perf_claims,
    "NMI-11": linux_nmi.hyper_v,
    "NMI-12": linux_nmi.ultraviolet,
    "NMI-14": linux_nmi.stray,
    "AUTO-1": linux_nmi.automatic,
    "AUTO-2": linux_nmi.after_panic,
    "AUTO-3": linux_nmi.on_oops,
    "SYSRQ-1": linux_nmi.sysrq,
    "PRINT-1": linux_nmi.notifiers,
    "KD-1": linux_capture.armed,
    "KD-2": linux_capture.large_enough,
    "KD-3": linux_capture.requested,
    "KD-4": linux_capture.reserved,
    "KD-5": linux_capture.enabled,
    "KD-6": linux_capture.firmware_assisted,
    "KD-7": linux_capture.lockdown,
    "KD-8": linux_capture.image,
    "KD-9": linux_capture.stale,
    "KD-10": linux_capture.cloned,
    "KD-11": linux_capture.rebuilt,
    "KD-12": proof.proven,
    "KD-13": linux_capture.can_rebuild,
    "TG-1": linux_target.target_supported,
    "TG-2": linux_target.space,
    "TG-3": linux_target.mounted,
    "TG-4": linux_target.size_and_time,
    "TG-5": linux_target.deleted_when_full,
    "TG-6": linux_target.retention,
    "TG-7": linux_network.ssh_login,
    "TG-8": linux_network.network_path,
    "TG-9": linux_target.contents,
    "TG-10": linux_target.afterwards,
    "TG-11": linux_target.encrypted,
    "TG-12": linux_target.raw_device,
    "TG-13": linux_target.knows_the_kernel,
    "TG-14": linux_symbols.explains_itself,
    "SEC-1": linux_target.readable_by_all,
    "WD-2": linux_survival.panic_extension,
    "WD-3": linux_survival.watchdogs,
    "WD-4": linux_survival.hpe_recovery,
    "WD-5": linux_survival.dell_recovery,
    "WD-6": linux_survival.other_recovery,
    "FE-1": linux_survival.cluster,
    "FE-2": linux_survival.pausing,
    "FE-3": linux_survival.proxmox,
    "FE-4": linux_survival.outer_monitors,
    "FE-5": linux_survival.remediation,
    "CH-2": controller.may_read_dumps,
    "CH-3": controller.stays_on_host,
}

_WINDOWS: Mapping[str, Rule] = {
    **_EVERYWHERE,
    "WD-1": windows_survival.watchdog_timer,
    "WNMI-1": windows_crash.nmi,
    "WNMI-2": windows_crash.keyboard,
    "WCC-1": windows_crash.configured,
    "WCC-2": windows_crash.contents,
    "WCC-3": windows_crash.not_too_large,
    "WCC-4": windows_crash.filter_pages,
    "WCC-5": windows_crash.encryption,
    "WCC-6": windows_crash.allowed,
    "WCC-7": windows_crash.restarts,
    "WCC-8": windows_target.replaces,
    "WCC-9": windows_target.kept,
    "WCC-10": windows_crash.filters,
    "WPF-1": windows_page_file.placed,
    "WPF-2": windows_page_file.large_enough,
    "WPF-3": windows_page_file.in_force,
    "WDD-1": windows_page_file.dedicated,
    "WTG-1": windows_target.place,
    "WTG-2": windows_target.space,
    "WTG-3": windows_target.storage,
    "WPR-1": windows_target.proven,
    "WPR-2": windows_target.complaints,
    "WPR-3": windows_target.last_crash,
    "WSV-1": windows_survival.recovery,
    "WSV-2": windows_survival.clustered_guests,
    "WSV-3": windows_survival.heartbeat,
    "WSV-4": windows_survival.cluster_node,
    "WCH-1": windows_survival.may_read_dumps,
}

_ESXI: Mapping[str, Rule] = {
    **_EVERYWHERE,
    "ENMI-1": esxi.nmi_panics,
    "ENMI-2": esxi.nmi_at_boot,
    "ECD-1": esxi.place_for_dump,
    "ECD-2": esxi.may_dump,
    "ECD-3": esxi.warns,
    "ETG-1": esxi.extracted,
    "ETG-2": esxi.room,
    "ETG-3": esxi.slot_is_free,
    "EPR-1": esxi.proven,
    "ESV-1": esxi.stays_purple,
    "ESV-2": esxi.machines,
}

RULES: Mapping[Platform, Mapping[str, Rule]] = {
    Platform.LINUX: _LINUX,
    Platform.WINDOWS: _WINDOWS,
    Platform.ESXI: _ESXI,
}
"""The rules of each platform, by the check's id."""

_WORSE = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)
_SEVERITIES = (Severity.BLOCKER, Severity.HIGH, Severity.MEDIUM, Severity.INFO)
_DECIDE_WHEN_UNKNOWN = (Severity.BLOCKER, Severity.HIGH)


def judge(platform: Platform, facts: Facts) -> tuple[CheckVerdict, ...]:
    """Answer every check that concerns this host, in the order of the chain."""
    rules = RULES[platform]
    answers = ((check, rules[check](facts)) for check in CHECKS if check in rules)
    return tuple(_with_catalog(verdict, facts) for _, verdict in answers if verdict is not None)


def chain(verdicts: Sequence[CheckVerdict]) -> tuple[LinkVerdict, ...]:
    """How each link holds. A link that no check looked at is UNKNOWN.

    An UNKNOWN that could not break the link (medium, info) stays with its check and does not decide.
    """
    return tuple(_link(link, [v for v in verdicts if v.link is link]) for link in Link)


def worst(levels: Iterable[Level]) -> Level:
    """The level that decides; OK for none."""
    return min(levels, key=lambda level: level.rank, default=Level.OK)


def weakest(links: Sequence[LinkVerdict]) -> LinkVerdict:
    """The link that decides: the worst, and of equals the first in the chain."""
    return max(links, key=lambda one: _WORSE.index(one.level))


def _link(link: Link, verdicts: Sequence[CheckVerdict]) -> LinkVerdict:
    if not verdicts:
        return LinkVerdict(link, Level.UNKNOWN, "nothing was read that tells it")
    worst = max(verdicts, key=_weight)
    level = _deciding_level(worst)
    if level is Level.OK:
        holds = sum(v.level is Level.OK for v in verdicts)
        return LinkVerdict(link, level, f"{holds} of {len(verdicts)} checks hold")
    return LinkVerdict(link, level, f"{worst.reason} ({worst.id})")


def _weight(verdict: CheckVerdict) -> tuple[int, int]:
    return _WORSE.index(_deciding_level(verdict)), -_SEVERITIES.index(verdict.severity)


def _deciding_level(verdict: CheckVerdict) -> Level:
    if verdict.level is Level.UNKNOWN and verdict.severity not in _DECIDE_WHEN_UNKNOWN:
        return Level.OK
    return verdict.level


def _with_catalog(verdict: Verdict, facts: Facts) -> CheckVerdict:
    check, kin = CHECKS[verdict.check], family(facts)
    mend = verdict.level in (Level.WARNING, Level.CRITICAL)
    return CheckVerdict(
        id=check.id,
        title=check.title,
        link=check.link,
        severity=check.severity,
        level=verdict.level,
        reason=verdict.reason,
        remedy=verdict.remedy if mend else "",
        commands=tuple(check.commands.get(kin, check.commands.get(None, ()))) if mend else (),
        source=check.source,
    )
