"""`probe` as a table: what each service said, and what it means together."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from collector.model.result import Outcome
from collector.render.console import out, plain, word
from collector.run.examine import ControllerAnswer, Examination


def examinations(seen: Sequence[Examination]) -> None:
    """One table a host, then one line that counts."""
    console = out()
    for one in seen:
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for column in ("asked", "at", "reached", "seconds"):
            table.add_column(column, no_wrap=True, justify="right" if column == "seconds" else "left")
        table.add_column("seen", no_wrap=True, overflow="ellipsis", ratio=1)
        for o in one.observations:
            place = o.address if o.port is None else f"{o.address}:{o.port}"
            said = ", ".join(f"{key} {text}" for key, text in o.evidence.items())
            table.add_row(o.protocol, plain(place), word(o.reach), f"{o.seconds:.2f}", plain(said))
        for answer in one.controllers:
            table.add_row(
                "controller", plain(answer.controller), word(answer.outcome), "", plain(_said(answer))
            )
        console.print(plain(one.host), style="bold", end=": ")
        console.print(word(one.finding.diagnosis))
        console.print(plain(one.finding.reason))
        console.print(table)
        console.print()
    if len(seen) > 1:
        answered = sum(one.finding.diagnosis == "responsive" for one in seen)
        console.print(f"{answered} of {len(seen)} responsive")


def _said(answer: ControllerAnswer) -> str:
    if answer.outcome is not Outcome.SUCCESS:
        return answer.detail
    said = [f"power {answer.power}", answer.crash]
    if answer.guest is not None:
        question = answer.guest.question
        said += [f"heartbeat {answer.guest.heartbeat}", question and f"waits for an answer: {question}"]
    if answer.seen is not None:
        seen = answer.seen
        said += [
            f"the vCenter says {seen.connection}",
            f"standby {seen.standby}" if seen.standby not in ("none", "unknown") else None,
            "in maintenance mode" if seen.maintenance else None,
            f"{seen.running} of {seen.machines} machines on it run",
        ]
    return ", ".join(filter(None, said))
