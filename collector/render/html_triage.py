"""A triage as one HTML page that needs no network and runs no script: the chain drawn, the lines quoted.

Whatever came from the log is escaped by the template engine, and the page forbids itself, by a content
security policy, to load or run anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.case.wording import shown
from collector.triage.answer import Answer
from collector.triage.patterns import CATALOG
from collector.triage.waitgraph import Chain
from collector.triage.wording import named, thread_name, waits_on

_MOST_CHAINS = 5
_MOST_BOXES = 24
_STEP = 92
"""Pixels from one box of the drawing to the next."""


@dataclass(frozen=True, slots=True)
class Box:
    """One thread of the drawing. `y` is its upper edge in pixels."""

    y: int
    title: str
    place: str
    label: str  # on the arrow to the next one
    line: int
    inferred: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chain as boxes from the waiter down to the end, with what stands under it."""

    boxes: Sequence[Box]
    height: int
    cycle: bool
    behind: int
    hidden: int


def page(name: str, found: Answer, quoted: Mapping[int, str]) -> str:
    """The page of one log; `quoted` has the text of the lines that `evidence` names."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("collector.render"), PackageLoader("collector.case")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown}
    return environment.get_template("triage.html.j2").render(
        name=name,
        found=found,
        suspect=named(found.suspect) if found.suspect else "",
        drawings=[drawing(chain) for chain in found.chains[:_MOST_CHAINS]],
        hidden=max(0, len(found.chains) - _MOST_CHAINS),
        findings=[(CATALOG[one.pattern], one) for one in found.findings],
        quoted=quoted,
    )


def evidence(found: Answer) -> set[int]:
    """The numbers of all lines that the page quotes."""
    links = (link.line for chain in found.chains[:_MOST_CHAINS] for link in chain.links[:_MOST_BOXES])
    return {line for one in found.findings for line in one.lines} | set(links)


def drawing(chain: Chain) -> Drawing:
    """Place the boxes of a chain under one another."""
    boxes = []
    for number, link in enumerate(chain.links[:_MOST_BOXES]):
        process = f" of {link.node.process}" if link.node.process else ""
        boxes.append(
            Box(
                number * _STEP,
                f"{thread_name(link)}{process}",
                f"in {link.node.at}" if link.node.at else "",
                waits_on(link),
                link.line,
                link.inferred,
            )
        )
    hidden = len(chain.links) - len(boxes)
    return Drawing(boxes, len(boxes) * _STEP, chain.cycle, chain.behind, hidden)
