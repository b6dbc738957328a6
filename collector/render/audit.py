"""`audit` for people and for monitoring: the answer, its chain, every check, and what would mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table

from collector.case.wording import size, span
from collector.checks.audit import worst
from collector.inventory.folding import fold
from collector.model.audit import CheckVerdict, HostAudit
from collector.model.host import Platform
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.render.console import out, plain, word
from collector.render.fleet import count, fleet, groups
from collector.render.reports import worst_first
from collector.render.text import printable

_LAST = ("reboot", "Restart-Computer")  # commands that come once, after all others


def audits(seen: Sequence[HostAudit]) -> None:
    """The whole chain of one host; of several, the hosts that are alike together."""
    if len(seen) == 1:
        _host(seen[0])
    else:
        fleet(seen)


def remedies(seen: Sequence[HostAudit], language: str) -> None:
    """Commands that would mend the hosts that speak `language`, sh or powershell. Nothing runs them.

    They are for root, or for an administrator, on each of the hosts; the others are only named. Hosts that
    need the same are one block.
    """
    together: dict[tuple[str, ...], list[str]] = {}
    for one in worst_first(seen):
        other = "powershell" if one.platform is Platform.WINDOWS else "sh"
        block = (f"{one.level}", *_mending(one)) if other == language else (f"see --remedy {other}",)
        together.setdefault((one.platform, *block), []).append(one.host)
    for (platform, head, *lines), hosts in together.items():
        print(f"# {_one_line(fold(hosts))} ({platform}): {head}")
        for line in lines:
            print(line)
        print()


def _mending(one: HostAudit) -> Iterator[str]:
    """Each command once, with the check that it is for, and then what no command can do."""
    commands: dict[str, str] = {}
    for verdict in one.verdicts:
        for command in verdict.commands:
            commands.setdefault(command, verdict.id)
    for command in sorted(commands, key=lambda line: line in _LAST):
        yield command if command in _LAST else f"{command}  # {commands[command]}"
    for verdict in one.verdicts:
        if verdict.remedy and not verdict.commands:
            yield f"# by hand: {verdict.remedy} ({verdict.id})"


def nagios(seen: Sequence[HostAudit]) -> None:
    """A status line with figures, then those that are not ok, alike ones in a line: the guidelines' form."""
    level = worst(one.level for one in seen)
    ordered = worst_first(seen)
    text = f"{ordered[0].host}: {ordered[0].reason}"
    if len(seen) > 1:
        text = f"{count(seen)}; {text}" if level is not Level.OK else count(seen)
    print(f"{level.upper()} - {_status(text)} | {_figures(seen)}")
    if len(seen) > 1:
        for group in groups(ordered):
            if group.level is not Level.OK:
                print(_status(f"{group.level.upper()} - {group.names}: {group.reason}"))


def _host(one: HostAudit) -> None:
    """The answer, the chain, every check with the worst first, and what would mend it."""
    console = out()
    console.print(plain(one.host), style="bold", end=": ")
    console.print(word(one.level))
    console.print(plain(one.reason))
    console.print()
    console.print(_chain(one))
    console.print()
    if one.estimate:
        about = f"{size(one.estimate.bytes)} in {span(one.estimate.seconds)}"
        console.print(plain(f"a dump takes about {about} ({one.estimate.how})"))
    for step in one.gathered:
        if step.outcome is not Outcome.SUCCESS:
            console.print(plain(f"{step.step}: {step.outcome}: {step.detail}"), style="yellow")
    verdicts = sorted(one.verdicts, key=lambda verdict: verdict.level.rank)
    console.print(_checks(verdicts))
    console.print()
    for verdict in verdicts:
        if verdict.remedy:
            console.print(plain(f"{verdict.id}: {verdict.remedy}"))


def _chain(one: HostAudit) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("link", "holds", "because"):
        table.add_column(column, overflow="fold")
    for link in one.links:
        table.add_row(link.link, word(link.level), plain(link.reason))
    return table


def _checks(verdicts: Sequence[CheckVerdict]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "verdict", "why"):
        table.add_column(column, overflow="fold")
    for one in verdicts:
        table.add_row(one.id, word(one.level), plain(one.reason))
    return table


def _figures(seen: Sequence[HostAudit]) -> str:
    """Perfdata: of one host its checks and its dump, of several how many are at each level."""
    levels = Counter(v.level for v in seen[0].verdicts) if len(seen) == 1 else Counter(a.level for a in seen)
    most = sum(levels.values())
    # warning and critical are ranges of the guidelines: outside of 0 to 0 is an alert.
    ranges = {Level.OK: ";;", Level.WARNING: ";0;", Level.CRITICAL: ";;0", Level.UNKNOWN: ";0;"}
    figures = [f"{level}={levels[level]}{ranges[level]};0;{most}" for level in Level]
    if len(seen) == 1 and seen[0].estimate:
        figures += [f"dump_size={seen[0].estimate.bytes}B", f"dump_time={seen[0].estimate.seconds:.0f}s"]
    return " ".join(figures)


def _status(text: str) -> str:
    """One line without the bar that begins the figures."""
    return _one_line(text).replace("|", "/")


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())
