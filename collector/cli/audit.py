"""`hang-collector audit`: if this hung tonight, would we get a dump?"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

import typer

from collector.cli.shared import ConfigOption, settings, warn

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
    everyone: Annotated[bool, typer.Option("--all", help="Every host of the settings file.")] = False,
    seconds: Annotated[float, typer.Option("--deadline", help="Seconds for one host.", min=1)] = 30.0,
    output: Annotated[str, typer.Option("--format", "-f", help="table, json or nagios.")] = "table",
    remedy: Annotated[
        str, typer.Option("--remedy", help="sh: print the commands that would mend it, and run none.")
    ] = "",
    reports: Annotated[
        list[str] | None,
        typer.Option("--report", help="FORMAT:PATH, a file in addition: json, prometheus, junit or html."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Judge the whole way from an NMI to a dump at home, on hosts that still answer. Changes nothing on them.

    Ends with 0 when all is well, 1 for a warning, 2 when no dump is to be expected, 3 when it cannot be told.
    """
    if output not in _FORMATS:
        raise typer.BadParameter(f"{output!r} is not one of: {', '.join(_FORMATS)}", param_hint="--format")
    if remedy not in ("", "sh"):
        raise typer.BadParameter(f"{remedy!r} is not: sh", param_hint="--remedy")
    if everyone == bool(hosts):
        raise typer.BadParameter("name the hosts, or --all of them", param_hint="HOSTS")

    from collector.adapters.limits import Deadline
    from collector.adapters.registry import Connections
    from collector.checks.audit import worst
    from collector.fleet.local import LocalEngine
    from collector.inventory.select import select
    from collector.model.audit import HostAudit
    from collector.model.host import Host
    from collector.render import audit as as_text
    from collector.render import json as as_json
    from collector.render.reports import Report
    from collector.run import audit as run

    try:
        files = [Report.parse(text) for text in reports or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--report") from error
    known = settings(config)
    connections = Connections(known.credentials, warn)

    def look(host: Host, deadline: Deadline) -> HostAudit:
        return run.audit(host, connections, known.cases, deadline)

    chosen = select(known, hosts or list(known.hosts))
    rows = {row.host: row for row in LocalEngine(seconds).submit(chosen, look).rows()}
    seen = [rows[host.name].value or run.not_audited(host, rows[host.name].detail) for host in chosen]
    for file in files:
        file.write(seen)
    if remedy:
        as_text.remedies(seen)
    else:
        {"table": as_text.audits, "json": as_json.audits, "nagios": as_text.nagios}[output](seen)
    raise typer.Exit(Status[worst(one.level for one in seen).name])
