"""The catalog of checks as a Markdown page: what each asks, why it matters, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from collector.checks.audit import RULES
from collector.checks.catalog import CHECKS
from collector.checks.check import Check
from collector.model.audit import Link
from collector.model.host import Platform

_HEAD = """\
# What does the audit check?

`hang-collector audit HOST` follows the chain from the NMI to the dump at home, link by link. The weakest link
decides. A fact that could not be read makes its check UNKNOWN, never OK; its link is then UNKNOWN too, unless
the check is of severity medium or info. It only reads, and works as an ordinary user: what only root may read
is UNKNOWN.

| severity | a check that fails |
|---|---|
| blocker | CRITICAL: no usable dump is to be expected |
| high | WARNING: the dump is in danger; CRITICAL where it would be lost for certain |
| medium | WARNING: it costs time or evidence |
| info | never warns |

`audit` ends with 0 (ok), 1 (warning), 2 (critical) or 3 (unknown), by the worst host. With `--format nagios`
everything that keeps it from running is 3 as well.

The commands are for root on the host, on Windows for an administrator; `audit --remedy sh` and
`--remedy powershell` print those that a host needs. Nothing runs them.
This page is made from the catalog in `collector/checks/catalog.py`.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for link in Link:
        parts.append(f"## {link.capitalize()}\n")
        parts += [_section(check) for check in CHECKS.values() if check.link is link]
    return "\n".join(parts)


def _section(check: Check) -> str:
    return "\n".join(_lines(check)) + "\n"


def _lines(check: Check) -> Iterator[str]:
    where = [platform for platform in Platform if check.id in RULES[platform]]
    yield f"### {check.id}: {check.title}"
    yield ""
    yield f"{check.severity}, on {', '.join(where)}. {check.why}"
    yield ""
    yield check.remedy
    if check.commands:
        yield ""
        yield f"```{check.language}"
        for kin, commands in check.commands.items():
            yield from ([f"# {kin}"] if kin else [])
            yield from commands
        yield "```"
    yield ""
    yield f"Source: {check.source}."
