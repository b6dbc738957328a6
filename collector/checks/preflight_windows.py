"""Would an NMI at this moment end in a dump of this Windows host?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from collector.checks import windows_crash, windows_page_file, windows_target
from collector.checks.preflight import age, tonight
from collector.checks.rule import Rule
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict

_RULES: Mapping[str, tuple[str, Rule]] = {
    "nmi-crashes": ("os_version", windows_crash.nmi),
    "dump-configured": ("crash_dump_enabled", windows_crash.configured),
    "dump-allowed": ("crash_dump_enabled", windows_crash.allowed),
    "dump-prepared": ("dump_events", windows_target.complaints),
    "page-file": ("page_files", windows_page_file.placed),
    "page-file-size": ("page_files", windows_page_file.large_enough),
    "dedicated-dump-file": ("dedicated_dump_file", windows_page_file.dedicated),
    "dump-place": ("dump_file", windows_target.place),
    "dump-space": ("volumes", windows_target.space),
    "dump-kept": ("overwrite", windows_target.replaces),
}
"""The audit's rules under the names that `--accept` knows, and the fact whose age each tells."""


def would_dump(facts: Facts, now: datetime) -> list[Verdict]:
    """Every rule that concerns this host; those that are CRITICAL stop the run unless they are accepted.

    Args:
        facts: read just now, or recorded while the host still answered.
        now: what their age is told from.
    """
    if all(value(facts, fact) is None for fact, _ in _RULES.values()):
        return [
            Verdict(
                "dump-configured",
                Level.UNKNOWN,
                "the host cannot be asked now, and nothing was recorded while it answered",
                "Record it before the next incident: `hang-collector audit HOST` on a healthy host.",
            )
        ]
    return [
        tonight(name, verdict, f"Go on with --accept {name} if you know better.", age(facts, fact, now))
        for name, (fact, rule) in _RULES.items()
        if (verdict := rule(facts)) is not None
    ]
