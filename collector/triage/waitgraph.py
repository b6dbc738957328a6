"""Who waits for whom: threads and what they wait for, as a graph, and the chains through it.

An edge leads from the one that waits to the one it waits for. A lock stands between its waiters and its
owners as a node of its own, so that a thousand waiters and a thousand owners make two thousand edges and not
a million. Everything here is iterative and linear in the log; only the roots are counted one by one, and of
those at most `MOST_ROOTS`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from collector.triage.model import Thread
from collector.triage.waits import Wait

MOST_ROOTS = 512
"""Chains that are followed; a log with more independent roots is not made clearer by more of them."""


@dataclass(frozen=True, slots=True)
class Node:
    """A thread, a number of threads that are only counted, or the thing between waiters and owners."""

    key: tuple[str, int]
    thread: Thread | None = None
    count: int = 0  # how many threads it stands for; 0 for a thing
    process: str = ""
    label: str = ""  # what to call it when it is no thread of Windows
    at: str = ""  # the function in whose hands it is: the first foreign one


@dataclass(frozen=True, slots=True)
class Edge:
    """Why a node waits for another, and the line that says so. An inferred edge is likely, not stated."""

    target: int
    line: int
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """One thread of a chain and what it waits on; the last link's wait leads to nobody in the log."""

    node: Node
    wait: Wait | None
    line: int
    inferred: bool = False  # the step from here to the next link
    symbol: str = ""  # the lock's name


@dataclass(frozen=True, slots=True)
class Chain:
    """Links from the waiter to the end. In a cycle the last link waits for the first."""

    links: tuple[Link, ...]
    behind: int  # how many threads wait, directly or not, for the last link
    cycle: bool = False

    @property
    def end(self) -> Link:
        """Where it ends: the one everybody waits for."""
        return self.links[-1]

    @property
    def longest(self) -> Link | None:
        """The link that has waited longest: reported beside the order of the locks, never over it."""
        timed = [link for link in self.links if seconds(link) is not None]
        return max(timed, key=lambda link: seconds(link) or 0.0, default=None)


MOMENT = 1.0
"""Seconds. A healthy system has waits too; those are over before one can look."""


def lasts(chain: Chain) -> bool:
    """Whether somebody in it has waited longer than a moment, or nobody says how long."""
    longest = chain.longest
    return longest is None or (seconds(longest) or 0.0) >= MOMENT


def seconds(link: Link) -> float | None:
    """How long a link's thread has waited, in seconds."""
    return link.node.thread.wait_seconds if link.node.thread else None


