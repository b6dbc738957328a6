"""The catalog of checks as Markdown pages: what each asks, why it matters, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.checks.audit import RULES
from collector.checks.catalog import CHECKS
from collector.checks.check import Check
from collector.model.audit import Link, Severity
from collector.model.host import Platform

_HEAD = """\
# What does the audit check?

`hang-collector audit HOST` follows the chain from the NMI to the dump at home, link by link. The weakest link
decides. A fact that could not be read makes its check UNKNOWN, never OK; its link is then UNKNOWN too, unless
the check is of severity medium or info. It only reads, and works as an ordinary user: what only root may read
is UNKNOWN.

| severity | a host whose check fails is |
|---|---|
{severities}

`audit` ends with 0 (ok), 1 (warning), 2 (critical) or 3 (unknown), by the worst host. With `--format nagios`
everything that keeps it from running is 3 as well.

The commands are for root on the host, on Windows for an administrator; `audit --remedy sh` and
`--remedy powershell` print those that a host needs. Nothing runs them.
These pages are made from the catalog in `collector/checks/catalog.py`, by `scripts/check-pages`.
"""

_FAILS: Mapping[Severity, str] = {
    Severity.BLOCKER: "CRITICAL: no usable dump is to be expected.",
    Severity.HIGH: "WARNING: the dump is in danger; CRITICAL where it would be lost for certain.",
    Severity.MEDIUM: "WARNING: it costs time or evidence.",
    Severity.INFO: "no worse for it: this is worth knowing, and never warns.",
}


def pages() -> dict[str, str]:
    """Each page's text by its file name: one a check, and README.md, which leads to them."""
    return {"README.md": _index(), **{f"{check.id}.md": _page(check) for check in CHECKS.values()}}


def _index() -> str:
    severities = "\n".join(f"| {severity} | {text} |" for severity, text in _FAILS.items())
    lines = [_HEAD.format(severities=severities)]
    for link in Link:
        lines += [
            f"## {link.capitalize()}",
            "",
            "| check | what it asks | severity | on |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| [{check.id}]({check.id}.md) | {check.title} | {check.severity} | {_platforms(check)} |"
            for check in CHECKS.values()
            if check.link is link
        ]
        lines.append("")
    return "\n".join(lines)


def _page(check: Check) -> str:
    return "\n".join(_lines(check)) + "\n"


def _lines(check: Check) -> Iterator[str]:
    yield f"# {check.id}: {check.title}"
    yield ""
    yield f"Link of the chain: **{check.link}**. Severity: **{check.severity}**. On: {_platforms(check)}."
    yield ""
    yield "## Why does it matter?"
    yield ""
    yield check.why
    yield ""
    yield f"When it fails, the host is {_FAILS[check.severity]}"
    yield ""
    yield "## What mends it?"
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
    yield "## Where does the rule come from?"
    yield ""
    yield f"{check.source}."
    yield ""
    yield "[All checks](README.md)"


def _platforms(check: Check) -> str:
    return ", ".join(platform for platform in Platform if check.id in RULES[platform])
