"""`hang-collector probe`: is the host really hung?"""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.shared import (
    ConfigOption,
    EveryoneOption,
    FormatOption,
    GroupOption,
    checked_format,
    chosen_hosts,
    settings,
    warn,
)


def probe(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="Hosts of the settings file; web[01-40] is a range.")
    ] = None,
    everyone: EveryoneOption = False,
    group: GroupOption = None,
    seconds: Annotated[float, typer.Option("--deadline", help="Seconds for one look.", min=1)] = 10.0,
    output: FormatOption = "table",
    config: ConfigOption = None,
) -> None:
    """Ask every service and the controller of each host, and say whether it hangs.

    Changes nothing on the host. On a Linux host that answers, it also records whether kdump is armed,
    for the night it does not.
    """
    if [everyone, bool(hosts), bool(group)].count(True) != 1:
        raise typer.BadParameter("name the hosts, or give --all or --group", param_hint="HOSTS")

    from collector.adapters.limits import Deadline
    from collector.adapters.registry import Connections
    from collector.fleet.local import LocalEngine
    from collector.model.host import Host
    from collector.probe.attempt import CONNECT_SECONDS
    from collector.probe.io import observe
    from collector.render import json as as_json
    from collector.render import probe as as_table
    from collector.run.examine import Examination, examine, known_facts, not_examined

    output = checked_format(output)
    known = settings(config)
    connections = Connections(known.credentials, warn)

    def look(host: Host, _deadline: Deadline) -> Examination:
        seen = examine(host, connections, observe, seconds)
        known_facts(host, connections, known.cases, seen.finding.diagnosis, Deadline.after(seconds))
        return seen

    chosen = chosen_hosts(known, hosts, group)
    rows = {
        row.host: row for row in LocalEngine(2 * max(seconds, CONNECT_SECONDS)).submit(chosen, look).rows()
    }
    examinations = [rows[host.name].value or not_examined(host, rows[host.name].detail) for host in chosen]
    (as_json.examinations if output == "json" else as_table.examinations)(examinations)
