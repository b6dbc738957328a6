"""Results for scripts. Every document names its schema; changes to it only add."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.case.manifest import Verification
    from collector.model.audit import HostAudit
    from collector.model.fleet import Change
    from collector.model.result import HostResult
    from collector.run.examine import Examination
    from collector.run.history import CaseSummary
    from collector.run.inspect import Inspected


def examinations(seen: Sequence[Examination]) -> None:
    """`probe`: one object a host."""
    rows = [
        {
            "host": one.host,
            "diagnosis": one.finding.diagnosis,
            "reason": one.finding.reason,
            "observations": [asdict(o) for o in one.observations],
            "controllers": [asdict(answer) for answer in one.controllers],
        }
        for one in seen
    ]
    _print("hang-collector/probe/1", {"hosts": rows})


def result(row: HostResult) -> None:
    """`collect` and `resume`: the one row."""
    _print("hang-collector/result/1", asdict(row))


def verification(found: Verification) -> None:
    """`case verify`: every problem."""
    _print("hang-collector/verification/1", {"ok": found.ok, **asdict(found)})


def cases(summaries: Sequence[CaseSummary]) -> None:
    """`case list`: one object a case."""
    _print("hang-collector/cases/1", {"cases": [asdict(one) for one in summaries]})


def dumps(inspected: Sequence[Inspected]) -> None:
    """`inspect`: one object a dump."""
    rows = []
    for one in inspected:
        found = asdict(one.verdict)
        log = one.look.log if one.look else ()
        rows.append(
            {
                "path": one.path,
                **found.pop("report"),
                **found,
                "command_line": one.look.command_line if one.look else None,
                "telling": one.look.telling if one.look else [],
                "dmesg": [str(record) for record in log],
                "trouble": one.trouble,
            }
        )
    _print("hang-collector/dumps/1", {"dumps": rows})


def audits(seen: Sequence[HostAudit], changed: Sequence[Change] = ()) -> None:
    """`audit`: one object a host."""
    print(audits_text(seen, changed), end="")


def audits_text(seen: Sequence[HostAudit], changed: Sequence[Change] = ()) -> str:
    """The same as text, for a file."""
    rows = [{**asdict(one), "answered": one.answered} for one in seen]
    body: dict[str, object] = {"hosts": rows, "answered": sum(one.answered for one in seen)}
    if changed:
        body["changed"] = [asdict(change) for change in changed]
    return _text("hang-collector/audit/1", body) + "\n"


def _print(schema: str, body: dict[str, object]) -> None:
    print(_text(schema, body))


def _text(schema: str, body: dict[str, object]) -> str:
    return json.dumps({"schema": schema, **body}, indent=1, default=str)
