"""What a pattern is, what a finding is, and how a rule gets into the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from collector.triage.edges import build
from collector.triage.model import DebuggerLog, Thread
from collector.triage.modules import Modules
from collector.triage.suspects import Suspect
from collector.triage.waitgraph import Chain, WaitGraph

_MOST_LINES = 20
"""Line numbers that a finding keeps: enough to look it up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A pattern that was seen: in words, with figures, and the lines of the log that show it."""

    pattern: str
    words: str
    lines: tuple[int, ...]
    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    suspect: Suspect | None = None


@dataclass(frozen=True)
class View:
    """What a rule may look at: the log, the graph of waits, and the table of modules."""

    log: DebuggerLog
    modules: Modules

    @cached_property
    def graph(self) -> WaitGraph:
        """The graph of waits."""
        return build(self.log, self.modules)

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """The chains, the gravest first."""
        return tuple(self.graph.chains())

    @cached_property
    def threads(self) -> tuple[Thread, ...]:
        """All threads, with those of a user dump joined to those of the kernel dump."""
        return tuple(node.thread for node in self.graph.nodes if node.thread is not None)

    @cached_property
    def chained(self) -> tuple[Thread, ...]:
        """The threads of all chains, in their order."""
        return tuple(link.node.thread for chain in self.chains for link in chain.links if link.node.thread)


Rule = Callable[[View], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """An entry of the catalog."""

    id: str
    title: str
    meaning: str
    remedy: str
    source: str
    rule: Rule


CATALOG: dict[str, Pattern] = {}
"""All patterns by id, in the order in which they are reported."""


def pattern(id: str, *, title: str, meaning: str, remedy: str, source: str) -> Callable[[Rule], Rule]:
    """Put the rule under this decorator into the catalog."""

    def register(rule: Rule) -> Rule:
        if id in CATALOG:
            raise ValueError(f"two patterns are called {id}")
        CATALOG[id] = Pattern(id, title, meaning, remedy, source, rule)
        return rule

    return register


def seen(
    pattern: str,
    words: str,
    lines: Iterable[int | None],
    *,
    suspect: Suspect | None = None,
    **figures: int | float | str,
) -> Iterator[Finding]:
    """Yield the one finding of a rule, when there is a line that shows it."""
    kept = tuple(sorted({line for line in lines if line}))[:_MOST_LINES]
    if kept:
        yield Finding(pattern, words, kept, figures, suspect)