@dataclass(slots=True)
class WaitGraph:
    """Nodes and edges by number; made by `collector.triage.edges`."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[list[Edge]] = field(default_factory=list)
    waits: dict[int, Wait] = field(default_factory=dict)
    symbols: dict[int, str] = field(default_factory=dict)
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    pairs: set[tuple[int, int]] = field(default_factory=set)

    def add(self, node: Node) -> int:
        """Add a node once and return its number."""
        known = self.numbers.get(node.key)
        if known is not None:
            return known
        number = self.numbers[node.key] = len(self.nodes)
        self.nodes.append(node)
        self.edges.append([])
        return number

    def connect(self, source: int, target: int, line: int, *, inferred: bool = False) -> None:
        """Let `source` wait for `target`; a second edge between the two says nothing new."""
        if source != target and (source, target) not in self.pairs:
            self.pairs.add((source, target))
            self.edges[source].append(Edge(target, line, inferred))

    def chains(self) -> list[Chain]:
        """Every cycle, and the longest chain to each root; the gravest first.

        Grave is a deadlock, then how many wait, then how long they have waited.
        """
        component = components(self.edges)
        members: dict[int, list[int]] = defaultdict(list)
        for number, one in enumerate(component):
            members[one].append(number)
        waiters = self._waiters()
        found = []
        for root in self._roots(component, waiters):
            cycle = self._cycle(members[component[root]])
            total, way = self._farthest(cycle or [root], waiters)
            links = self._links(way, cycle)
            chain = Chain(links, total - links[-1].node.count, cycle=bool(cycle))
            if cycle or lasts(chain):
                found.append(chain)
        return sorted(found, key=_gravity)

    def _waiters(self) -> list[list[int]]:
        waiters: list[list[int]] = [[] for _ in self.nodes]
        for source, edges in enumerate(self.edges):
            for edge in edges:
                waiters[edge.target].append(source)
        return waiters

    def _roots(self, component: Sequence[int], waiters: Sequence[Sequence[int]]) -> list[int]:
        """One node of each component that leads out to no other and that somebody waits for."""
        leaves = {
            component[source]
            for source, edges in enumerate(self.edges)
            for edge in edges
            if component[edge.target] != component[source]
        }
        roots = {
            component[number]: number
            for number in reversed(range(len(self.nodes)))
            if component[number] not in leaves and waiters[number]
        }
        most = sorted(roots.values(), key=lambda number: -len(waiters[number]))
        return most[:MOST_ROOTS]

    def _cycle(self, members: Sequence[int]) -> list[int]:
        """A shortest cycle through the first member of a component; empty when it has none."""
        start = min(members, key=lambda number: (self.nodes[number].count == 0, number))
        inside, came, queue = set(members), {start: start}, deque([start])
        while queue:
            number = queue.popleft()
            for edge in self.edges[number]:
                if edge.target == start:
                    return _way(came, number, start)
                if edge.target in inside and edge.target not in came:
                    came[edge.target] = number
                    queue.append(edge.target)
        return []

    def _farthest(self, roots: Iterable[int], waiters: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
        """How many threads there are, roots included, and the way to a root from the farthest of them.

        Among those equally far a thread that is shown goes before threads that are only counted.
        """
        first = list(roots)
        towards = {root: root for root in first}
        depth = dict.fromkeys(first, 0)
        queue = deque(first)
        while queue:
            number = queue.popleft()
            for source in waiters[number]:
                if source in towards:
                    continue
                towards[source] = number
                if self.nodes[source].count:
                    depth[source] = depth[number] + 1
                    queue.append(source)
                else:  # a lock is no step of its own
                    depth[source] = depth[number]
                    queue.appendleft(source)
        total = sum(self.nodes[number].count for number in towards)
        start = max(depth, key=lambda number: (depth[number], self.nodes[number].thread is not None, -number))
        way = [start]
        while towards[way[-1]] != way[-1]:
            way.append(towards[way[-1]])
        return total, way

    def _links(self, way: Sequence[int], cycle: Sequence[int]) -> tuple[Link, ...]:
        steps = [*cycle, *cycle[:2]] if cycle else way
        threads = [place for place in range(len(cycle or way)) if self.nodes[steps[place]].count]
        return tuple(self._link(steps[place], steps[place + 1 : place + 3]) for place in threads)

    def _link(self, number: int, following: Sequence[int]) -> Link:
        node, wait = self.nodes[number], self.waits.get(number)
        taken = list(self._taken(number, following))
        stated = taken[0].line if taken else wait.line if wait else 0
        line = stated or (node.thread.line if node.thread else 0)
        symbol = self.symbols.get(following[0], "") if following else ""
        return Link(node, wait, line, any(edge.inferred for edge in taken), symbol)

    def _taken(self, number: int, following: Sequence[int]) -> Iterator[Edge]:
        """The edges of one step: to the lock and on to its owner, or to a thread at once."""
        for target in following:
            edge = next((edge for edge in self.edges[number] if edge.target == target), None)
            if edge is None:
                return
            yield edge
            if self.nodes[target].count:
                return
            number = target


def components(edges: Sequence[Sequence[Edge]]) -> list[int]:
    """Number the strongly connected components (Kosaraju and Sharir), without recursion.

    A cycle may be thousands long, and Python's stack is not.
    """
    backwards: list[list[int]] = [[] for _ in edges]
    for source, ends in enumerate(edges):
        for edge in ends:
            backwards[edge.target].append(source)
    component = [-1] * len(edges)
    for root in reversed(_by_finish(edges)):
        if component[root] >= 0:
            continue
        component[root], work = root, [root]
        while work:
            for source in backwards[work.pop()]:
                if component[source] < 0:
                    component[source] = root
                    work.append(source)
    return component


def _by_finish(edges: Sequence[Sequence[Edge]]) -> list[int]:
    """The nodes in the order in which a depth-first search leaves them."""
    order: list[int] = []
    seen = [False] * len(edges)
    for start in range(len(edges)):
        if seen[start]:
            continue
        seen[start] = True
        work = [(start, iter(edges[start]))]
        while work:
            number, ends = work[-1]
            target = next((edge.target for edge in ends if not seen[edge.target]), None)
            if target is None:
                order.append(number)
                work.pop()
            else:
                seen[target] = True
                work.append((target, iter(edges[target])))
    return order


def _way(came: dict[int, int], last: int, start: int) -> list[int]:
    way = [last]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _gravity(chain: Chain) -> tuple[bool, int, float, int]:
    longest = chain.longest
    waited = (seconds(longest) or 0.0) if longest else 0.0
    return (not chain.cycle, -chain.behind, -waited, chain.links[0].line)
