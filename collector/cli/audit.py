"""`hang-collector audit`: if this hung tonight, would we get a dump?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from collector.cli.shared import ConfigOption, EveryoneOption, GroupOption, chosen_hosts, settings, warn

if TYPE_CHECKING:
    from collector.config.settings import Settings
    from collector.fleet.failures import MaxFailures
    from collector.model.audit import HostAudit
    from collector.model.fleet import Change
    from collector.model.host import Host

T = TypeVar("T")

Watch = Callable[["Iterator[HostAudit]", int], "Iterator[HostAudit]"]
"""Passes the rows of so many hosts on while they come, and may show them."""

_FORMATS = ("table", "json", "nagios")


class Status(IntEnum):
    """How `audit` ends: the exit codes of a monitoring plugin, by the level of the worst host."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def is_plugin(arguments: Sequence[str]) -> bool:
    """Does a monitoring system ask, which knows these exit codes and no others?"""
    return "audit" in arguments[:1] and any(one.rpartition("=")[2] == "nagios" for one in arguments)


def audit(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="Hosts of the settings file; web[01-40] is a range.")
    ] = None,
    everyone: EveryoneOption = False,
    group: GroupOption = None,
    retry_from: Annotated[
        Path | None, typer.Option(help="The hosts that did not answer in this JSON report.")
    ] = None,
    seconds: Annotated[float, typer.Option("--deadline", help="Seconds for one host.", min=1)] = 30.0,
    max_failures: Annotated[
        str, typer.Option(metavar="N|N%", help="Ask no more hosts once more than that did not answer.")
    ] = "",
    output: Annotated[str, typer.Option("--format", "-f", help="table, json or nagios.")] = "table",
    remedy: Annotated[
        str,
        typer.Option(
            "--remedy", help="sh or powershell: print the commands that would mend it, and run none."
        ),
    ] = "",
    reports: Annotated[
        list[str] | None,
        typer.Option("--report", metavar="FORMAT:PATH", help="json, prometheus, junit or html; repeatable."),
    ] = None,
    since: Annotated[str, typer.Option(help="last: record this audit, and show what changed.")] = "",
    changed: Annotated[bool, typer.Option("--changed", help="With --since: show only what changed.")] = False,
    max_age: Annotated[
        float | None, typer.Option(min=0, help="Ask nobody: judge by what was recorded in so many hours.")
    ] = None,
    history: Annotated[
        str, typer.Option(envvar="HC_HISTORY", help="Database of --since and --max-age, by its URL.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Judge the whole way from an NMI to a dump at home, on hosts that still answer. Changes nothing on them.

    Ends with 0 when all is well, 1 for a warning, 2 when no dump is to be expected, 3 when it cannot be told.
    """
    _one_of("--format", output, *_FORMATS)
    _one_of("--remedy", remedy, "", "sh", "powershell")
    _one_of("--since", since, "", "last")
    if [everyone, bool(hosts), bool(group), retry_from is not None].count(True) != 1:
        raise typer.BadParameter("name the hosts, or give --all, --group or --retry-from", param_hint="HOSTS")
    if changed and not since:
        raise typer.BadParameter("say since when: --since last", param_hint="--changed")
    if since and max_age is not None:
        raise typer.BadParameter("it asks nobody, so nothing is new for --since", param_hint="--max-age")

    from collector.checks.audit import worst
    from collector.fleet.failures import MaxFailures
    from collector.render.fleet import as_they_come
    from collector.render.reports import Report

    files = [_parsed("--report", text, Report.parse) for text in reports or []]
    limit = _parsed("--max-failures", max_failures, MaxFailures.parse) if max_failures else None
    for file in files:
        file.check()
    known = settings(config)
    chosen = _unanswered(known, retry_from) if retry_from else chosen_hosts(known, hosts, group)
    watch = _unwatched if output == "nagios" else as_they_come
    found: Sequence[Change] = ()
    if max_age is not None:
        seen = _recorded(known, chosen, history, max_age)
    elif since:
        seen, found = _compared(known, chosen, history, lambda: _asked(known, chosen, seconds, limit, watch))
    else:
        seen = _asked(known, chosen, seconds, limit, watch)
    _show(seen, found if since else None, remedy or ("changes" if changed else output))
    for file in files:
        file.write(seen)
    raise typer.Exit(Status[worst(one.level for one in seen).name])


def _unanswered(known: Settings, report: Path) -> list[Host]:
    from collector.errors import InventoryError
    from collector.fleet.audits import unanswered
    from collector.inventory.select import select

    chosen = select(known, unanswered(report))
    if not chosen:
        raise InventoryError(
            f"there is nobody to ask again in {report}", hint="Every host of the report answered."
        )
    return chosen


def _asked(
    known: Settings, chosen: Sequence[Host], seconds: float, limit: MaxFailures | None, watch: Watch
) -> list[HostAudit]:
    """Audit the hosts now; the rows in the order of the hosts."""
    from collector.adapters.registry import Connections
    from collector.fleet.audits import audit_all
    from collector.fleet.local import LocalEngine
    from collector.probe.io import observe

    connections = Connections(known.credentials, warn)
    engine = LocalEngine(seconds)
    rows = audit_all(chosen, connections, known.cases, engine=engine, observe=observe, limit=limit)
    by_name = {row.host: row for row in watch(rows, len(chosen))}
    return [by_name[host.name] for host in chosen]


def _unwatched(rows: Iterator[HostAudit], _total: int) -> Iterator[HostAudit]:
    """A plugin's output is its one line, also on a terminal."""
    return rows


def _recorded(known: Settings, chosen: Sequence[Host], url: str, hours: float) -> list[HostAudit]:
    from datetime import UTC, datetime, timedelta

    from collector.fleet.audits import recorded
    from collector.fleet.store import History, default_url

    with History(url or default_url(known.cases)) as history:
        last = history.last([host.name for host in chosen])
    return recorded(chosen, last, datetime.now(UTC), timedelta(hours=hours))


def _compared(
    known: Settings, chosen: Sequence[Host], url: str, ask: Callable[[], list[HostAudit]]
) -> tuple[list[HostAudit], list[Change]]:
    """Ask, record, and compare; the history is opened first, for it is cheaper to refuse."""
    from collector.fleet.changes import changes
    from collector.fleet.store import History, default_url

    with History(url or default_url(known.cases)) as history:
        last = history.last([host.name for host in chosen])
        seen = ask()
        history.record(seen)
    return seen, changes(last, seen)


def _show(seen: Sequence[HostAudit], found: Sequence[Change] | None, view: str) -> None:
    """Print the audits, and the changes where they were asked for."""
    from collector.render import audit as as_text
    from collector.render import json as as_json
    from collector.render.changes import changes

    if view == "json":
        as_json.audits(seen, found or ())
    elif view == "nagios":
        as_text.nagios(seen)
    elif view in ("sh", "powershell"):
        as_text.remedies(seen, view)
    elif view == "table":
        as_text.audits(seen)
    if found is not None and view in ("table", "changes"):
        if view == "table":
            print()
        changes(found)


def _one_of(option: str, text: str, *allowed: str) -> None:
    if text not in allowed:
        words = ", ".join(word for word in allowed if word)
        raise typer.BadParameter(f"{text!r} is not one of: {words}", param_hint=option)


def _parsed(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
