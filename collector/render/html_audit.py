"""Audits as one HTML page that needs no network and runs no script: the fleet on top, each chain below.

Whatever came from a remote side is escaped by the template engine, and the page forbids itself, by a content
security policy, to load or run anything. The filter is a style sheet's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from collector.case.story import tone
from collector.case.wording import shown, size, span
from collector.model.audit import HostAudit
from collector.model.verdict import Level
from collector.render.fleet import groups


def page(audits: Sequence[HostAudit], now: datetime) -> str:
    """The page; `audits` come in the order in which they are shown, `now` is when it is written (UTC)."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("collector.render"), PackageLoader("collector.case")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"tone": tone, "shown": shown, "size": size, "span": span}
    counted = Counter(one.level for one in audits)
    return environment.get_template("audit.html.j2").render(
        audits=audits,
        groups=groups(audits),
        levels=[(level, counted[level]) for level in sorted(Level, key=lambda one: one.rank)],
        answered=sum(one.answered for one in audits),
        now=now,
    )
